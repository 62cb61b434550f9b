//! The faults of the server that this one replaces, by the numbers they were recorded under.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
};

use tempfile::TempDir;

use crate::{
    DAY,
    client::{connect, drain, receive_head, send, u32s},
    running::Running,
    written::{column_file, quote, quotes, trade, write, write_btc, write_large_day},
};

#[test]
fn b1_duplicates_are_not_lost() {
    let root = TempDir::new().unwrap();
    // Seconds with 0 to 100 rows each.
    let counts: Vec<u32> = (0..120).map(|second| second * 37 % 101).collect();
    let seconds: Vec<u32> =
        counts.iter().zip(DAY..).flat_map(|(count, second)| vec![second; *count as usize]).collect();
    write_btc(root.path(), &quotes(&seconds));
    let server = Running::start(root.path());
    let check = |start: u32, end: u32| {
        let expected: Vec<u32> = seconds.iter().copied().filter(|second| (start..=end).contains(second)).collect();
        let answer = server.data(&format!("type=MD&start={start}&end={end}&columns=time"));
        assert_eq!(answer.u32s(), expected, "{start}-{end}");
    };
    (DAY..DAY + 120).for_each(|second| check(second, second));
    for (start, end) in [(3, 33), (40, 41), (0, 119), (0, 0), (119, 500)] {
        check(DAY + start, DAY + end);
    }
}

#[test]
fn b2_an_empty_time_file_is_a_day_without_rows() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY - 1]));
    for column in ["time", "price"] {
        File::create(column_file(root.path(), "MD", column, "18.11.26")).unwrap();
    }
    let server = Running::start(root.path());
    let today = server.data(&format!("type=MD&start={DAY}&end={}&columns=time,price", DAY + 60)).expect(200);
    assert_eq!((today.u32s(), today.header("x-missing")), (vec![], None));
    let both = server.data(&format!("type=MD&start={}&end={}&columns=time,price", DAY - 60, DAY + 60));
    assert_eq!(both.expect(200).u32s(), [DAY - 1]);
}

#[test]
fn b3_start_after_end_is_refused_over_any_distance() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let server = Running::start(root.path());
    for (start, end) in [(DAY + 1, DAY), (DAY, DAY - 1), (DAY + 10 * 86_400, DAY), (u32::MAX, 0)] {
        let answer = server.data(&format!("type=MD&start={start}&end={end}&columns=time")).expect(400);
        assert_eq!(answer.text(), format!("Invalid start: {start} is after end {end}"));
    }
}

#[test]
fn b4_a_repeated_column_is_answered_as_asked() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY, DAY + 1, DAY + 86_400]));
    let server = Running::start(root.path());
    let query = format!("type=MD&start={DAY}&end={}&columns=time,price_f64,%20time%20,time", DAY + 86_400);
    let columns = server.data(&query).columns();
    assert_eq!(
        columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
        ["time", "price_f64", "time", "time"]
    );
    assert_eq!(u32s(&columns[0].bytes), [DAY, DAY + 1, DAY + 86_400]);
    assert_eq!(columns[2], columns[0]);
    assert_eq!(columns[3], columns[0]);
    assert_eq!(columns[1].bytes.len(), 24);
}

#[test]
fn b5_what_changes_on_disk_changes_in_answers() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY, DAY + 1]));
    let server = Running::start(root.path());
    let ask = || server.data(&format!("type=MD&start={DAY}&end={}&columns=time,price", DAY + 9)).expect(200).u32s();
    assert_eq!(ask(), [DAY, DAY + 1]);
    // Appended to, atomically replaced, deleted.
    write_btc(root.path(), &quotes(&[DAY + 2]));
    assert_eq!(ask(), [DAY, DAY + 1, DAY + 2]);
    let time = column_file(root.path(), "MD", "time", "18.11.26");
    let replacement = time.with_extension("tmp");
    fs::write(&replacement, [DAY + 5, DAY + 6].map(u32::to_le_bytes).concat()).unwrap();
    fs::rename(&replacement, &time).unwrap();
    assert_eq!(ask(), [DAY + 5, DAY + 6]);
    fs::remove_file(&time).unwrap();
    assert!(ask().is_empty());
}

#[test]
fn b6_a_partial_record_does_not_hide_the_day() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY, DAY + 1, DAY + 2]));
    let server = Running::start(root.path());
    for (length, expected) in [(11, &[DAY, DAY + 1][..]), (9, &[DAY, DAY + 1]), (7, &[DAY]), (3, &[])] {
        let time = File::options().write(true).open(column_file(root.path(), "MD", "time", "18.11.26")).unwrap();
        time.set_len(length).unwrap();
        let answer = server.data(&format!("type=MD&start={DAY}&end={}&columns=time,price", DAY + 9)).expect(200);
        assert_eq!(answer.u32s(), expected, "{length} bytes");
    }
}

