//! `/api/stream`.

use std::{
    fs,
    io::Write as _,
    net::{Shutdown, TcpStream},
};

use column_store::{MdRow, Options, Store, TimeRule};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, protocol::CloseFrame};
use ultra_low_latency_server_chunked_parallel::{ApiLimits, Config, Limits};

use crate::{
    DAY,
    client::{connect, receive, request},
    running::{Running, config},
    wait_until,
    written::{column_file, quote, quotes, write, write_btc},
};

struct Streaming(WebSocket<TcpStream>);

impl Streaming {
    fn open(server: &Running) -> Streaming {
        let (socket, _) = tungstenite::client("ws://test/api/stream", connect(server.data)).unwrap();
        Streaming(socket)
    }

    fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    /// The next event, or how the server closed.
    fn hear(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => return Err(frame),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn subscribe(&mut self, id: &str, symbol: &str, columns: &[&str], more: Value) -> Value {
        let mut wish = json!({"op": "subscribe", "id": id, "symbol": symbol, "type": "MD", "columns": columns});
        let Value::Object(more) = more else { panic!("no object: {more}") };
        wish.as_object_mut().unwrap().extend(more);
        self.say(&wish);
        self.hear().unwrap()
    }

    /// The rows of a subscription up to `count`, and the last cursor.
    fn rows(&mut self, id: &str, count: usize) -> (Vec<Value>, String) {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        while rows.len() < count {
            let event = self.hear().unwrap();
            if event["event"] == "rows" && event["id"] == id {
                rows.extend(event["rows"].as_array().unwrap().clone());
                cursor = event["cursor"].as_str().unwrap().to_owned();
            }
        }
        (rows, cursor)
    }
}

fn start(mut api: ApiLimits) -> (TempDir, Running) {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY - 1, DAY, DAY, DAY + 5]));
    api.stream_poll_ms = 20;
    let server = Running::with_limits(root.path(), Limits { api, ..Limits::default() });
    (root, server)
}

#[test]
fn rows_come_as_they_are_committed() {
    let (root, server) = start(ApiLimits::default());
    let mut client = Streaming::open(&server);
    let subscribed = client.subscribe("btc", "BTC-USD", &["time", "event_id", "price_f64"], json!({}));
    let expected = json!({"event": "subscribed", "id": "btc", "columns": ["time", "event_id", "price_f64"], "cursor": "18.11.26:3"});
    assert_eq!(subscribed, expected);
    assert_eq!(client.hear().unwrap(), json!({"event": "live", "id": "btc"}));
    // Within the day, over midnight, and from another writer.
    for (second, id) in [(DAY + 6, 10), (DAY + 86_400, 11), (DAY + 86_400, 12), (DAY + 3 * 86_400, u64::MAX)] {
        let unknown = MdRow { price: f64::NAN, ..quote(second, 0, id) };
        write_btc(root.path(), &[unknown]);
        assert_eq!(client.rows("btc", 1).0, [json!([second, id, null])]);
    }
    // Another series, on the same connection; one that nobody asked for tells nothing.
    write(root.path(), "coinbase", "ETH-USD", &quotes(&[DAY]));
    write(root.path(), "coinbase", "SOL-USD", &quotes(&[DAY]));
    assert_eq!(client.subscribe("eth", "ETH-USD", &["time"], json!({}))["event"], "subscribed");
    write(root.path(), "coinbase", "SOL-USD", &quotes(&[DAY + 1]));
    write(root.path(), "coinbase", "ETH-USD", &quotes(&[DAY + 2]));
    assert_eq!(client.rows("eth", 1).0, [json!([DAY + 2])]);
    assert_eq!(server.sample("gpu_charts_server_stream_clients"), 1.0);
    assert_eq!(server.sample("gpu_charts_server_stream_subscriptions"), 2.0);
    assert_eq!(server.sample("gpu_charts_server_stream_rows_total"), 5.0);
    client.say(&json!({"op": "unsubscribe", "id": "eth"}));
    assert_eq!(client.hear().unwrap(), json!({"event": "unsubscribed", "id": "eth"}));
    write(root.path(), "coinbase", "ETH-USD", &quotes(&[DAY + 3]));
    write_btc(root.path(), &quotes(&[DAY + 3 * 86_400 + 1]));
    assert_eq!(client.hear().unwrap()["id"], "btc");
    client.0.close(None).unwrap();
    wait_until("the client is gone", || server.sample("gpu_charts_server_stream_clients") == 0.0);
    assert_eq!(server.sample("gpu_charts_server_stream_subscriptions"), 0.0);
    assert_eq!(server.sample("gpu_charts_server_streams_closed_total{reason=\"client\"}"), 1.0);
}

