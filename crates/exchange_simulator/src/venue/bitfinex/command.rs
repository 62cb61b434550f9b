//! Bitfinex' requests and their answers.

use serde_json::{Value, json};

use super::topic;
use crate::venue::{Channels, Command, Reaction, Session};

/// Most subscriptions of one connection: the strictest of what is documented (25, 30) and seen (36).
const MAX_SUBSCRIPTIONS: usize = 25;

/// Frames tell the time.
const TIMESTAMP: u64 = 32_768;
/// Frames tell their number.
const SEQ_ALL: u64 = 65_536;

pub(super) fn receive(symbols: &[String], session: &mut Session, command: &Command<'_>) -> Reaction {
    let mut reaction = Reaction::default();
    // What is no JSON object gets no answer.
    let Ok(Value::Object(request)) = serde_json::from_str(command.text) else { return reaction };
    let request = Value::Object(request);
    let reply = match request["event"].as_str() {
        Some("ping") => json!({"event": "pong", "ts": command.now_us / 1_000, "cid": request["cid"]}),
        Some("conf") => {
            let flags = request["flags"].as_u64().unwrap_or(0);
            if let Some(channels) = &mut session.channels {
                channels.sequenced = flags & SEQ_ALL != 0;
                channels.timestamped = flags & TIMESTAMP != 0;
            }
            json!({"event": "conf", "status": "OK", "flags": flags})
        }
        Some("subscribe") => subscribe(symbols, session, &request, command, &mut reaction),
        Some("unsubscribe") => unsubscribe(session, &request, &mut reaction),
        event => {
            let text = format!("event: invalid ({})", event.unwrap_or_default());
            json!({"event": "error", "msg": text, "code": 10_000})
        }
    };
    reaction.replies.push(reply.to_string());
    reaction
}

fn subscribe(
    symbols: &[String],
    session: &mut Session,
    request: &Value,
    command: &Command<'_>,
    reaction: &mut Reaction,
) -> Value {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let (channel, symbol) = (text("channel"), text("symbol"));
    let pair = symbol.strip_prefix('t').unwrap_or(symbol);
    let error = |text: &str, code: u32| {
        let mut error =
            json!({"event": "error", "channel": channel, "symbol": symbol, "msg": text, "code": code, "pair": pair});
        if let Some(sub_id) = request.get("subId") {
            error["subId"] = sub_id.clone();
        }
        error
    };
    if !matches!(channel, "trades" | "book") {
        // The ticker, candles and others are not simulated.
        return error("channel: unknown", 10_300);
    }
    let listed = symbols.iter().any(|listed| listed == symbol);
    if listed && command.refused.has(symbol) {
        reaction.struck = true;
        return error("symbol: invalid", 10_300);
    }
    if !listed {
        return error("symbol: invalid", 10_300);
    }
    let length = request.get("len").map_or(Some(25), |len| len.as_u64().or_else(|| len.as_str()?.parse().ok()));
    if channel == "book" {
        // Others exist and are not simulated.
        let asked = |name: &str, only: &str| request.get(name).is_none_or(|value| value == only);
        match length {
            Some(25 | 100 | 250) => (),
            _ => return error("length: invalid", 10_300),
        }
        if !asked("prec", "P0") || !asked("freq", "F0") {
            return error("prec: invalid", 10_300);
        }
    }
    let connection = session.id;
    let Some(channels) = &mut session.channels else { return error("subscribe: failed", 10_300) };
    let topic = topic(channel, symbol);
    if let Some(id) = channels.ids.get(&topic) {
        let mut error = error("subscribe: dup", 10_301);
        error["chanId"] = Value::from(*id);
        return error;
    }
    if channels.ids.len() >= MAX_SUBSCRIPTIONS {
        return error("subscribe: limit", 10_305);
    }
    let id = number(channels, connection);
    channels.ids.insert(topic.clone(), id);
    session.topics.insert(topic.clone());
    reaction.added.push(topic.clone());
    reaction.told.push(topic);
    let mut ack = json!({"event": "subscribed", "channel": channel, "chanId": id, "symbol": symbol, "pair": pair});
    if channel == "book" {
        ack["prec"] = Value::from("P0");
        ack["freq"] = Value::from("F0");
        ack["len"] = Value::from(length.unwrap_or(25).to_string());
    }
    if let Some(sub_id) = request.get("subId") {
        ack["subId"] = sub_id.clone();
    }
    ack
}

