//! No frame panics, and neither the order of keys nor unknown ones nor white space nor escapes mean anything.

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;

use super::{
    entry::{self, Decoded},
    frames::FRAMES,
    *,
};

fn fresh(exchange: &str) -> Box<dyn Session> {
    match exchange {
        "level2" => entry::session(&exchange_protocol::coinbase::LEVEL2),
        "kraken-book" => entry::session(&exchange_protocol::kraken::BOOK),
        name => entry::session(venue(name).unwrap()),
    }
}

/// What comes of the last frame.
fn outcome(exchange: &str, frames: &[String]) -> Decoded {
    let mut session = fresh(exchange);
    frames.iter().map(|frame| entry::decode(session.as_mut(), frame)).last().unwrap()
}

fn canonical(exchange: &str, frames: &[&str]) -> Decoded {
    outcome(exchange, &frames.iter().map(|frame| (*frame).to_owned()).collect::<Vec<_>>())
}

/// How to write a value down in another way.
#[derive(Clone, Debug)]
struct Style {
    turn: usize,
    /// Between the parts.
    blank: &'static str,
    /// The value of an unknown key in every object.
    extra: &'static str,
    escaped: bool,
}

impl Style {
    fn write(&self, value: &Value) -> String {
        let Style { turn, blank, extra, .. } = self;
        match value {
            Value::Object(map) => {
                let field =
                    |(key, value): (&String, &Value)| format!("{}{blank}:{blank}{}", self.text(key), self.write(value));
                let mut fields: Vec<String> = map.iter().map(field).collect();
                let length = fields.len().max(1);
                fields.rotate_left(turn % length);
                if turn % 2 == 1 {
                    fields.reverse();
                }
                if !extra.is_empty() {
                    fields.insert(turn % length, format!("\"unknown_key\":{extra}"));
                }
                format!("{{{blank}{}{blank}}}", fields.join(&format!("{blank},{blank}")))
            }
            Value::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| self.write(element)).collect();
                format!("[{blank}{}{blank}]", elements.join(&format!("{blank},{blank}")))
            }
            Value::String(text) => self.text(text),
            other => other.to_string(),
        }
    }

    fn text(&self, text: &str) -> String {
        if self.escaped {
            format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>())
        } else {
            Value::from(text).to_string()
        }
    }
}

fn style() -> impl Strategy<Value = Style> {
    let extras = ["", "1", "\"x\"", "null", "-0.5", "{}", "[[1,\"a\"],{\"b\":[]}]", "1e5"];
    (0..12_usize, prop::sample::select(vec!["", "", " ", "\n\t"]), prop::sample::select(extras.to_vec()), any::<bool>())
        .prop_map(|(turn, blank, extra, escaped)| Style { turn, blank, extra, escaped })
}

#[test]
fn every_frame_is_understood() {
    for (exchange, frames) in FRAMES {
        let (result, _) = canonical(exchange, frames);
        assert!(result.is_ok(), "{frames:?}: {result:?}");
    }
}

/// All the ways to write a value down with one key twice.
fn doubled(value: &Value) -> Vec<String> {
    let nested = |value: &Value, inner: &Value| -> Vec<String> {
        let (whole, inner_text) = (value.to_string(), inner.to_string());
        doubled(inner).iter().map(|inner| whole.replacen(&inner_text, inner, 1)).collect()
    };
    match value {
        Value::Object(map) => {
            let twice = |(key, inner): (&String, &Value)| {
                let mut ways = nested(value, inner);
                ways.push(format!("{{{}:{inner},{}", Value::from(key.as_str()), &value.to_string()[1..]));
                ways
            };
            map.iter().flat_map(twice).collect()
        }
        Value::Array(elements) => elements.iter().flat_map(|element| nested(value, element)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_key_that_comes_twice_is_judged_the_same_by_scanner_and_decoder() {
    let mut ways = 0;
    for (exchange, frames) in FRAMES {
        let (last, before) = frames.split_last().unwrap();
        for frame in doubled(&serde_json::from_str(last).unwrap()) {
            let frames = |last: String| -> Vec<String> {
                before.iter().map(|frame| (*frame).to_owned()).chain([last]).collect()
            };
            let typed = outcome(exchange, &frames(format!(" {frame}")));
            assert_eq!(outcome(exchange, &frames(frame.clone())), typed, "{frame}");
            ways += 1;
        }
    }
    assert!(ways > 150, "{ways}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn the_way_it_is_written_means_nothing(which in 0..FRAMES.len(), style in style()) {
        let (exchange, frames) = FRAMES[which];
        let written: Vec<_> =
            frames.iter().map(|frame| style.write(&serde_json::from_str(frame).unwrap())).collect();
        prop_assert_eq!(outcome(exchange, &written), canonical(exchange, frames), "{:?}", written);
    }

    #[test]
    fn never_panics_on_bytes(mut data in vec(any::<u8>(), 0..200), which in 0..7_u8) {
        data.insert(0, which);
        entry::sessions(&data);
        entry::rest(&data);
    }

    #[test]
    fn never_panics_on_text(frame in ".{0,200}", which in 0..7_u8) {
        entry::sessions(&[&[which], frame.as_bytes()].concat());
    }

    /// Frames with bytes changed, cut and doubled; what scans them and what does not agree on every one.
    #[test]
    fn never_panics_on_damaged_frames(
        which in 0..FRAMES.len(),
        edits in vec((any::<Index>(), any::<Index>(), 0_u8..4), 1..8),
    ) {
        let (exchange, frames) = FRAMES[which];
        let mut bytes = frames.join("\n").into_bytes();
        // Bytes that mean something in JSON hit deeper than others.
        let palette = b"\"\\{}[],:.-+eE019 \n\tntfu\xc3\xa9\x00a";
        for (at, byte, action) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            let byte = palette[byte.index(palette.len())];
            match action {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 if !bytes.is_empty() => _ = bytes.remove(at),
                2 => bytes.truncate(at.max(20)),
                _ => bytes.insert(at, byte),
            }
        }
        let place = match exchange {
            "level2" => 5,
            "kraken-book" => 6,
            name => entry::venues().iter().position(|known| known.facts().name == name).unwrap(),
        };
        bytes.insert(0, u8::try_from(place).unwrap());
        entry::sessions(&bytes);
    }
}