#[test]
fn a_stream_is_taken_up_where_it_was_left() {
    let (root, server) = start(ApiLimits { stream_message_rows: 2, ..ApiLimits::default() });
    let ns = |second: u32| u64::from(second) * 1_000_000_000;
    let since = |since: Value| {
        let mut client = Streaming::open(&server);
        client.subscribe("x", "BTC-USD", &["time"], json!({"since_ns": since}));
        let mut rows = Vec::new();
        loop {
            let event = client.hear().unwrap();
            if event["event"] == "live" {
                return rows;
            }
            rows.extend(
                event["rows"].as_array().unwrap().iter().map(|row| row[0].as_u64().unwrap() - u64::from(DAY - 1)),
            );
        }
    };
    assert_eq!(since(json!(0)), [0, 1, 1, 6]);
    assert_eq!(since(json!(ns(DAY - 1))), [0, 1, 1, 6]);
    assert_eq!(since(json!(ns(DAY - 1) + 1)), [1, 1, 6]);
    assert_eq!(since(json!(ns(DAY).to_string())), [1, 1, 6]);
    assert_eq!(since(json!(ns(DAY) + 1)), [6]);
    assert_eq!(since(json!(ns(DAY + 100))), [] as [u64; 0]);
    assert_eq!(since(json!(ns(DAY + 9 * 86_400))), [] as [u64; 0]);
    // By cursors every row comes once, wherever the connection breaks.
    let (mut cursor, mut times) = ("17.11.26:0".to_owned(), Vec::new());
    write_btc(root.path(), &quotes(&[DAY + 86_400]));
    while times.len() < 5 {
        let mut client = Streaming::open(&server);
        client.subscribe("x", "BTC-USD", &["time"], json!({"cursor": cursor}));
        let (rows, next) = client.rows("x", 1);
        times.extend(rows.iter().map(|row| row[0].as_u64().unwrap() as u32));
        cursor = next;
    }
    assert_eq!(times, [DAY - 1, DAY, DAY, DAY + 5, DAY + 86_400]);
    assert_eq!(cursor, "19.11.26:1");
}

/// Of a message that is longer than what may wait for the socket, nothing would be sent.
#[test]
fn many_columns_make_messages_of_fewer_rows() {
    let (root, server) = start(ApiLimits { stream_message_rows: 10_000, ..ApiLimits::default() });
    write(root.path(), "coinbase", "ETH-USD", &quotes(&[DAY; 4_000]));
    let mut client = Streaming::open(&server);
    client.subscribe("x", "ETH-USD", &["event_ns"; 64], json!({"since_ns": 0}));
    let (rows, cursor) = client.rows("x", 4_000);
    assert_eq!((rows.len(), cursor.as_str()), (4_000, "18.11.26:4000"));
    assert_eq!(client.hear().unwrap()["event"], "live");
}

#[test]
fn days_without_a_column_and_rows_that_were_cut_are_told() {
    let (root, server) = start(ApiLimits::default());
    write_btc(root.path(), &quotes(&[DAY + 86_400]));
    fs::remove_file(column_file(root.path(), "MD", "side", "18.11.26")).unwrap();
    let mut client = Streaming::open(&server);
    client.subscribe("x", "BTC-USD", &["time", "side"], json!({"since_ns": 0}));
    assert_eq!(client.hear().unwrap()["rows"], json!([[DAY - 1, 1]]));
    let missing = json!({"event": "missing", "id": "x", "day": "18.11.26", "column": "side"});
    assert_eq!(client.hear().unwrap(), missing);
    assert_eq!(client.hear().unwrap()["rows"], json!([[DAY + 86_400, 1]]));
    assert_eq!(client.hear().unwrap()["event"], "live");
    let time = fs::File::options().write(true).open(column_file(root.path(), "MD", "time", "19.11.26")).unwrap();
    time.set_len(0).unwrap();
    assert_eq!(client.hear().unwrap(), json!({"event": "cut", "id": "x", "cursor": "19.11.26:0"}));
}

