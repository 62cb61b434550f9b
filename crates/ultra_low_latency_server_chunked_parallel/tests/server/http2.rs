//! What RFC 9113 says about frames that should not be, case by case, and floods of those that may be.
//!
//! The general error may always stand for a special one (5.4), and does where the library below us tells no more. What it
//! does not look at is whether settings are the first frame: nothing here depends on that.

use tempfile::TempDir;

use crate::{
    DAY,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Http2, PING, PREFACE, PRIORITY,
        PUSH_PROMISE, RST_STREAM, SETTINGS, Told, WINDOW_UPDATE, WITH_PRIORITY, code, fields, frame, setting,
    },
    running::Running,
    written::{quotes, write_btc},
};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

const OVERFLOW: u32 = 0x7FFF_FFFF;

fn start() -> (TempDir, Running) {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let server = Running::start(root.path());
    (root, server)
}

fn path() -> String {
    format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time")
}

/// The fields of a request, with some left out and some more behind.
fn request(without: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let path = path();
    let all = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path.as_str())];
    let kept: Vec<_> = all.into_iter().filter(|(name, _)| *name != without).chain(more.iter().copied()).collect();
    fields(&kept)
}

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
}

/// A request whose body is still to come.
fn open_stream(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("", &[]))
}

fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// What goes wrong, its frames, and the errors with which it may end.
type Case<'a> = (&'a str, Vec<u8>, &'a [u32]);

