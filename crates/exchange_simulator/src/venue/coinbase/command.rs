//! Coinbase's subscribe and unsubscribe messages, their acks and errors.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{AUTHENTICATED_CHANNELS, Coinbase, topic};
use crate::venue::{Reaction, Refused, Session};

#[derive(Deserialize)]
struct Command {
    r#type: String,
    #[serde(default)]
    product_ids: Vec<String>,
    #[serde(default)]
    channels: Vec<Channel>,
}

/// A channel is named alone or with products of its own, which then add to those of the message.
#[derive(Deserialize)]
#[serde(untagged)]
enum Channel {
    Name(String),
    Detailed {
        name: String,
        #[serde(default)]
        product_ids: Vec<String>,
    },
}

impl Channel {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Detailed { name, .. } => name,
        }
    }

    fn own_products(&self) -> &[String] {
        match self {
            Self::Name(_) => &[],
            Self::Detailed { product_ids, .. } => product_ids,
        }
    }
}

pub(super) fn receive(venue: &Coinbase, session: &mut Session, command: &crate::venue::Command<'_>) -> Reaction {
    let crate::venue::Command { text, refused, .. } = *command;
    let mut reaction = Reaction::default();
    let command: Command = match serde_json::from_str(text) {
        Ok(command) => command,
        Err(error) => {
            reaction.replies.push(error_frame("Malformed JSON", &error.to_string()));
            return reaction;
        }
    };
    match command.r#type.as_str() {
        "subscribe" => subscribe(venue, session, &command, refused, &mut reaction),
        "unsubscribe" => unsubscribe(session, &command, &mut reaction),
        other => {
            let reason = format!("{other} is not a valid message type");
            reaction.replies.push(error_frame("Failed to process message", &reason));
            return reaction;
        }
    }
    reaction.replies.push(subscriptions(venue, session));
    reaction.told.clone_from(&reaction.added);
    reaction
}

fn subscribe(venue: &Coinbase, session: &mut Session, command: &Command, refused: &Refused, reaction: &mut Reaction) {
    let mut errors = Vec::new();
    let all = command.product_ids.iter().chain(command.channels.iter().flat_map(Channel::own_products));
    let spoiled = refused.spoils(all.map(String::as_str));
    if command.channels.is_empty() {
        errors.push("channels must be specified".to_owned());
    }
    for channel in &command.channels {
        let name = channel.name();
        if !venue.channels.contains(&name) {
            errors.push(if AUTHENTICATED_CHANNELS.contains(&name) {
                "level2, level3, and full channels now require authentication".to_owned()
            } else {
                format!("{name} is not a valid channel")
            });
            continue;
        }
        let products = command.product_ids.iter().chain(channel.own_products());
        let mut named = 0;
        for product in products {
            named += 1;
            if venue.products.contains(product) && refused.has(product) {
                reaction.struck = true;
                errors.push(format!("{product} is delisted"));
            } else if spoiled {
                // Some clients report that one bad product fails the whole request.
            } else if !venue.products.contains(product) {
                errors.push(format!("{product} is not a valid product"));
            } else if session.topics.insert(topic(name, product)) {
                reaction.added.push(topic(name, product));
            }
        }
        if named == 0 {
            errors.push(format!("{name} needs product_ids"));
        }
    }
    let mut told = Vec::new();
    for reason in errors {
        // A bad product is told of once, not once per channel.
        if !told.contains(&reason) {
            reaction.replies.push(error_frame("Failed to subscribe", &reason));
            told.push(reason);
        }
    }
}

fn unsubscribe(session: &mut Session, command: &Command, reaction: &mut Reaction) {
    for channel in &command.channels {
        let prefix = topic(channel.name(), "");
        let products: Vec<_> = command.product_ids.iter().chain(channel.own_products()).collect();
        let leaves = |held: &&String| {
            // Without any product the whole channel goes.
            held.strip_prefix(&prefix)
                .is_some_and(|product| products.is_empty() || products.iter().any(|named| *named == product))
        };
        let leaving: Vec<String> = session.topics.iter().filter(leaves).cloned().collect();
        session.topics.retain(|held| !leaving.contains(held));
        reaction.removed.extend(leaving);
    }
}