#[test]
fn wishes_that_cannot_be_granted_are_told() {
    let (_root, server) = start(ApiLimits { stream_subscriptions: 2, ..ApiLimits::default() });
    let mut client = Streaming::open(&server);
    let error = |answer: Value| (answer["event"] == "error").then(|| answer["error"].as_str().unwrap().to_owned());
    let mut check = |id: &str, symbol: &str, columns: &[&str], more: Value, expected: &str| {
        assert_eq!(error(client.subscribe(id, symbol, columns, more)).as_deref(), Some(expected));
    };
    check("", "BTC-USD", &["time"], json!({}), "Invalid id: it has 1 to 64 bytes");
    check("x", "..", &["time"], json!({}), "Invalid symbol: it begins with a dot");
    check("x", "NONE", &["time"], json!({}), "Not found: symbol coinbase/NONE");
    check("x", "BTC-USD", &["time"], json!({"exchange": "nowhere"}), "Not found: exchange nowhere");
    check("x", "BTC-USD", &["time"], json!({"type": "X"}), "Invalid type: X is neither MD nor TRADES");
    check("x", "BTC-USD", &["time"], json!({"since_ns": "x"}), "Invalid since_ns: it is no number");
    check("x", "BTC-USD", &["time"], json!({"cursor": "1"}), "Invalid cursor: it is not of the form DD.MM.YY:row");
    let both = json!({"cursor": "17.11.26:0", "since_ns": 1});
    check("x", "BTC-USD", &["time"], both, "Invalid cursor: since_ns is given too");
    let mut client = Streaming::open(&server);
    let fault = error(client.subscribe("x", "BTC-USD", &["nope"], json!({}))).unwrap();
    assert!(fault.starts_with("Invalid columns: there is no column nope; MD has time, "), "{fault}");
    for text in ["", "{", "[]", r#"{"op":"dance"}"#, r#"{"op":"unsubscribe"}"#] {
        client.0.send(Message::text(text)).unwrap();
        let answer = client.hear().unwrap();
        assert_eq!(answer["id"], Value::Null);
        assert!(error(answer).unwrap().starts_with("Invalid message: "), "{text}");
    }
    client.say(&json!({"op": "unsubscribe", "id": "x"}));
    assert_eq!(error(client.hear().unwrap()).unwrap(), "Not found: there is no subscription of that id");
    let mut client = Streaming::open(&server);
    for id in ["a", "b"] {
        assert_eq!(client.subscribe(id, "BTC-USD", &["time"], json!({}))["event"], "subscribed");
        assert_eq!(client.hear().unwrap()["event"], "live");
    }
    assert_eq!(
        error(client.subscribe("a", "BTC-USD", &["time"], json!({}))).unwrap(),
        "Invalid id: there is a subscription of that id"
    );
    let fault = error(client.subscribe("c", "BTC-USD", &["time"], json!({}))).unwrap();
    assert_eq!(fault, "Too many subscriptions: at most 2 on one connection");
    let refused = "gpu_charts_server_requests_refused_total{reason=\"stream_subscriptions\"}";
    assert_eq!(server.sample(refused), 1.0);
    client.0.send(Message::binary(vec![1])).unwrap();
    let closed = client.hear().unwrap_err().unwrap();
    assert_eq!((u16::from(closed.code), closed.reason.as_str()), (1003, "messages are JSON texts"));
}

/// A frame that is announced must not be waited for: what came of it would be held.
#[test]
fn a_frame_that_announces_too_much_ends_the_stream() {
    let (_root, server) = start(ApiLimits::default());
    let ended = || server.sample("gpu_charts_server_streams_closed_total{reason=\"client\"}");
    let text = |bytes: usize| format!("{:1$}", "", bytes);
    let mut client = Streaming::open(&server);
    client.0.send(Message::text(text(16 * 1024))).unwrap();
    assert_eq!(client.hear().unwrap()["event"], "error");
    // A masked text's head, and nothing of the text.
    let length = (16 * 1024 + 1_u64).to_be_bytes();
    client.0.get_mut().write_all(&[&[0x81, 0xFF][..], &length, &[0; 4]].concat()).unwrap();
    wait_until("the stream is ended", || ended() == 1.0);
}