/// A number no other connection's subscription has: whoever mixes connections up is found out.
fn number(channels: &mut Channels, connection: u64) -> u64 {
    channels.last_id += 1;
    connection * 1_000 + channels.last_id
}

fn unsubscribe(session: &mut Session, request: &Value, reaction: &mut Reaction) -> Value {
    let id = request["chanId"].as_u64();
    let found = session
        .channels
        .as_ref()
        .and_then(|channels| channels.ids.iter().find(|(_, held)| Some(**held) == id).map(|(topic, _)| topic.clone()));
    let Some(topic) = found else {
        return json!({"event": "error", "msg": "unsubscribe: invalid", "code": 10_400, "chanId": id});
    };
    if let Some(channels) = &mut session.channels {
        channels.ids.remove(&topic);
    }
    session.topics.remove(&topic);
    reaction.removed.push(topic);
    json!({"event": "unsubscribed", "status": "OK", "chanId": id})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::Refused;

    fn ask(session: &mut Session, request: &Value) -> Value {
        let text = request.to_string();
        let refused = Refused { symbols: vec![(Some("tBADUSD".into()), false)] };
        let symbols: Vec<String> = (0..30).map(|n| format!("t{n:03}USD")).chain(["tBADUSD".into()]).collect();
        let reaction = receive(&symbols, session, &Command { text: &text, now_us: 5_000, refused: &refused });
        serde_json::from_str(&reaction.replies[0]).unwrap()
    }

    fn session() -> Session {
        Session { id: 3, channels: Some(Channels::default()), ..Session::default() }
    }

    #[test]
    fn answers_have_the_documented_codes() {
        let session = &mut session();
        assert_eq!(ask(session, &json!({"event": "ping", "cid": 9})), json!({"event": "pong", "ts": 5, "cid": 9}));
        assert_eq!(
            ask(session, &json!({"event": "conf", "flags": 98_304})),
            json!({"event": "conf", "status": "OK", "flags": 98_304})
        );
        let channels = session.channels.as_ref().unwrap();
        assert!(channels.sequenced && channels.timestamped);
        let subscribe =
            |channel: &str, symbol: &str| json!({"event": "subscribe", "channel": channel, "symbol": symbol});
        assert_eq!(
            ask(session, &subscribe("trades", "t001USD")),
            json!({"event": "subscribed", "channel": "trades", "chanId": 3_001, "symbol": "t001USD", "pair": "001USD"})
        );
        for (request, code, text) in [
            (subscribe("trades", "t001USD"), 10_301, "subscribe: dup"),
            (subscribe("trades", "tNOPE"), 10_300, "symbol: invalid"),
            (subscribe("trades", "tBADUSD"), 10_300, "symbol: invalid"),
            (subscribe("shouts", "t001USD"), 10_300, "channel: unknown"),
            (
                json!({"event": "subscribe", "channel": "book", "symbol": "t001USD", "len": 7}),
                10_300,
                "length: invalid",
            ),
            (json!({"event": "shout"}), 10_000, "event: invalid (shout)"),
            (json!({"event": "unsubscribe", "chanId": 7}), 10_400, "unsubscribe: invalid"),
        ] {
            let error = ask(session, &request);
            assert_eq!((error["code"].as_u64(), error["msg"].as_str()), (Some(code), Some(text)));
        }
        assert_eq!(ask(session, &json!({"event": "unsubscribe", "chanId": 3_001}))["event"], "unsubscribed");
        let refused = Refused::default();
        assert!(receive(&[], session, &Command { text: "hello", now_us: 0, refused: &refused }).replies.is_empty());
    }

    #[test]
    fn the_26th_subscription_is_refused() {
        let session = &mut session();
        for n in 0..25 {
            let request = json!({"event": "subscribe", "channel": "book", "symbol": format!("t{n:03}USD")});
            assert_eq!(ask(session, &request)["event"], "subscribed");
        }
        let more = ask(session, &json!({"event": "subscribe", "channel": "book", "symbol": "t025USD"}));
        assert_eq!((&more["msg"], &more["code"]), (&json!("subscribe: limit"), &json!(10_305)));
    }
}
