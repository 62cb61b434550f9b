//! Exit codes and messages of `run` and `check-config`.

use super::*;

fn logger(args: &[&str], config: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("logger.yaml");
    fs::write(&file, config).unwrap();
    program().args(args).env("LOGGER_CONFIG", &file).current_dir(directory.path()).output().unwrap()
}

/// The configuration is refused with exit code 64, and the message has all of `parts`.
fn refused(args: &[&str], config: &str, parts: &[&str]) {
    for command in [&["check-config"][..], &["run"][..]] {
        let output = logger(&[command, args].concat(), config);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{config}: {message}");
        for part in parts {
            assert!(message.contains(part), "{config}: `{part}` is not in: {message}");
        }
    }
}

#[test]
fn wrong_configurations_are_named() {
    refused(&[], "flush_intervall: 5s\n", &["logger.yaml", "flush_intervall", "line 1"]);
    refused(&[], "exchanges:\n  coinbase:\n    symbol: [BTC-USD]\n", &["symbol", "line 3"]);
    refused(&[], "flush_interval: soon\n", &["`soon` is not a duration such as 500ms or 5s"]);
    refused(&[], "flush_interval: 1ms\n", &["flush_interval: 1ms is not between 10ms and 1m"]);
    refused(&[], "queue_capacity: many\n", &["queue_capacity", "line 1"]);
    refused(&[], "large_trade: -1\n", &["large_trade: must be a positive number"]);
    refused(
        &[],
        "exchanges:\n  mtgox: {}\n",
        &["exchanges: `mtgox` is not an exchange; known are binance, bitfinex, coinbase"],
    );
    refused(&[], "exchanges:\n  coinbase:\n    symbols: []\n", &["exchanges.coinbase.symbols: is empty"]);
    refused(&[], "exchanges:\n  coinbase:\n    symbols: [A-B, A-B]\n", &["`A-B` stands there twice"]);
    refused(&[], "exchanges:\n  coinbase:\n    symbols: ['../../etc']\n", &["exchanges.coinbase.symbols", "dot"]);
    refused(
        &[],
        "exchanges:\n  coinbase:\n    ws_url: http://x\n",
        &["exchanges.coinbase.ws_url: `http://x`", "wss://"],
    );
    refused(&[], "exchanges:\n  coinbase:\n    trades: aggTrade\n", &["exchanges.coinbase.trades", "binance only"]);
    refused(&[], "metrics_listen: ['here']\n", &["metrics_listen", "here", "HOST:PORT"]);
    refused(&["--exchanges", "mtgox"], "{}\n", &["--exchanges: `mtgox`"]);
    refused(&["--metrics-port", "99999"], "{}\n", &["--metrics-port", "99999"]);
    refused(&["--config", "/nowhere.yaml"], "{}\n", &["cannot read the configuration /nowhere.yaml"]);
    for url in ["wss://x:9443/ws", "wss://x?y=1", "wss://", "ws://x//"] {
        let config = format!("exchanges:\n  coinbase:\n    ws_url: {url}\n");
        refused(&[], &config, &["exchanges.coinbase.ws_url", "ws://HOST:PORT"]);
    }
    for url in ["https://x/api", "ftp://x", "http://user:secret@x", "x"] {
        let config = format!("exchanges:\n  coinbase:\n    rest_url: {url}\n");
        refused(&[], &config, &["exchanges.coinbase.rest_url", "https://HOST:PORT"]);
    }
    refused(&[], "exchanges:\n  coinbase:\n    exclude: ['']\n", &["exchanges.coinbase.exclude", "empty"]);
    refused(&[], "listing_refresh: 1ms\n", &["listing_refresh: 1ms is not between 1s and 7days"]);
    refused(&[], "exchanges:\n  binance:\n    symbols: [btcusdt]\n", &["`btcusdt` must be `BTCUSDT`"]);
    refused(&[], "exchanges:\n  binance:\n    ca_file: /nowhere.pem\n", &["exchanges.binance.ca_file", "/nowhere.pem"]);
    refused(&[], "queue_capacity: 4611686018427387904\n", &["queue_capacity", "more than 10000000"]);
    refused(&[], "exchanges: {}\n", &["exchanges: is empty"]);
    refused(&[], "metrics_listen: []\n", &["metrics_listen: is empty"]);
    refused(&["--log", "logger=wat"], "{}\n", &["--log (RUST_LOG)", "logger=wat"]);
    refused(&["--data-path", ""], "{}\n", &["data"]);
    refused(&["--metrics-tls-cert", "c.pem"], "{}\n", &["--metrics-tls-cert", "needs --metrics-tls-key"]);
    let both = ["--web-config", "web.yml", "--metrics-user", "prometheus"];
    refused(&both, "{}\n", &["--metrics-user (METRICS_USER) and --web-config", "web.yml"]);
    refused(&["--web-config", "/nowhere.yml"], "{}\n", &["/nowhere.yml"]);
    refused(&[], "web_config: /nowhere.yml\n", &["/nowhere.yml"]);
    refused(&["--frobnicate"], "{}\n", &["--frobnicate"]);
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = "data_path: /from/file\nsync_interval: 2s\nmetrics_listen: ['127.0.0.1:1', 'unix:/run/logger.sock,mode=0600']\n\
        web_config: /etc/web-config.yml\n\
        exchanges:\n  binance:\n    symbols: [BTCUSDT]\n    trades: aggTrade\n  coinbase: {}\n";
    let print = |args: &[&str]| {
        let output = logger(args, file);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let from_file = print(&["--print-config"]);
    for part in [
        "/from/file",
        "sync_interval: 2s",
        "flush_interval: 500ms",
        "127.0.0.1:1",
        "web-config.yml",
        "aggTrade",
        "DOGE-USD",
    ] {
        assert!(from_file.contains(part), "`{part}` is not in:\n{from_file}");
    }
    let flags = ["run", "--print-config", "--data-path", "/from/flag", "--metrics-port", "7", "--exchanges", "binance"];
    let from_flags = print(&flags);
    for part in ["/from/flag", "0.0.0.0:7", "BTCUSDT"] {
        assert!(from_flags.contains(part), "`{part}` is not in:\n{from_flags}");
    }
    assert!(!from_flags.contains("coinbase"), "{from_flags}");
    // What is printed can be read again.
    let again = logger(&["--print-config"], &from_file);
    assert_eq!(String::from_utf8_lossy(&again.stdout), from_file, "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn help_and_version_succeed() {
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["check-config"]] {
        let output = logger(args, "{}\n");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty());
    }
}

