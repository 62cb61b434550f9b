//! The forms of an answer beside the plain one. Whether other programs read them is for `scripts/test-examples.sh`.

use column_store::{MdKind, MdRow, Side};
use tempfile::TempDir;

use crate::{
    DAY,
    client::{Answer, receive, request},
    running::Running,
    written::{column_file, quote, quotes, trade, write_btc, write_large_day},
};

fn ask(server: &Running, columns: &str, more: &str) -> Answer {
    server.data(&format!("type=MD&start={DAY}&end={}&columns={columns}{more}", DAY + 86_399)).expect(200)
}

#[test]
fn text_to_the_byte() {
    let root = TempDir::new().unwrap();
    let unknown =
        MdRow { price: f64::NAN, volume: 1e-9, side: Side::Unknown, kind: MdKind::Snapshot, ..quote(DAY, 5, 1) };
    write_btc(root.path(), &[unknown, MdRow { price: 97_250.07, ..quote(DAY + 1, 0, u64::MAX) }]);
    write_btc(root.path(), &[trade(DAY, 1)]);
    let server = Running::start(root.path());
    let columns = "time,nanos,price,price_f64,volume_f64,event_id,time";
    let csv = ask(&server, columns, "&format=csv");
    let expected = format!(
        "time,nanos,price,price_f64,volume_f64,event_id,time\r\n{DAY},5,,,1e-9,1,{DAY}\r\n\
         {},0,97250.07,97250.07,0.5,18446744073709551615,{}\r\n",
        DAY + 1,
        DAY + 1
    );
    assert_eq!(csv.text(), expected);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(csv.header("vary"), Some("accept"));
    assert_eq!(csv.header("access-control-allow-origin"), Some("*"));
    let lines = ask(&server, "nanos,price_f64,event_id", "&format=jsonl");
    let expected = "{\"nanos\":5,\"price_f64\":null,\"event_id\":1}\n\
                    {\"nanos\":0,\"price_f64\":97250.07,\"event_id\":18446744073709551615}\n";
    assert_eq!(lines.text(), expected);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let ids = "maker_order_id,taker_order_id";
    let trades = |format: &str| {
        let query = format!("type=TRADES&start={DAY}&end={DAY}&columns={ids}&format={format}");
        server.data(&query).expect(200).text().to_owned()
    };
    let (maker, taker) = ("07070707-0707-0707-0707-070707070707", "00000000-0000-0000-0000-000000000001");
    assert_eq!(trades("csv"), format!("{ids}\r\n{maker},{taker}\r\n"));
    assert_eq!(trades("jsonl"), format!("{{\"maker_order_id\":\"{maker}\",\"taker_order_id\":\"{taker}\"}}\n"));
}

#[test]
fn the_form_is_chosen_by_name_or_by_accept() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let server = Running::start(root.path());
    let check = |format: &str, accept: &str, expected: &str| {
        let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,time{format}");
        let mut stream = crate::client::connect(server.data);
        let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let answer = receive(&mut stream, false).unwrap().expect(200);
        assert!(answer.header("content-type").unwrap().starts_with(expected), "{format} {accept}: {answer:?}");
    };
    let (binary, arrow, csv) = ("application/octet-stream", "application/vnd.apache.arrow.stream", "text/csv");
    check("", "*/*", binary);
    check("", "text/html, */*;q=0.8", binary);
    check("", arrow, arrow);
    check("", "text/csv", csv);
    check("&format=arrow", "text/csv", arrow);
    check("&format=binary", "text/csv", binary);
    check("&format=", "text/csv", csv);
    // Two keys of one name in an object are none that a wish could be meant for.
    check("", "application/x-ndjson", binary);
    let query = |format: &str| format!("type=MD&start={DAY}&end={DAY}&columns=time,time&format={format}");
    assert_eq!(
        server.data(&query("jsonl")).expect(400).text(),
        "Invalid columns: time is named twice, which the keys of format=jsonl cannot tell apart"
    );
    assert_eq!(
        server.data(&query("%3Cx")).expect(400).text(),
        "Invalid format: %3Cx is none of binary, arrow, csv and jsonl"
    );
}

