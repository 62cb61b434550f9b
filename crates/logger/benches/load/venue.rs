//! The venues whose protocol is spoken here, as far as the benchmark needs it: how subscriptions are asked for and
//! acknowledged, and what a quote and a trade look like.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Ids begin here, so that all have the same number of digits.
pub(crate) const FIRST_ID: u64 = 1_000_000_000;

/// A venue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Venue {
    /// Numbered quotes, decimals as texts.
    Binance,
    /// Quotes without numbers, decimals as JSON numbers, times as texts.
    Kraken,
}

/// A frame's text, and where in it something is replaced each time it is sent.
pub(crate) struct Template {
    pub(crate) text: String,
    /// Where the ten digits of its id stand.
    pub(crate) id_at: usize,
    /// Where times stand.
    pub(crate) times_at: Vec<usize>,
}

/// What a client's frame asks for.
pub(crate) struct Asked {
    /// Symbols, one for each stream.
    pub(crate) symbols: Vec<String>,
    pub(crate) answers: Vec<String>,
}

const ID: &str = "#ID#######";

impl Venue {
    pub(crate) const ALL: [Venue; 2] = [Venue::Binance, Venue::Kraken];

    pub(crate) fn exchange(self) -> &'static str {
        match self {
            Venue::Binance => "binance",
            Venue::Kraken => "kraken",
        }
    }

    pub(crate) fn symbol(self, index: usize) -> String {
        match self {
            Venue::Binance => format!("S{index:04}USDT"),
            Venue::Kraken => format!("S{index:04}/USD"),
        }
    }

    /// The directory name of a symbol.
    pub(crate) fn directory(self, symbol: &str) -> String {
        symbol.replace('/', "_")
    }

    /// A time as it stands in a frame.
    pub(crate) fn time(self, now: Timestamp) -> String {
        match self {
            Venue::Binance => now.as_microsecond().to_string(),
            Venue::Kraken => now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        }
    }

    /// What it sends every second while nothing else comes.
    pub(crate) fn heartbeat(self) -> Option<&'static str> {
        match self {
            Venue::Binance => None,
            Venue::Kraken => Some(r#"{"channel":"heartbeat"}"#),
        }
    }

    /// Understands a subscription; none if the frame is something else.
    pub(crate) fn asked(self, frame: &str) -> Option<Asked> {
        let value: Value = serde_json::from_str(frame).ok()?;
        let names = |names: &Value| -> Option<Vec<String>> {
            names.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        match self {
            Venue::Binance => {
                let streams = names(&value["params"])?;
                let symbol = |stream: &String| stream.split('@').next().unwrap().to_uppercase();
                let answers = vec![json!({"result": null, "id": value["id"]}).to_string()];
                Some(Asked { symbols: streams.iter().map(symbol).collect(), answers })
            }
            Venue::Kraken => {
                let (symbols, channel) = (names(&value["params"]["symbol"])?, &value["params"]["channel"]);
                let mut answers = Vec::new();
                for symbol in &symbols {
                    let result = json!({"channel": channel, "symbol": symbol, "snapshot": true});
                    let answer =
                        json!({"method": "subscribe", "result": result, "success": true, "req_id": value["req_id"]});
                    answers.push(answer.to_string());
                    let first = if channel == "ticker" { self.quote(symbol, 0) } else { self.trade(symbol, 0) };
                    answers.push(first.first(self).replace(r#""update""#, r#""snapshot""#));
                }
                Some(Asked { symbols, answers })
            }
        }
    }

    /// A quote whose prices differ from slot to slot of a block.
    pub(crate) fn quote(self, symbol: &str, slot: usize) -> Template {
        let (bid, ask) = (25.0 + slot as f64 / 1e4, 25.5 + slot as f64 / 1e4);
        self.template(match self {
            Venue::Binance => format!(
                r#"{{"stream":"{}@bookTicker","data":{{"u":{ID},"s":"{symbol}","b":"{bid:.8}","B":"31.21000000","a":"{ask:.8}","A":"40.66000000"}}}}"#,
                symbol.to_lowercase()
            ),
            // Its bid is its number.
            Venue::Kraken => format!(
                r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{ID}.5,"bid_qty":1.25000000,"ask":2000000000.5,"ask_qty":0.84000000,"last":{ask:.4},"volume":4210.42000000,"vwap":25.1,"low":24.2,"high":26.4,"change":0.1,"change_pct":0.4,"timestamp":"{}"}}]}}"#,
                self.time_place()
            ),
        })
    }

    /// A trade.
    pub(crate) fn trade(self, symbol: &str, slot: usize) -> Template {
        let (price, sells, time) = (25.2 + slot as f64 / 1e4, slot.is_multiple_of(2), self.time_place());
        self.template(match self {
            Venue::Binance => format!(
                r#"{{"stream":"{}@trade","data":{{"e":"trade","E":{time},"s":"{symbol}","t":{ID},"p":"{price:.8}","q":"1.25000000","T":{time},"m":{sells},"M":true}}}}"#,
                symbol.to_lowercase()
            ),
            Venue::Kraken => format!(
                r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"{}","price":{price:.4},"qty":1.25000000,"ord_type":"limit","trade_id":{ID},"timestamp":"{time}"}}]}}"#,
                if sells { "sell" } else { "buy" }
            ),
        })
    }

    /// What stands where a time will stand.
    fn time_place(self) -> String {
        "#".to_owned() + &"T".repeat(self.time(Timestamp::now()).len() - 1)
    }

    fn template(self, text: String) -> Template {
        let id_at = text.find(ID).unwrap();
        let times_at = text.match_indices(&self.time_place()).map(|(at, _)| at).collect();
        Template { text, id_at, times_at }
    }
}

impl Template {
    /// The frame with the id before [`FIRST_ID`].
    fn first(&self, venue: Venue) -> String {
        let time = venue.time(Timestamp::now());
        let before = (FIRST_ID - 1).to_string();
        self.text.replace(ID, &before).replace(&venue.time_place(), &time)
    }
}
