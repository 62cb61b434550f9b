//! OKX' requests and their answers: one for each argument.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ENDPOINTS, conn_id, topic};
use crate::venue::{Command, Reaction, Session};

/// Longest request.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Subscribe, unsubscribe and login requests of one connection.
const REQUESTS: (usize, Duration) = (480, Duration::from_secs(3_600));

/// Longest `id`.
const MAX_ID_CHARS: usize = 32;

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    op: String,
    #[serde(default)]
    args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    channel: String,
    inst_id: String,
}

pub(super) fn receive(symbols: &[String], session: &mut Session, command: &Command<'_>) -> Reaction {
    let mut reaction = Reaction::default();
    if command.text == "ping" {
        reaction.replies.push("pong".to_owned());
        return reaction;
    }
    let invalid = |session: &Session, id: Option<&str>| {
        error(session, id, "60012", &format!("Invalid request: {}", shortened(command.text)))
    };
    if command.text.len() > MAX_REQUEST_BYTES {
        reaction.replies.push(invalid(session, None));
        return reaction;
    }
    let request = match serde_json::from_str::<Request>(command.text) {
        Ok(request) if is_id(request.id.as_deref()) && !request.args.is_empty() => request,
        _ => {
            reaction.replies.push(invalid(session, None));
            return reaction;
        }
    };
    let id = request.id.as_deref();
    if !matches!(request.op.as_str(), "subscribe" | "unsubscribe") {
        reaction.replies.push(invalid(session, id));
        return reaction;
    }
    if !admits(session) {
        reaction.replies.push(error(session, id, "60014", "Requests too frequent"));
        return reaction;
    }
    let spoiled = command.refused.spoils(request.args.iter().map(|argument| argument.inst_id.as_str()));
    let channels =
        ENDPOINTS.iter().find(|(path, _)| *path == session.endpoint).map_or(&[][..], |(_, channels)| channels);
    for Argument { channel, inst_id } in &request.args {
        let listed = symbols.contains(inst_id);
        let refused = listed && (command.refused.has(inst_id) || spoiled);
        reaction.struck |= refused;
        if !channels.contains(&channel.as_str()) || !listed || refused {
            let text = format!("Wrong URL or channel:{channel},instId:{inst_id} doesn't exist.");
            reaction.replies.push(error(session, id, "60018", &text));
            continue;
        }
        let topic = topic(channel, inst_id);
        if request.op == "unsubscribe" {
            if session.topics.remove(&topic) {
                reaction.removed.push(topic);
            }
        } else if session.topics.insert(topic.clone()) {
            reaction.told.push(topic.clone());
            reaction.added.push(topic);
        }
        let arg = json!({"channel": channel, "instId": inst_id});
        reaction.replies.push(with_id(json!({"event": request.op, "arg": arg, "connId": conn_id(session)}), id));
    }
    reaction
}

fn is_id(id: Option<&str>) -> bool {
    id.is_none_or(|id| id.len() <= MAX_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn with_id(mut body: Value, id: Option<&str>) -> String {
    if let Some(id) = id {
        body["id"] = Value::from(id);
    }
    body.to_string()
}

fn error(session: &Session, id: Option<&str>, code: &str, text: &str) -> String {
    with_id(json!({"event": "error", "code": code, "msg": text, "connId": conn_id(session)}), id)
}

/// As much of a bad request as an answer repeats.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn admits(session: &mut Session) -> bool {
    let now = Instant::now();
    while session.requests.front().is_some_and(|&at| now - at >= REQUESTS.1) {
        session.requests.pop_front();
    }
    let admitted = session.requests.len() < REQUESTS.0;
    if admitted {
        session.requests.push_back(now);
    }
    admitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::Refused;

    fn session() -> Session {
        Session { endpoint: "/ws/v5/public", id: 0xa4d3, ..Session::default() }
    }

    fn ask(session: &mut Session, refused: &Refused, text: &str) -> (Vec<Value>, Reaction) {
        let reaction = receive(&["BTC-USDT".into(), "ETH-USDT".into()], session, &Command { text, now_us: 0, refused });
        let replies = reaction.replies.iter().map(|reply| serde_json::from_str(reply).unwrap()).collect();
        (replies, reaction)
    }

    #[test]
    fn each_argument_is_answered_for_itself() {
        let arg = |channel: &str, symbol: &str| json!({"channel": channel, "instId": symbol});
        let args = [arg("bbo-tbt", "BTC-USDT"), arg("trades", "NO-USDT"), arg("trades-all", "BTC-USDT")];
        let request = json!({"id": "1512", "op": "subscribe", "args": args}).to_string();
        let (replies, reaction) = ask(&mut session(), &Refused::default(), &request);
        assert_eq!(replies[0], json!({"id": "1512", "event": "subscribe", "arg": args[0], "connId": "0000a4d3"}));
        assert_eq!((&replies[1]["event"], &replies[1]["code"]), (&json!("error"), &json!("60018")));
        assert_eq!(replies[2]["code"], "60018", "trades-all is at the other endpoint");
        assert_eq!(reaction.added, ["bbo-tbt:BTC-USDT"]);
    }

    #[test]
    fn a_bad_symbol_can_spoil_its_batch() {
        let request = r#"{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"},{"channel":"trades","instId":"ETH-USDT"}]}"#;
        for (whole, added) in [(false, 1), (true, 0)] {
            let refused = Refused { symbols: vec![(Some("BTC-USDT".into()), whole)] };
            assert_eq!(ask(&mut session(), &refused, request).1.added.len(), added);
        }
    }

    #[test]
    fn what_is_no_request_and_the_481st_are_errors() {
        let session = &mut session();
        for text in
            ["{", "[]", r#"{"op":"shout","args":[{"channel":"trades","instId":"BTC-USDT"}]}"#, r#"{"op":"subscribe"}"#]
        {
            assert_eq!(ask(session, &Refused::default(), text).0[0]["code"], "60012", "{text}");
        }
        let request = r#"{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}"#;
        for _ in 0..480 {
            assert_eq!(ask(session, &Refused::default(), request).0[0]["event"], "subscribe");
        }
        assert_eq!(ask(session, &Refused::default(), request).0[0]["code"], "60014");
        let pong = receive(&[], session, &Command { text: "ping", now_us: 0, refused: &Refused::default() });
        assert_eq!(pong.replies, ["pong"], "costs nothing");
    }
}