/// A clock that was once ahead must not make every later row a row of that day.
#[test]
fn files_of_the_future_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut store = column_store::Store::open(data.path(), column_store::Options::default()).unwrap();
    let series = store.series::<column_store::TradeRow>("coinbase", "BTC-USD").unwrap();
    let row = column_store::TradeRow {
        id: 1,
        event_ns: 0,
        receive_ns: 4_000_000_000_000_000_000,
        price: 1.0,
        size: 1.0,
        side: column_store::Side::Buy,
        maker_order_id: [0; 16],
        taker_order_id: [0; 16],
    };
    store.append(series, &row, column_store::TimeRule::Live).unwrap();
    store.flush(|_, _| {}).unwrap();
    drop(store);
    let config = format!("data_path: {}\nmetrics_listen: ['127.0.0.1:0']\n", data.path().display());
    let output = logger(&["run"], &config);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("coinbase/BTC-USD/TRADES") && message.contains("ahead of our clock"), "{message}");
}

#[test]
fn a_directory_in_use_and_an_address_in_use_are_named() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = format!("data_path: {}\nmetrics_listen: ['{address}']\n", data.path().display());
    let output = logger(&["run"], &config);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains(&address), "{message}");

    let _held = column_store::Store::open(data.path(), column_store::Options::default()).unwrap();
    let output = logger(&["run"], &config);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("locked by another logger"), "{message}");
}