#[test]
fn long_tables_come_in_pieces_and_whole() {
    const ROWS: u64 = 200_003;
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", ROWS);
    let time: Vec<u8> = (0..ROWS).flat_map(|row| (DAY + (row / 3) as u32).to_le_bytes()).collect();
    std::fs::write(column_file(root.path(), "MD", "time", "18.11.26"), time).unwrap();
    let server = Running::start(root.path());
    let csv = ask(&server, "time,price", "&format=csv");
    let expected = (0..ROWS).map(|row| format!("{},0.0\r\n", u64::from(DAY) + row / 3));
    assert!(csv.text() == ["time,price\r\n".to_owned()].into_iter().chain(expected).collect::<String>());
    let lines = ask(&server, "time", "&format=jsonl&max_points=1000");
    let expected = (0..ROWS).step_by(201).map(|row| format!("{{\"time\":{}}}\n", u64::from(DAY) + row / 3));
    assert!(lines.text() == expected.collect::<String>());
    let served = server.sample("gpu_charts_server_data_bytes_served_total{symbol=\"BTC-USD\",type=\"MD\"}");
    assert_eq!(served, (csv.body.len() + lines.body.len()) as f64);
}

#[test]
fn an_arrow_stream_ends_where_its_length_says() {
    let root = TempDir::new().unwrap();
    // Two whole batches of `time`, and a part of one.
    write_large_day(root.path(), DAY, "18.11.26", 300_001);
    let server = Running::start(root.path());
    for (rows, points) in [(300_001, ""), (1, "&max_points=1"), (0, "")] {
        let symbol = if rows == 0 { "NONE" } else { "BTC-USD" };
        let target = format!(
            "/api/data?symbol={symbol}&type=MD&start={DAY}&end={DAY}&columns=time,price,time&format=arrow{points}"
        );
        let answer = server.get(&target).expect(200);
        let body = &answer.body;
        assert!(body.starts_with(&[0xFF; 4]) && body.ends_with(&[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]));
        assert_eq!(body.len() % 64, 8, "messages are aligned");
        let cells = DAY.to_le_bytes().repeat(rows.min(40_000));
        assert!(rows == 0 || body.windows(cells.len()).any(|window| window == cells));
        let head = request(server.data, "HEAD", &target).expect(200);
        assert_eq!(head.header("content-length"), Some(body.len().to_string().as_str()));
    }
}

#[test]
fn what_is_missing_is_named_in_every_form() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY - 1, DAY]));
    std::fs::remove_file(column_file(root.path(), "MD", "side", "17.11.26")).unwrap();
    let server = Running::start(root.path());
    for format in ["arrow", "csv", "jsonl"] {
        let query = format!("type=MD&start={}&end={DAY}&columns=time,side&format={format}", DAY - 1);
        let answer = server.data(&query).expect(200);
        assert_eq!(answer.header("x-missing"), Some("17.11.26:side"), "{format}");
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-missing"));
        let nothing = format!("/api/data?symbol=NONE&type=MD&start=0&end=0&columns=time&strict=1&format={format}");
        let answer = server.get(&nothing).expect(404);
        assert_eq!(answer.text(), "Not found: symbol coinbase/NONE");
        assert_eq!(answer.header("x-missing"), Some("symbol coinbase/NONE"));
        let unasked = server.get(&nothing.replace("&strict=1", "")).expect(200);
        assert_eq!(unasked.header("x-missing"), Some("symbol coinbase/NONE"));
    }
}

#[test]
fn kraken_answers_to_both_names_of_bitcoin() {
    let root = TempDir::new().unwrap();
    crate::written::write(root.path(), "kraken", "XBT/USD", &quotes(&[DAY]));
    let server = Running::start(root.path());
    for symbol in ["XBT_USD", "BTC_USD"] {
        let target = format!("/api/data?exchange=kraken&symbol={symbol}&type=MD&start={DAY}&end={DAY}&columns=time");
        assert_eq!(server.get(&target).expect(200).u32s(), [DAY], "{symbol}");
    }
}