#[test]
fn places_are_limited() {
    let (_root, server) = start(ApiLimits { stream_clients: 2, ..ApiLimits::default() });
    let held = [Streaming::open(&server), Streaming::open(&server)];
    let handshake = "GET /api/stream HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let knock = || {
        let mut stream = connect(server.data);
        stream.write_all(handshake.as_bytes()).unwrap();
        receive(&mut stream, true).unwrap()
    };
    let refused = knock().expect(503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(server.sample("gpu_charts_server_requests_refused_total{reason=\"stream_clients\"}"), 1.0);
    // A connection that breaks without a word gives its place back.
    for client in held {
        client.0.get_ref().shutdown(Shutdown::Both).unwrap();
    }
    wait_until("there is a place", || knock().status == 101);
    let plain = request(server.data, "GET", "/api/stream").expect(426);
    assert_eq!((plain.text(), plain.header("upgrade")), ("This path is a WebSocket", Some("websocket")));
}

#[test]
fn a_slow_client_is_dropped_and_told() {
    let api = ApiLimits { stream_stall_ms: 300, stream_behind_rows: 100_000, ..ApiLimits::default() };
    let (root, server) = start(api);
    let mut slow = Streaming::open(&server);
    slow.subscribe("x", "BTC-USD", &["time", "nanos", "price_f64", "event_ns", "receive_ns"], json!({}));
    assert_eq!(slow.hear().unwrap()["event"], "live");
    let mut store = Store::open(root.path(), Options::default()).unwrap();
    let series = store.series::<MdRow>("coinbase", "BTC-USD").unwrap();
    let dropped = || server.sample("gpu_charts_server_streams_closed_total{reason=\"slow\"}");
    // More than all buffers on the way hold; it is dropped for taking nothing or for being behind, whichever comes first.
    let mut id = 100;
    wait_until("it is dropped", || {
        for _ in 0..20_000 {
            id += 1;
            store.append(series, &quote(DAY + 10, 0, id), TimeRule::Filled).unwrap();
        }
        store.flush(|_, _| ()).unwrap();
        dropped() == 1.0
    });
    let closed = loop {
        match slow.0.read() {
            Ok(Message::Close(frame)) => break frame.unwrap(),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(u16::from(closed.code), 1013);
    assert!(closed.reason.starts_with("too slow: "), "{}", closed.reason);
    // Others go on.
    let mut other = Streaming::open(&server);
    assert_eq!(other.subscribe("x", "BTC-USD", &["time"], json!({}))["event"], "subscribed");
}

#[test]
fn streams_end_with_the_server() {
    let (_root, server) = start(ApiLimits::default());
    let mut client = Streaming::open(&server);
    client.subscribe("x", "BTC-USD", &["time"], json!({}));
    assert_eq!(client.hear().unwrap()["event"], "live");
    server.begin_shutdown();
    let closed = client.hear().unwrap_err().unwrap();
    assert_eq!((u16::from(closed.code), closed.reason.as_str()), (1001, "the server is stopping"));
    server.join().unwrap();
}

#[test]
fn only_pages_of_named_sites_may_follow() {
    let root = TempDir::new().unwrap();
    let cors_origins = vec!["https://charts.example".to_owned()];
    let server = Running::with_config(Config { cors_origins, ..config(root.path()) });
    let open = |origin: &str| {
        let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut stream = connect(server.data);
        let head = format!("GET /api/stream HTTP/1.1\r\nHost: own.example:8443\r\n{lines}{key}{origin}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        receive(&mut stream, true).unwrap()
    };
    // No browser, a named site, the server's own page.
    for origin in ["", "Origin: https://charts.example\r\n", "Origin: http://own.example:8443\r\n"] {
        assert_eq!(open(origin).status, 101, "{origin}");
    }
    for origin in ["https://evil.example", "https://charts.example.evil.example", "null"] {
        let refused = open(&format!("Origin: {origin}\r\n"));
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None), "{origin}");
    }
    assert_eq!(server.sample("gpu_charts_server_requests_refused_total{reason=\"stream_origin\"}"), 3.0);
    let open_to_all = Running::start(root.path());
    let (_socket, _) = tungstenite::client("ws://test/api/stream", connect(open_to_all.data)).unwrap();
}
