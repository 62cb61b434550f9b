//! The venues whose protocol is spoken here, as far as the benchmark needs it: how subscriptions are asked for and
//! acknowledged, and what a quote and a trade look like.

use serde_json::{Value, json};

/// Trade and quote ids begin here, so that all have the same number of digits.
pub(crate) const FIRST_ID: u64 = 1_000_000_000;

/// A venue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Venue {
    Binance,
}

/// A frame's text, and where in it digits are replaced each time it is sent.
pub(crate) struct Template {
    pub(crate) text: String,
    /// Where the ten digits of its id stand.
    pub(crate) id_at: Option<usize>,
    /// Where times stand, 16 digits of microseconds each.
    pub(crate) times_at: Vec<usize>,
}

/// What a client's frame asks for.
pub(crate) struct Asked {
    /// Symbols by stream; each counts once.
    pub(crate) streams: Vec<String>,
    pub(crate) answers: Vec<String>,
}

impl Venue {
    pub(crate) const ALL: [Venue; 1] = [Venue::Binance];

    pub(crate) fn exchange(self) -> &'static str {
        match self {
            Venue::Binance => "binance",
        }
    }

    pub(crate) fn symbol(self, index: usize) -> String {
        match self {
            Venue::Binance => format!("S{index:04}USDT"),
        }
    }

    /// The symbol of a stream's name, as it stands in the frames.
    pub(crate) fn symbol_of(self, stream: &str) -> String {
        match self {
            Venue::Binance => stream.split('@').next().unwrap().to_uppercase(),
        }
    }

    /// The directory name of a symbol.
    pub(crate) fn directory(self, symbol: &str) -> String {
        symbol.replace('/', "_")
    }

    /// Understands a subscription; none if the frame is something else.
    pub(crate) fn asked(self, frame: &str) -> Option<Asked> {
        let value: Value = serde_json::from_str(frame).ok()?;
        match self {
            Venue::Binance => {
                let streams =
                    value["params"].as_array()?.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
                Some(Asked { streams, answers: vec![json!({"result": null, "id": value["id"]}).to_string()] })
            }
        }
    }

    /// A quote whose prices differ from slot to slot of a block.
    pub(crate) fn quote(self, symbol: &str, slot: usize) -> Template {
        let (bid, ask) = (25.0 + slot as f64 / 1e4, 25.5 + slot as f64 / 1e4);
        match self {
            Venue::Binance => Template::new(format!(
                r#"{{"stream":"{}@bookTicker","data":{{"u":#ID#######,"s":"{symbol}","b":"{bid:.8}","B":"31.21000000","a":"{ask:.8}","A":"40.66000000"}}}}"#,
                symbol.to_lowercase()
            )),
        }
    }

    /// A trade.
    pub(crate) fn trade(self, symbol: &str, slot: usize) -> Template {
        let (price, maker) = (25.2 + slot as f64 / 1e4, slot % 2 == 0);
        match self {
            Venue::Binance => Template::new(format!(
                r#"{{"stream":"{}@trade","data":{{"e":"trade","E":#MICROSECONDS###,"s":"{symbol}","t":#ID#######,"p":"{price:.8}","q":"1.25000000","T":#MICROSECONDS###,"m":{maker},"M":true}}}}"#,
                symbol.to_lowercase()
            )),
        }
    }
}

impl Template {
    fn new(text: String) -> Template {
        let id_at = text.find("#ID#######");
        let times_at = text.match_indices("#MICROSECONDS###").map(|(at, _)| at).collect();
        Template { text, id_at, times_at }
    }
}