#[test]
fn b7_a_shorter_column_clamps_the_live_day() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY, DAY + 1, DAY + 2, DAY + 3]));
    let best_ask = File::options().write(true).open(column_file(root.path(), "MD", "best_ask", "18.11.26")).unwrap();
    best_ask.set_len(10).unwrap();
    let server = Running::start(root.path());
    let data = |columns: &str| server.data(&format!("type=MD&start={DAY}&end={}&columns={columns}", DAY + 9)).columns();
    let columns = data("time,best_ask,price_f64");
    assert_eq!(columns.iter().map(|column| column.num_records).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(data("time,price_f64")[0].num_records, 4);
}

#[test]
fn b8_wide_columns_have_their_true_record_size() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &[trade(DAY, 5), trade(DAY, u64::MAX), trade(DAY + 1, 9)]);
    let server = Running::start(root.path());
    let columns = server.data(&format!("type=TRADES&start={DAY}&end={DAY}&columns=id,taker_order_id,time")).columns();
    assert_eq!(columns.iter().map(|column| column.record_size).collect::<Vec<_>>(), [8, 16, 4]);
    assert_eq!(columns[0].bytes, [5_u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat());
    let order = |id: u64| u128::from(id).to_be_bytes();
    assert_eq!(columns[1].bytes, [order(5), order(u64::MAX)].concat());
    assert_eq!(u32s(&columns[2].bytes), [DAY, DAY]);
}

#[test]
fn s1_nothing_outside_the_data_directory_can_be_read() {
    let outer = TempDir::new().unwrap();
    let root = outer.path().join("data");
    write_btc(&root, &quotes(&[DAY]));
    // What an attacker would like to read: the same layout beside the data directory.
    let secret = outer.path().join("secret");
    write(&secret, "coinbase", "BTC-USD", &[quote(DAY, 0, 1), quote(DAY, 0, 2)]);
    let server = Running::start(&root);
    let root_path = root.to_str().unwrap();
    let secret_path = secret.to_str().unwrap();
    let query = |exchange: &str, symbol: &str, table: &str, column: &str| {
        let range = format!("start={DAY}&end={DAY}");
        server.get(&format!("/api/data?exchange={exchange}&symbol={symbol}&type={table}&{range}&columns={column}"))
    };
    query("coinbase", "BTC-USD", "MD", "time").expect(200);
    let attacks = [
        "..",
        ".",
        "../secret",
        "%2e%2e%2fsecret",
        "..%2Fsecret",
        "%2e%2e",
        "..%5Csecret",
        "..\\secret",
        "a%00b",
        "%00",
        ".hidden",
        secret_path,
        "//",
        "%2Fetc%2Fpasswd",
        "coinbase/../../secret/coinbase",
        "%0d%0aX:%20y",
    ];
    for attack in attacks {
        let answers = [
            query(attack, "BTC-USD", "MD", "time"),
            query("coinbase", attack, "MD", "time"),
            query("coinbase", "BTC-USD", attack, "time"),
            query("coinbase", "BTC-USD", "MD", attack),
            query("coinbase", "BTC-USD", &format!("MD/{attack}"), "time"),
            query("coinbase", "BTC-USD", "MD", &format!("{attack}%2Ftime")),
        ];
        for answer in answers {
            assert_eq!(answer.status, 400, "{attack}");
            let text = answer.text();
            assert!(!text.contains(root_path) && !text.contains(secret_path), "{text}");
        }
    }
    // Encoded twice it is a name like any other, and does not exist.
    let twice = query("%252e%252e%252fsecret", "BTC-USD", "MD", "time").expect(200);
    assert_eq!((twice.u32s(), twice.header("x-missing")), (vec![], Some("exchange %252e%252e%252fsecret")));
}

#[test]
fn s1_links_out_of_the_data_directory_are_not_followed() {
    let outer = TempDir::new().unwrap();
    let root = outer.path().join("data");
    write_btc(&root, &quotes(&[DAY]));
    let secret = outer.path().join("secret");
    write(&secret, "coinbase", "BTC-USD", &[quote(DAY, 0, 1)]);
    symlink(secret.join("coinbase"), root.join("linked")).unwrap();
    symlink("../../secret/coinbase/BTC-USD", root.join("coinbase/LINKED")).unwrap();
    let price = column_file(&root, "MD", "price", "18.11.26");
    fs::remove_file(&price).unwrap();
    symlink(column_file(&secret, "MD", "price", "18.11.26"), price).unwrap();
    let server = Running::start(&root);
    for (exchange, symbol, column) in
        [("linked", "BTC-USD", "time"), ("coinbase", "LINKED", "time"), ("coinbase", "BTC-USD", "time,price")]
    {
        let target =
            format!("/api/data?exchange={exchange}&symbol={symbol}&type=MD&start={DAY}&end={DAY}&columns={column}");
        let answer = server.get(&target).expect(500);
        let text = "The data is behind a link that leads out of the data directory, which the server does not follow";
        assert_eq!(answer.text(), text);
    }
    server.data(&format!("type=MD&start={DAY}&end={DAY}&columns=time")).expect(200);
}

