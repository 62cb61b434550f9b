//! The configuration that makes a logger record a running simulator.

use std::fmt::Write;
use std::path::Path;

/// One venue in it.
pub(crate) struct VenueEntry<'a> {
    pub(crate) name: &'static str,
    pub(crate) ws_url: String,
    pub(crate) rest_url: String,
    pub(crate) symbols: &'a [String],
    /// Trades are to be taken from aggTrade streams.
    pub(crate) agg_trades: bool,
    /// Certificate to trust.
    pub(crate) ca_file: Option<&'a Path>,
}

/// The YAML text, ending with a line break.
pub(crate) fn render<'a>(venues: impl Iterator<Item = VenueEntry<'a>>) -> String {
    let mut yaml = "exchanges:\n".to_owned();
    for venue in venues {
        let symbols: Vec<String> = venue.symbols.iter().map(|symbol| quoted(symbol)).collect();
        // Writing to a String does not fail.
        let _ = writeln!(yaml, "  {}:", venue.name);
        let _ = writeln!(yaml, "    ws_url: {}", quoted(&venue.ws_url));
        let _ = writeln!(yaml, "    rest_url: {}", quoted(&venue.rest_url));
        let _ = writeln!(yaml, "    symbols: [{}]", symbols.join(", "));
        if venue.agg_trades {
            let _ = writeln!(yaml, "    trades: aggTrade");
        }
        if let Some(ca_file) = venue.ca_file {
            let _ = writeln!(yaml, "    ca_file: {}", quoted(&ca_file.to_string_lossy()));
        }
    }
    yaml
}

/// A double-quoted YAML scalar; JSON's escapes are all YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_exactly_the_keys_the_logger_knows() {
        let coinbase = ["BTC-USD".to_owned(), "ETH-USD".to_owned()];
        let binance = ["BTCUSDT".to_owned()];
        let plain = VenueEntry {
            name: "coinbase",
            ws_url: "ws://127.0.0.1:41001".to_owned(),
            rest_url: "http://127.0.0.1:41002".to_owned(),
            symbols: &coinbase,
            agg_trades: false,
            ca_file: None,
        };
        let full = VenueEntry {
            name: "binance",
            ws_url: "wss://localhost:41003".to_owned(),
            rest_url: "http://127.0.0.1:41004".to_owned(),
            symbols: &binance,
            agg_trades: true,
            ca_file: Some(Path::new("/tmp/a \"b\".pem")),
        };
        let expected = r#"exchanges:
  coinbase:
    ws_url: "ws://127.0.0.1:41001"
    rest_url: "http://127.0.0.1:41002"
    symbols: ["BTC-USD", "ETH-USD"]
  binance:
    ws_url: "wss://localhost:41003"
    rest_url: "http://127.0.0.1:41004"
    symbols: ["BTCUSDT"]
    trades: aggTrade
    ca_file: "/tmp/a \"b\".pem"
"#;
        assert_eq!(render([plain, full].into_iter()), expected);
    }
}