/// The ack: all that is subscribed now, not only what the last message asked for.
fn subscriptions(venue: &Coinbase, session: &Session) -> String {
    let mut products: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (channel, product) in session.topics.iter().filter_map(|topic| topic.split_once(':')) {
        products.entry(channel).or_default().push(product);
    }
    let channels: Vec<_> = venue
        .channels
        .iter()
        .filter_map(|name| products.get(name).map(|products| json!({"name": name, "product_ids": products})))
        .collect();
    format!(r#"{{"type":"subscriptions","channels":{}}}"#, Value::from(channels))
}

fn error_frame(message: &str, reason: &str) -> String {
    format!(r#"{{"type":"error","message":{},"reason":{}}}"#, Value::from(message), Value::from(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(venue: &Coinbase, session: &mut Session, text: &str) -> Reaction {
        let command = crate::venue::Command { text, now_us: 0, refused: &Refused::default() };
        super::receive(venue, session, &command)
    }

    fn check(session: &mut Session, text: &str, expected: &[Value]) -> Reaction {
        let venue = Coinbase::new(&["BTC-USD".into(), "ETH-USD".into()], false);
        let reaction = receive(&venue, session, text);
        let replies: Vec<Value> = reaction.replies.iter().map(|reply| serde_json::from_str(reply).unwrap()).collect();
        assert_eq!(replies, expected);
        reaction
    }

    #[test]
    fn both_forms_add_up_and_acks_are_cumulative() {
        let session = &mut Session::default();
        check(
            session,
            r#"{"type":"subscribe","product_ids":["ETH-USD"],"channels":["ticker"]}"#,
            &[json!({"type":"subscriptions","channels":[{"name":"ticker","product_ids":["ETH-USD"]}]})],
        );
        let text = r#"{"type":"subscribe","channels":[{"name":"matches","product_ids":["BTC-USD"]},"heartbeat","ticker"],
                       "product_ids":["ETH-USD"]}"#;
        let reaction = check(
            session,
            text,
            &[json!({"type":"subscriptions","channels":[
                {"name":"ticker","product_ids":["ETH-USD"]},
                {"name":"matches","product_ids":["BTC-USD","ETH-USD"]},
                {"name":"heartbeat","product_ids":["ETH-USD"]},
            ]})],
        );
        assert_eq!(reaction.added, ["matches:ETH-USD", "matches:BTC-USD", "heartbeat:ETH-USD"]);
        let reaction = check(
            session,
            r#"{"type":"unsubscribe","product_ids":["ETH-USD"],"channels":["matches","ticker"]}"#,
            &[json!({"type":"subscriptions","channels":[
                {"name":"matches","product_ids":["BTC-USD"]},
                {"name":"heartbeat","product_ids":["ETH-USD"]},
            ]})],
        );
        assert_eq!(reaction.removed, ["matches:ETH-USD", "ticker:ETH-USD"]);
        let reaction = check(
            session,
            r#"{"type":"unsubscribe","channels":["matches"]}"#,
            &[json!({"type":"subscriptions","channels":[{"name":"heartbeat","product_ids":["ETH-USD"]}]})],
        );
        assert_eq!(reaction.removed, ["matches:BTC-USD"]);
    }

    #[test]
    fn errors_name_the_reason_and_spare_the_good() {
        let failed = |reason: &str| json!({"type":"error","message":"Failed to subscribe","reason":reason});
        let good = json!({"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD"]}]});
        let session = &mut Session::default();
        check(
            session,
            r#"{"type":"subscribe","product_ids":["BTC-USD","FOO-USD"],"channels":["ticker"]}"#,
            &[failed("FOO-USD is not a valid product"), good.clone()],
        );
        check(
            session,
            r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["tickers"]}"#,
            &[failed("tickers is not a valid channel"), good.clone()],
        );
        check(
            session,
            r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2"]}"#,
            &[failed("level2, level3, and full channels now require authentication"), good.clone()],
        );
        check(session, r#"{"type":"subscribe","channels":["ticker"]}"#, &[failed("ticker needs product_ids"), good]);
        let venue = Coinbase::new(&[], false);
        for bad in ["{", "[]", "7", r#"{"type":"subscribe","channels":"ticker"}"#] {
            let replies = receive(&venue, session, bad).replies;
            assert!(replies.len() == 1 && replies[0].contains("Malformed JSON"), "{replies:?}");
        }
        assert!(
            receive(&venue, session, r#"{"type":"hello"}"#).replies[0].contains("hello is not a valid message type")
        );
    }
}