#[test]
fn s3_a_file_cut_in_mid_answer_closes_that_connection_only() {
    const ROWS: u64 = 8 << 20;
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", ROWS);
    write(root.path(), "coinbase", "SOL-USD", &quotes(&[DAY]));
    let server = Running::start(root.path());
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price");
    let mut stream = connect(server.data);
    send(&mut stream, "GET", &target);
    let head = receive_head(&mut stream).unwrap();
    let promised: u64 = head.header("content-length").unwrap().parse().unwrap();
    assert!(promised > 8 * ROWS);
    // The sockets' buffers hold far less than a column, so the server still has `price` before it.
    let price = File::options().write(true).open(column_file(root.path(), "MD", "price", "18.11.26")).unwrap();
    price.set_len(ROWS).unwrap();
    let received = drain(&mut stream);
    assert!(received >= 4 * ROWS && received < promised, "{received} of {promised}");

    // The others are served, and what is left of the cut file as well.
    let small = format!("/api/data?symbol=SOL-USD&type=MD&start={DAY}&end={DAY}&columns=time");
    assert_eq!(server.get(&small).expect(200).u32s(), [DAY]);
    assert_eq!(server.get(&target).columns()[1].num_records, ROWS / 4);
}

#[test]
fn s5_stray_files_do_no_harm() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    for stray in
        ["stray", "stray.txt", ".hidden", "coinbase/stray", "coinbase/BTC-USD/stray", "coinbase/BTC-USD/MD/stray"]
    {
        File::create(root.path().join(stray)).unwrap();
    }
    let server = Running::start(root.path());
    let symbols = server.get("/api/symbols").expect(200);
    assert_eq!(symbols.text(), r#"{"exchanges":{"coinbase":["BTC-USD"]},"symbols":["BTC-USD"]}"#);
    let target = |exchange: &str, symbol: &str| {
        format!("/api/data?exchange={exchange}&symbol={symbol}&type=MD&start={DAY}&end={DAY}&columns=time")
    };
    assert_eq!(server.get(&target("coinbase", "BTC-USD")).expect(200).u32s(), [DAY]);
    assert_eq!(server.get(&target("stray", "BTC-USD")).expect(200).header("x-missing"), Some("exchange stray"));
    assert_eq!(server.get(&target("coinbase", "stray")).expect(200).header("x-missing"), Some("symbol coinbase/stray"));
}

#[test]
fn s7_an_unbounded_range_is_refused() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let answer = server.data("type=MD&start=0&end=4294967295&columns=time").expect(413);
    assert_eq!(answer.text(), "Invalid end: 49711 days from start, at most 366 are answered at once");
    assert_eq!(server.sample("gpu_charts_server_requests_refused_total{reason=\"days\"}"), 1.0);
    let many = vec!["time"; 15_000].join(",");
    server.data(&format!("type=MD&start=0&end=0&columns={many}")).expect(414);
    let many = vec!["time"; 1_000].join(",");
    let answer = server.data(&format!("type=MD&start=0&end=0&columns={many}")).expect(413);
    assert_eq!(answer.text(), "Invalid columns: 1000 columns, at most 64 are answered at once");
}

#[test]
fn s8_clients_cannot_make_metrics() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let server = Running::start(root.path());
    let ask = |number: u32| {
        server.get(&format!("/random/{number}")).expect(404);
        crate::client::request(server.data, &format!("METHOD{number}"), "/").expect(404);
        let range = format!("type=MD&start={DAY}&end={DAY}&columns=time");
        server.get(&format!("/api/data?symbol=S{number}&exchange=e{number}&{range}&x{number}=1")).expect(200);
        server.get(&format!("/api/symbols?exchange=e{number}")).expect(200);
    };
    ask(0);
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&server.scrape());
    (1..100).for_each(ask);
    let after = server.scrape();
    assert_eq!(series(&after), before);
    for text in ["random", "METHOD", "S99", "e99"] {
        assert!(!after.contains(text), "{text}");
    }
}
