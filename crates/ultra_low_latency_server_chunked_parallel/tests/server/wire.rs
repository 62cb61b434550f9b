//! Bytes on the wire of the plain port: what is answered at once, what is handed over, and what is wrong with neither.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    DAY, DEADLINE,
    client::{connect, drain, receive, receive_head},
    running::Running,
    wait_until,
    written::{quotes, seal_btc, write_btc, write_large_day},
};

fn target(end: u32) -> String {
    format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={end}&columns=time")
}

fn recorded() -> (TempDir, Running) {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&(0..100).map(|second| DAY + second).collect::<Vec<_>>()));
    let server = Running::start(root.path());
    (root, server)
}

/// All bytes until the server hangs up.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // A reset after the answer is an end too.
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("the server does not hang up: {error} after {:?}", String::from_utf8_lossy(&bytes)),
    }
}

/// Sends bytes and returns the statuses of all answers, after which the server must hang up.
fn statuses(server: &Running, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(server.data);
    // The server may have hung up before all of them were sent.
    _ = stream.write_all(bytes);
    let text = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
    let lines = text.match_indices("HTTP/1.1 ").chain(text.match_indices("HTTP/1.0 "));
    lines.map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

fn with_head(lines: &str) -> Vec<u8> {
    format!("GET {} HTTP/1.1\r\n{lines}\r\n", target(DAY)).into_bytes()
}

#[test]
fn requests_in_one_pipe_are_answered_in_order() {
    let (_root, server) = recorded();
    let mut stream = connect(server.data);
    // More than one read takes, of both ways, with one that the general way answers at the end.
    let mut bytes = Vec::new();
    for number in 0..400 {
        bytes.extend(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(DAY + number % 100)).bytes());
    }
    bytes.extend(b"GET /api/symbols HTTP/1.1\r\nHost: a\r\n\r\n");
    bytes.extend(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(DAY + 5)).bytes());
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(&bytes).unwrap());
    for number in 0..400 {
        let rows = receive(&mut stream, false).unwrap().expect(200).u32s();
        assert_eq!(rows.len() as u32, number % 100 + 1, "{number}");
    }
    assert!(receive(&mut stream, false).unwrap().text().contains("BTC-USD"));
    assert_eq!(receive(&mut stream, false).unwrap().u32s().len(), 6);
    sending.join().unwrap();
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let (_root, server) = recorded();
    let mut stream = connect(server.data);
    for _ in 0..2 {
        for byte in format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(DAY + 1)).bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(receive(&mut stream, false).unwrap().u32s(), [DAY, DAY + 1]);
    }
}

#[test]
fn both_ways_answer_alike() {
    let (root, server) = recorded();
    write_large_day(root.path(), DAY + 86_400, "19.11.26", 200_000);
    seal_btc(root.path(), "18.11.26");
    let day = DAY + 86_400;
    let queries = [
        format!("symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price,time"),
        format!("symbol=BTC-USD&type=MD&start={day}&end={day}&columns=time,price"),
        format!("symbol=BTC-USD&type=MD&start={day}&end={day}&columns=time,price&max_points=60000"),
        format!("symbol=NOPE&type=MD&start={DAY}&end={DAY}&columns=time"),
        format!("symbol=NOPE&type=MD&start={DAY}&end={DAY}&columns=time&strict=1"),
        format!("symbol=BTC-USD&type=MD&start={DAY}&end=0&columns=time"),
        "symbol=..&type=MD&start=0&end=0&columns=time".to_owned(),
        String::new(),
    ];
    for query in queries {
        for method in ["GET", "HEAD"] {
            // An `Accept` with two parts is not for the fast way, and means the same.
            let answers = ["", "Accept: */*, application/octet-stream\r\n"].map(|accept| {
                let mut stream = connect(server.data);
                stream
                    .write_all(format!("{method} /api/data?{query} HTTP/1.1\r\nHost: a\r\n{accept}\r\n").as_bytes())
                    .unwrap();
                let mut answer = receive(&mut stream, method == "HEAD").unwrap();
                answer.headers.retain(|(name, _)| name != "date");
                answer.headers.sort();
                answer
            });
            let [fast, general] = &answers;
            assert_eq!((fast.status, &fast.headers), (general.status, &general.headers), "{method} {query}");
            assert!(fast.body == general.body, "{method} {query}");
        }
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let (root, server) = recorded();
    let ask = |target: &str, lines: &str| {
        let mut stream = connect(server.data);
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes()).unwrap();
        let head = receive_head(&mut stream).unwrap();
        let etag = head.header("etag").map(str::to_owned);
        (head.status, etag, head.header("content-length").map(str::to_owned))
    };
    assert_eq!(ask(&target(DAY), "").1, None, "the day may still grow");
    seal_btc(root.path(), "18.11.26");
    let (status, etag, _) = ask(&target(DAY), "");
    let etag = etag.unwrap();
    assert_eq!(status, 200);
    for lines in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"x\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-None-Match: {etag}\r\nAccept: */*, */*\r\n"),
    ] {
        assert_eq!(ask(&target(DAY), &lines), (304, Some(etag.clone()), None), "{lines}");
    }
    let stale = ask(&target(DAY), "If-None-Match: \"x\"\r\n");
    assert_eq!((stale.0, stale.1.as_ref()), (200, Some(&etag)));
    // Everything that makes another answer makes another name.
    let mut names = vec![etag];
    for other in [
        target(DAY + 1),
        target(DAY).replace("=time", "=time,price"),
        target(DAY).replace("=time", "=price,time"),
        target(DAY) + "&max_points=3",
        target(DAY) + "&max_points=4",
    ] {
        let name = ask(&other, "").1.unwrap();
        assert!(!names.contains(&name), "{other}");
        names.push(name);
    }
    // A late row: the day is not sealed any more, and what the client has is not what is there.
    write_btc(root.path(), &quotes(&[DAY + 200]));
    wait_until("the seal's end is seen", || ask(&target(DAY), "").1.is_none());
    let mut stream = connect(server.data);
    stream.write_all(&with_head(&format!("Host: a\r\nIf-None-Match: {}\r\n", names[0]))).unwrap();
    assert_eq!(receive(&mut stream, false).unwrap().expect(200).u32s(), [DAY]);
}

