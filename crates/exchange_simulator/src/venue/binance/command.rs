//! Binance's JSON commands, their acks and errors.

use serde_json::Value;

use super::MAX_STREAMS;
use crate::venue::{Reaction, Session};

/// Longest text an `id` may be.
const MAX_ID_CHARS: usize = 36;

/// An error answer without its `id`. Codes: 0 unknown property, 1 wrong type of a value, 2 invalid request, 3 invalid JSON.
struct Fault {
    code: u8,
    text: String,
}

impl Fault {
    fn invalid_request(text: impl std::fmt::Display) -> Self {
        Self { code: 2, text: format!("Invalid request: {text}") }
    }
}

pub(super) fn receive(session: &mut Session, text: &str) -> Reaction {
    let mut reaction = Reaction::default();
    let (id, outcome) = match serde_json::from_str::<Value>(text) {
        Err(error) => (Value::Null, Err(Fault { code: 3, text: format!("Invalid JSON: {error}") })),
        Ok(command) => match id_of(&command) {
            Err(fault) => (Value::Null, Err(fault)),
            Ok(id) => (id, obey(session, &command, &mut reaction)),
        },
    };
    reaction.replies.push(match outcome {
        Ok(result) => format!(r#"{{"result":{result},"id":{id}}}"#),
        Err(Fault { code, text }) => format!(r#"{{"code":{code},"msg":{},"id":{id}}}"#, Value::from(text)),
    });
    reaction
}

/// An integer, a text of at most 36 characters, or null.
fn id_of(command: &Value) -> Result<Value, Fault> {
    let id = command.get("id").cloned().unwrap_or(Value::Null);
    match &id {
        Value::Null => Ok(id),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(id),
        Value::String(text) if text.chars().count() <= MAX_ID_CHARS => Ok(id),
        _ => Err(Fault::invalid_request("`id` must be an integer, a string of at most 36 characters or null")),
    }
}

fn obey(session: &mut Session, command: &Value, reaction: &mut Reaction) -> Result<Value, Fault> {
    let method = command.get("method").ok_or_else(|| Fault::invalid_request("missing field `method`"))?;
    match method.as_str() {
        Some("SUBSCRIBE") => {
            let streams = stream_params(command)?;
            let fresh = streams.iter().filter(|stream| !session.topics.contains(*stream)).count();
            if session.topics.len() + fresh > MAX_STREAMS {
                return Err(Fault::invalid_request("too many streams, at most 1024 per connection"));
            }
            for stream in streams {
                if session.topics.insert(stream.clone()) {
                    reaction.added.push(stream);
                }
            }
            Ok(Value::Null)
        }
        Some("UNSUBSCRIBE") => {
            for stream in stream_params(command)? {
                if session.topics.remove(&stream) {
                    reaction.removed.push(stream);
                }
            }
            Ok(Value::Null)
        }
        Some("LIST_SUBSCRIPTIONS") => Ok(session.topics.iter().map(String::as_str).collect()),
        Some("SET_PROPERTY") => {
            let [property, value] = property_params(command)?;
            combined(&property)?;
            session.form.wrapped = value
                .as_bool()
                .ok_or_else(|| Fault { code: 1, text: "Invalid value type: expected Boolean".to_owned() })?;
            Ok(Value::Null)
        }
        Some("GET_PROPERTY") => {
            let [property] = property_params(command)?;
            combined(&property)?;
            Ok(Value::Bool(session.form.wrapped))
        }
        _ => {
            let name = method.as_str().map_or_else(|| method.to_string(), ToOwned::to_owned);
            let known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`";
            Err(Fault::invalid_request(format_args!("unknown variant `{name}`, expected one of {known}")))
        }
    }
}

fn params(command: &Value) -> Result<&Vec<Value>, Fault> {
    let params = command.get("params").ok_or_else(|| Fault::invalid_request("missing field `params`"))?;
    params.as_array().ok_or_else(|| Fault::invalid_request("`params` must be an array"))
}

fn stream_params(command: &Value) -> Result<Vec<String>, Fault> {
    let names = params(command)?.iter().map(|name| name.as_str().map(ToOwned::to_owned));
    names.collect::<Option<_>>().ok_or_else(|| Fault::invalid_request("stream names must be strings"))
}

fn property_params<const COUNT: usize>(command: &Value) -> Result<[Value; COUNT], Fault> {
    let params = params(command)?.clone();
    params.try_into().map_err(|_| Fault::invalid_request(format_args!("`params` must have {COUNT} elements")))
}

/// The only property there is.
fn combined(property: &Value) -> Result<(), Fault> {
    if property == "combined" { Ok(()) } else { Err(Fault { code: 0, text: format!("Unknown property: {property}") }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(session: &mut Session, text: &str) -> Value {
        let reaction = receive(session, text);
        assert_eq!(reaction.replies.len(), 1);
        serde_json::from_str(&reaction.replies[0]).unwrap()
    }

    #[test]
    fn commands_change_the_session() {
        let session = &mut Session::default();
        let subscribe = r#"{"method":"SUBSCRIBE","params":["b@trade","a@trade"],"id":1}"#;
        assert_eq!(receive(session, subscribe).added, ["b@trade", "a@trade"]);
        assert_eq!(receive(session, subscribe).added, [""; 0], "already there");
        let unsubscribe = r#"{"method":"UNSUBSCRIBE","params":["b@trade","c@trade"],"id":"x"}"#;
        let reaction = receive(session, unsubscribe);
        assert_eq!(reaction.removed, ["b@trade"]);
        assert_eq!(reaction.replies, [r#"{"result":null,"id":"x"}"#]);
        let list = reply(session, r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#);
        assert_eq!(list, json!({"result": ["a@trade"], "id": 3}));
        assert_eq!(
            reply(session, r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#),
            json!({"result": null, "id": 5})
        );
        assert!(session.form.wrapped);
        let get = reply(session, r#"{"method":"GET_PROPERTY","params":["combined"],"id":null}"#);
        assert_eq!(get, json!({"result": true, "id": null}));
    }

    #[test]
    fn errors_have_the_documented_codes() {
        let session = &mut Session::default();
        for (text, code, id) in [
            (r#"{"method":"SET_PROPERTY","params":["other",true],"id":1}"#, 0, json!(1)),
            (r#"{"method":"SET_PROPERTY","params":["combined","yes"],"id":2}"#, 1, json!(2)),
            (r#"{"method":"SHOUT","params":[],"id":3}"#, 2, json!(3)),
            (r#"{"params":[],"id":4}"#, 2, json!(4)),
            (r#"{"method":"SUBSCRIBE","id":5}"#, 2, json!(5)),
            (r#"{"method":"SUBSCRIBE","params":[1],"id":6}"#, 2, json!(6)),
            (r#"{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}"#, 2, Value::Null),
            (
                r#"{"method":"SUBSCRIBE","params":["a@trade"],"id":"0123456789012345678901234567890123456"}"#,
                2,
                Value::Null,
            ),
            ("{", 3, Value::Null),
        ] {
            let reply = reply(session, text);
            assert_eq!((&reply["code"], &reply["id"]), (&json!(code), &id), "{text}");
            assert!(reply["msg"].is_string());
        }
        assert!(session.topics.is_empty());
    }

    #[test]
    fn the_1025th_stream_is_refused_whole() {
        let session = &mut Session::default();
        let streams: Vec<_> = (0..MAX_STREAMS).map(|index| format!("s{index}@trade")).collect();
        let text = json!({"method": "SUBSCRIBE", "params": streams, "id": 1}).to_string();
        assert_eq!(reply(session, &text)["result"], Value::Null);
        assert_eq!(session.topics.len(), MAX_STREAMS);
        let more = reply(session, r#"{"method":"SUBSCRIBE","params":["s0@trade","one@more"],"id":2}"#);
        assert_eq!(more["code"], 2);
        assert_eq!(session.topics.len(), MAX_STREAMS);
    }
}