/// Of the stream, or of the connection with it: RFC 9113, 5.4.2.
#[track_caller]
fn check_streams(server: &Running, cases: &[Case<'_>]) {
    check(cases, |frames, codes| match Http2::open(server.data).told_of_stream(frames) {
        Told::Stream(code) | Told::Connection(code) if codes.contains(&code) => None,
        told => Some(told),
    });
}

#[track_caller]
fn check_connections(server: &Running, cases: &[Case<'_>]) {
    check(cases, |frames, codes| match Http2::open(server.data).told(frames) {
        Told::Connection(code) if codes.contains(&code) => None,
        told => Some(told),
    });
}

#[track_caller]
fn check(cases: &[Case<'_>], wrong: impl Fn(&[u8], &[u32]) -> Option<Told>) {
    let wrong = |(what, frames, codes): &Case<'_>| Some(format!("{what}: {:?}, not {codes:?}", wrong(frames, codes)?));
    let all: Vec<String> = cases.iter().filter_map(wrong).collect();
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn a_request_is_answered_and_pings_too() {
    let (_root, server) = start();
    let mut client = Http2::open(server.data);
    client.send(&headers(1, &request("", &[])));
    let (mut status, mut body) = (0, Vec::new());
    loop {
        let Frame { kind, flags, stream, payload } = client.next().unwrap();
        match kind {
            // `:status: 200` is the eighth of the static table.
            HEADERS => status = payload[0],
            DATA => body.extend(payload),
            _ => continue,
        }
        assert_eq!(stream, 1);
        if flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(status, 0x88);
    assert!(body.ends_with(&DAY.to_le_bytes()));
    // Of an unknown kind, to be ignored; with bits that mean nothing; priorities, which are no more.
    assert_eq!(client.told(&frame(0xBB, 0xFF, 0, b"whatever")), Told::Alive);
    assert_eq!(client.told(&frame(PING, 0xFE, 0, b"12345678")), Told::Alive);
    assert_eq!(client.told(&frame(PRIORITY, 0, 9, &[0, 0, 0, 3, 7])), Told::Alive);
    assert_eq!(client.told(&frame(SETTINGS, 0, 0, &setting(0xFFFF, 7))), Told::Alive);
}

#[test]
fn what_is_no_preface_is_no_http_2() {
    let (_root, server) = start();
    let wrong = [&PREFACE[..18], b"XX\r\n\r\n", &frame(SETTINGS, 0, 0, &[])].concat();
    for bytes in [wrong, [PREFACE, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()] {
        let mut client = Http2(crate::client::connect(server.data));
        client.send(&bytes);
        let mut answer = Vec::new();
        _ = std::io::Read::read_to_end(&mut client.0, &mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("200 OK") && !text.contains("404"), "{text}");
    }
}

#[test]
fn settings_make_sense() {
    let (_root, server) = start();
    let cases: [Case<'_>; 7] = [
        ("push is neither on nor off", frame(SETTINGS, 0, 0, &setting(ENABLE_PUSH, 2)), &[PROTOCOL_ERROR]),
        (
            "too large a window",
            frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 1 << 31)),
            &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR],
        ),
        ("frames too small", frame(SETTINGS, 0, 0, &setting(MAX_FRAME_SIZE, 16_383)), &[PROTOCOL_ERROR]),
        ("frames too large", frame(SETTINGS, 0, 0, &setting(MAX_FRAME_SIZE, 1 << 24)), &[PROTOCOL_ERROR]),
        ("half a setting", frame(SETTINGS, 0, 0, &[0; 5]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[]), &[PROTOCOL_ERROR]),
        (
            "an acknowledgement with settings",
            frame(SETTINGS, ACK, 0, &setting(ENABLE_PUSH, 0)),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
    ];
    check_connections(&server, &cases);
}

#[test]
fn frames_are_where_and_as_long_as_they_may_be() {
    let (_root, server) = start();
    let cases: [Case<'_>; 20] = [
        ("data of no stream", frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR]),
        ("data of an idle stream", frame(DATA, 0, 1, b"x"), &[PROTOCOL_ERROR]),
        ("headers of no stream", headers(0, &request("", &[])), &[PROTOCOL_ERROR]),
        ("a stream of the server", headers(2, &request("", &[])), &[PROTOCOL_ERROR]),
        ("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), &[PROTOCOL_ERROR]),
        ("a reset of no stream", frame(RST_STREAM, 0, 0, &[0; 4]), &[PROTOCOL_ERROR]),
        ("a reset of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), &[PROTOCOL_ERROR]),
        (
            "a short reset",
            [open_stream(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
        ("a ping of a stream", frame(PING, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("a short ping", frame(PING, 0, 0, &[0; 7]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("a farewell of a stream", frame(GOAWAY, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("no more room", window_update(0, 0), &[PROTOCOL_ERROR]),
        ("too much room", window_update(0, OVERFLOW), &[FLOW_CONTROL_ERROR]),
        ("room of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("room for an idle stream", window_update(1, 1), &[PROTOCOL_ERROR]),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &request("", &[])), &[PROTOCOL_ERROR]),
        ("something else than the continuation", frame(HEADERS, END_STREAM, 1, &request("", &[])), &[PROTOCOL_ERROR]),
        ("padding longer than the frame", frame(DATA, 8, 1, &[200, 0, 0]), &[PROTOCOL_ERROR]),
        ("an index of no field", headers(1, &[0x80 | 70]), &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ("half a field", headers(1, &[0x10, 5, b'x']), &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
    ];
    check_connections(&server, &cases);
    let back = [headers(5, &request("", &[])), headers(3, &request("", &[]))].concat();
    check_connections(&server, &[("a stream before the last", back, &[PROTOCOL_ERROR, STREAM_CLOSED])]);
    let oversized = [open_stream(1), frame(DATA, 0, 1, &[0; 16_385])].concat();
    check_streams(&server, &[("an oversized frame", oversized, &[FRAME_SIZE_ERROR])]);
}

#[test]
fn faults_of_a_stream_end_it() {
    let (_root, server) = start();
    let with = |without: &str, more: &[(&str, &str)]| headers(1, &request(without, more));
    let cases: [Case<'_>; 13] = [
        ("a name in upper case", with("", &[("X-Upper", "a")]), &[PROTOCOL_ERROR]),
        ("no method", with(":method", &[]), &[PROTOCOL_ERROR]),
        ("no scheme", with(":scheme", &[]), &[PROTOCOL_ERROR]),
        ("no path", with(":path", &[]), &[PROTOCOL_ERROR]),
        ("an empty path", with(":path", &[(":path", "")]), &[PROTOCOL_ERROR]),
        ("two methods", with("", &[(":method", "GET")]), &[PROTOCOL_ERROR]),
        ("an unknown pseudo header", with("", &[(":other", "a")]), &[PROTOCOL_ERROR]),
        ("a status in a request", with("", &[(":status", "200")]), &[PROTOCOL_ERROR]),
        ("a pseudo header behind others", with(":path", &[("x", "a"), (":path", "/")]), &[PROTOCOL_ERROR]),
        ("a connection's header", with("", &[("connection", "keep-alive")]), &[PROTOCOL_ERROR]),
        ("an encoding of the transfer", with("", &[("transfer-encoding", "chunked")]), &[PROTOCOL_ERROR]),
        ("no room more", [open_stream(1), window_update(1, 0)].concat(), &[PROTOCOL_ERROR]),
        ("too much room", [open_stream(1), window_update(1, OVERFLOW)].concat(), &[FLOW_CONTROL_ERROR]),
    ];
    check_streams(&server, &cases);
    // Priorities are no more; who still sends them may be ignored, but not believed.
    let itself = [&[0, 0, 0, 1, 7][..], &request("", &[])].concat();
    let itself = frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, &itself);
    for frames in [itself, frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 7])] {
        let told = Http2::open(server.data).told(&frames);
        let fine = [Told::Alive, Told::Stream(PROTOCOL_ERROR), Told::Connection(PROTOCOL_ERROR)];
        assert!(fine.contains(&told), "a stream that depends on itself: {told:?}");
    }
}

/// Sends `piece` again and again, until the server has ended the connection or `times` is reached; how often it was sent.
fn flood(client: &mut Http2, times: usize, mut piece: impl FnMut(usize) -> Vec<u8>) -> usize {
    use std::io::Write as _;
    (0..times).take_while(|time| client.0.write_all(&piece(*time)).is_ok()).count()
}

#[test]
fn endless_headers_are_cut_off() {
    let (_root, server) = start();
    for (bytes, times) in [(16_384, 10_000), (0, 1_000_000)] {
        let mut client = Http2::open(server.data);
        client.send(&frame(HEADERS, END_STREAM, 1, &request("", &[])));
        let field = fields(&[("x", &"y".repeat(100))]);
        let block: Vec<u8> = field.iter().copied().cycle().take(bytes - bytes % field.len()).collect();
        let piece = frame(CONTINUATION, 0, 1, &block);
        let sent = flood(&mut client, times, |_| piece.clone());
        assert!(sent < times, "{times} continuations of {} bytes were taken", block.len());
        println!("cut off after {sent} continuations of {} bytes", block.len());
        server.get(&path()).expect(200);
    }
}

#[test]
fn rapid_resets_are_cut_off() {
    const TIMES: usize = 2_000;
    const STREAMS: usize = 100;
    let (_root, server) = start();
    let mut client = Http2::open(server.data);
    let block = request("", &[]);
    let sent = flood(&mut client, TIMES, |time| {
        let streams = (0..STREAMS).map(|number| u32::try_from(2 * (time * STREAMS + number) + 1).unwrap());
        streams
            .flat_map(|stream| [headers(stream, &block), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat())
            .collect()
    });
    assert!(sent < TIMES, "{} streams were opened and reset", TIMES * STREAMS);
    println!("cut off after {} streams", sent * STREAMS);
    let told = loop {
        match client.next() {
            Some(Frame { kind: GOAWAY, payload, .. }) => break Some(code(&payload[4..8])),
            Some(_) => {}
            None => break None,
        }
    };
    // The word may be lost with what was still under way.
    assert!(told.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{told:?}");
    server.get(&path()).expect(200);
}