#[test]
fn smuggled_requests_are_never_answered() {
    let (_root, server) = recorded();
    let hidden = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(DAY));
    let length = hidden.len();
    let shapes = [
        format!("Host: a\r\nContent-Length: {length}\r\n\r\n{hidden}{hidden}"),
        format!("Host: a\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("Host: a\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!(
            "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
        ),
        format!("Host: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Host: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Host: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Host: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{hidden}"),
        format!("Host: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}"),
        format!("Host: a\r\nContent-Length: +{length}\r\n\r\n{hidden}"),
        format!("Host: a\r\nContent-Length: 18446744073709551617\r\n\r\n{hidden}"),
        format!("Host: a\r\nContent-Length: -1\r\n\r\n{hidden}"),
    ];
    for shape in shapes {
        for path in ["/api/symbols", &target(DAY)] {
            let bytes = format!("GET {path} HTTP/1.1\r\n{shape}");
            let answers = statuses(&server, bytes.as_bytes());
            assert!(answers.len() <= 1, "{answers:?} for {bytes:?}");
        }
    }
    // The server is unharmed.
    assert_eq!(server.get(&target(DAY)).expect(200).u32s(), [DAY]);
}

#[test]
fn malformed_heads_are_refused() {
    let (_root, server) = recorded();
    let line = format!("GET {} HTTP/1.1\r\n", target(DAY));
    let refused = [
        format!("{line}Host : a\r\n\r\n"),
        format!("{line}Host: a\r\n folded: b\r\n\r\n"),
        format!("{line}Host: a\r\nX: \0\r\n\r\n"),
        format!("{line}Host: a\r\nNo colon\r\n\r\n"),
        format!("{line}: a\r\n\r\n"),
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\u{1}\u{2}\u{3}\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned(),
    ];
    for bytes in refused {
        let answers = statuses(&server, bytes.as_bytes());
        assert!(answers.is_empty() || answers == [400], "{answers:?} for {bytes:?}");
    }
    // Too long for anybody.
    let long = format!("{line}Host: a\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    assert!(matches!(statuses(&server, long.as_bytes())[..], [] | [431]), "a head of 200 KB");
    let many = format!("{line}Host: a\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    assert!(matches!(statuses(&server, many.as_bytes())[..], [] | [431]), "5,000 headers");
    // A target that names its host is the same resource.
    let absolute = format!("GET http://a{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", target(DAY));
    assert_eq!(statuses(&server, absolute.as_bytes()), [200]);
    let old = format!("GET {} HTTP/1.0\r\n\r\n", target(DAY));
    assert_eq!(statuses(&server, old.as_bytes()), [200]);
}

#[test]
fn after_connection_close_comes_nothing() {
    let (_root, server) = recorded();
    let mut bytes = with_head("Host: a\r\nConnection: close\r\n");
    bytes.extend(with_head("Host: a\r\n"));
    assert_eq!(statuses(&server, &bytes), [200]);
    let mut stream = connect(server.data);
    stream.write_all(&with_head("Host: a\r\nConnection: close\r\n")).unwrap();
    let answer = receive(&mut stream, false).unwrap().expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(drain(&mut stream), 0);
}

#[test]
fn slow_heads_do_not_hold_up_others() {
    let (_root, server) = recorded();
    let slow: Vec<_> = (0..50)
        .map(|number| {
            let mut stream = connect(server.data);
            stream.write_all(&b"GET /api/data?symbol=BTC-USD HTTP/1.1\r\nHo"[..number % 40]).unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    for _ in 0..100 {
        server.get(&target(DAY)).expect(200);
    }
    assert!(start.elapsed() < DEADLINE);
    drop(slow);
}
