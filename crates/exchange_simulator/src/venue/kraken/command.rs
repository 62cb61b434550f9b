//! Kraken's requests and their answers: one for each symbol.

use serde::Deserialize;
use serde_json::{Value, json};

use super::topic;
use crate::clock::rfc3339_us;
use crate::venue::{Command, Reaction, Session};

#[derive(Deserialize)]
struct Request {
    method: String,
    #[serde(default)]
    params: Params,
    req_id: Option<i64>,
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    symbol: Vec<String>,
    event_trigger: Option<String>,
    snapshot: Option<bool>,
}

pub(super) fn receive(symbols: &[String], session: &mut Session, command: &Command<'_>) -> Reaction {
    let mut reaction = Reaction::default();
    let request: Request = match serde_json::from_str(command.text) {
        Ok(request) => request,
        Err(_) => {
            // The text of the real answer is not known.
            reaction.replies.push(json!({"error": "Malformed request"}).to_string());
            return reaction;
        }
    };
    match request.method.as_str() {
        "ping" => reaction.replies.push(answer(&request, command, json!({"method": "pong"}))),
        "subscribe" | "unsubscribe" => subscriptions(symbols, session, &request, command, &mut reaction),
        other => {
            let error = format!("Unsupported method {other}");
            let body = json!({"method": other, "success": false, "error": error});
            reaction.replies.push(answer(&request, command, body));
        }
    }
    reaction
}

/// The fields every answer ends with.
fn answer(request: &Request, command: &Command<'_>, mut body: Value) -> String {
    let time = rfc3339_us(command.now_us);
    body["time_in"] = Value::from(time.as_str());
    body["time_out"] = Value::from(time);
    if let Some(id) = request.req_id {
        body["req_id"] = Value::from(id);
    }
    body.to_string()
}

fn subscriptions(
    symbols: &[String],
    session: &mut Session,
    request: &Request,
    command: &Command<'_>,
    reaction: &mut Reaction,
) {
    let Params { channel, symbol: asked, event_trigger, snapshot } = &request.params;
    let trigger = event_trigger.as_deref().unwrap_or("trades");
    let name = match (channel.as_str(), trigger) {
        ("trade", _) => Ok("trade"),
        ("ticker", "bbo") => Ok("ticker.bbo"),
        ("ticker", "trades") => Ok("ticker.trades"),
        ("ticker", other) => Err(format!("Event trigger {other} not supported")),
        // Books, candles and instruments are not simulated.
        (other, _) => Err(format!("Channel {other} not supported")),
    };
    let spoiled = command.refused.spoils(asked.iter().map(String::as_str));
    for symbol in asked {
        let refused = symbols.contains(symbol) && (command.refused.has(symbol) || spoiled);
        reaction.struck |= refused;
        let error = match name {
            Ok(_) if symbols.contains(symbol) && !refused => None,
            Ok(_) => Some(format!("Currency pair not supported {symbol}")),
            Err(ref error) => Some(error.clone()),
        };
        if let Some(error) = error {
            let body = json!({"method": request.method, "success": false, "error": error, "symbol": symbol});
            reaction.replies.push(answer(request, command, body));
            continue;
        }
        let Ok(name) = name else { continue };
        let topic = topic(name, symbol);
        let mut result = json!({"channel": channel, "symbol": symbol});
        if channel == "ticker" {
            result["event_trigger"] = Value::from(trigger);
        }
        if request.method == "subscribe" {
            // On by default for the ticker, off for trades.
            let wants = snapshot.unwrap_or(channel == "ticker");
            result["snapshot"] = Value::from(wants);
            if session.topics.insert(topic.clone()) {
                if wants {
                    reaction.told.push(topic.clone());
                }
                reaction.added.push(topic);
            }
        } else if session.topics.remove(&topic) {
            reaction.removed.push(topic);
        }
        let body = json!({"method": request.method, "result": result, "success": true});
        reaction.replies.push(answer(request, command, body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::Refused;

    fn ask(session: &mut Session, refused: &Refused, request: &Value) -> (Vec<Value>, Reaction) {
        let text = request.to_string();
        let command = Command { text: &text, now_us: 1_700_000_000_000_000, refused };
        let reaction = receive(&["BTC/USD".into(), "ETH/USD".into()], session, &command);
        let replies = reaction.replies.iter().map(|reply| serde_json::from_str(reply).unwrap()).collect();
        (replies, reaction)
    }

    #[test]
    fn each_symbol_is_answered_for_itself() {
        let session = &mut Session::default();
        let params = json!({"channel": "ticker", "symbol": ["BTC/USD", "xxx/USD"], "event_trigger": "bbo"});
        let request = json!({"method": "subscribe", "params": params, "req_id": 7});
        let (replies, reaction) = ask(session, &Refused::default(), &request);
        let time = "2023-11-14T22:13:20.000000Z";
        assert_eq!(
            replies,
            [
                json!({"method": "subscribe", "success": true, "time_in": time, "time_out": time, "req_id": 7, "result":
                    {"channel": "ticker", "event_trigger": "bbo", "snapshot": true, "symbol": "BTC/USD"}}),
                json!({"method": "subscribe", "success": false, "time_in": time, "time_out": time, "req_id": 7,
                    "error": "Currency pair not supported xxx/USD", "symbol": "xxx/USD"}),
            ]
        );
        assert_eq!(
            (reaction.added, reaction.told),
            (vec!["ticker.bbo:BTC/USD".into()], vec!["ticker.bbo:BTC/USD".into()])
        );
        let params = json!({"channel": "trade", "symbol": ["ETH/USD"]});
        let (_, reaction) = ask(session, &Refused::default(), &json!({"method": "subscribe", "params": params}));
        assert_eq!((reaction.added, reaction.told), (vec!["trade:ETH/USD".to_owned()], vec![]));
        let (replies, reaction) =
            ask(session, &Refused::default(), &json!({"method": "unsubscribe", "params": params}));
        assert_eq!((replies[0]["success"].as_bool(), reaction.removed), (Some(true), vec!["trade:ETH/USD".to_owned()]));
    }

    #[test]
    fn a_bad_symbol_can_spoil_its_batch() {
        let request = json!({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"]}});
        for (whole, added) in [(false, vec!["trade:ETH/USD".to_owned()]), (true, vec![])] {
            let refused = Refused { symbols: vec![(Some("BTC/USD".into()), whole)] };
            let (replies, reaction) = ask(&mut Session::default(), &refused, &request);
            assert_eq!(replies[0]["error"], "Currency pair not supported BTC/USD");
            assert_eq!(reaction.added, added);
        }
    }

    #[test]
    fn a_ping_tells_the_clock() {
        let (replies, _) = ask(&mut Session::default(), &Refused::default(), &json!({"method": "ping", "req_id": 101}));
        assert_eq!((&replies[0]["method"], &replies[0]["req_id"]), (&json!("pong"), &json!(101)));
        assert!(replies[0]["time_in"].is_string());
    }
}
