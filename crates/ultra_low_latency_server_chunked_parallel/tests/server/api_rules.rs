//! Which requests are answered how: status, texts, headers.

use std::fs;

use column_store::Table;
use tempfile::TempDir;
use ultra_low_latency_server_chunked_parallel::Limits;

use crate::{
    DAY,
    client::request,
    running::Running,
    written::{quotes, write_btc, write_large_day},
};

/// A server with one row.
fn start() -> (TempDir, Running) {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let server = Running::start(root.path());
    (root, server)
}

#[test]
fn bad_queries_are_told_in_order() {
    let (_root, server) = start();
    let md = Table::Md.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let check = |query: &str, expected: &str| {
        let answer = server.get(&format!("/api/data{query}")).expect(400);
        assert_eq!(answer.text(), expected, "{query}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), None);
        assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
    };
    check("", "Missing query string");
    check("?", "Missing symbol");
    check("?type=MD&start=x", "Missing symbol");
    check("?symbol=A", "Missing type");
    check("?symbol=A&type=MD&end=x", "Missing start");
    check("?symbol=A&type=MD&start=0", "Missing end");
    check("?symbol=A&type=MD&start=0&end=0", "Missing columns");
    let invalid_digit = "invalid digit found in string";
    check("?symbol=A&type=MD&start=x&end=y&columns=z", &format!("Invalid start: {invalid_digit}"));
    check("?symbol=A&type=MD&start=-1&end=0&columns=time", &format!("Invalid start: {invalid_digit}"));
    check("?symbol=A&type=MD&start=+1&end=0&columns=time", &format!("Invalid start: {invalid_digit}"));
    check("?symbol=A&type=MD&start=1.5&end=0&columns=time", &format!("Invalid start: {invalid_digit}"));
    check("?symbol=A&type=MD&start=&end=0&columns=time", "Invalid start: cannot parse integer from empty string");
    check(
        "?symbol=A&type=MD&start=0&end=4294967296&columns=time",
        "Invalid end: number too large to fit in target type",
    );
    // Beyond what the first clients were told.
    check("?symbol=A&type=MD&start=2&end=1&columns=time", "Invalid start: 2 is after end 1");
    check("?symbol=A&type=Md&start=0&end=0&columns=time", "Invalid type: Md is neither MD nor TRADES");
    check("?symbol=A&type=%3Cb%3E%0A&start=0&end=0&columns=time", "Invalid type: %3Cb%3E%0A is neither MD nor TRADES");
    check(
        "?symbol=A&type=MD&start=0&end=0&columns=time,nope",
        &format!("Invalid columns: there is no column nope; MD has {md}"),
    );
    check(
        "?symbol=A&type=MD&start=0&end=0&columns=time,,price",
        &format!("Invalid columns: a name is empty; MD has {md}"),
    );
    check("?symbol=A&type=MD&start=0&end=0&columns=", &format!("Invalid columns: a name is empty; MD has {md}"));
    check("?symbol=&type=MD&start=0&end=0&columns=time", "Invalid symbol: it is empty");
    check("?symbol=..&type=MD&start=0&end=0&columns=time", "Invalid symbol: it begins with a dot");
    check(
        "?symbol=A&exchange=a/b&type=MD&start=0&end=0&columns=time",
        "Invalid exchange: it holds a slash or a control character",
    );
    check("?symbol=A&type=MD&start=0&end=0&columns=time&strict=yes", "Invalid strict: it is 1 or 0");
}

#[test]
fn limits_refuse_and_say_so() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let limits = Limits { days: 3, columns: 4, files: 8, ..Limits::default() };
    let server = Running::with_limits(root.path(), limits);
    let check = |range: (u32, u32), columns: &str, expected: Option<&str>| {
        let answer = server.data(&format!("type=MD&start={}&end={}&columns={columns}", range.0, range.1));
        match expected {
            Some(text) => assert_eq!(answer.expect(413).text(), text),
            None => drop(answer.expect(200)),
        }
    };
    let days = |days: u32| (DAY, DAY + days * 86_400 - 1);
    check(days(3), "time", None);
    check(days(4), "time", Some("Invalid end: 4 days from start, at most 3 are answered at once"));
    check(days(1), "time,time,time,time", None);
    check(days(1), "time,time,time,time,time", Some("Invalid columns: 5 columns, at most 4 are answered at once"));
    check(days(2), "time,price,side,volume", None);
    check(days(3), "time,price,time,price", None);
    check(
        days(3),
        "time,price,side,price",
        Some("Invalid end: 3 days of 3 columns are 9 files, at most 8 are answered at once"),
    );
    // What makes no sense is that first, and no matter of limits.
    server.data(&format!("type=MD&start={}&end={DAY}&columns=time", DAY + 9 * 86_400)).expect(400);
    server.data(&format!("type=X&start=0&end={DAY}&columns=time")).expect(400);
    assert_eq!(["days", "columns", "files"].map(|reason| refused(&server, reason)), [1.0; 3]);
}

fn refused(server: &Running, reason: &str) -> f64 {
    server.sample(&format!("gpu_charts_server_requests_refused_total{{reason=\"{reason}\"}}"))
}

#[test]
fn too_many_rows_are_refused_in_every_form() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY, DAY, DAY + 1, DAY + 2]));
    let server = Running::with_limits(root.path(), Limits { rows: 3, ..Limits::default() });
    let ask = |end: u32, more: &str| {
        let answer = server.data(&format!("type=MD&start={DAY}&end={end}&columns=time,price_f64{more}"));
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let told = "Invalid end: 4 rows, at most 3 are answered at once; max_points asks for fewer";
    for form in ["", "&format=binary&reduce=stride", "&format=csv", "&format=jsonl", "&max_points=4"] {
        assert_eq!(ask(DAY + 2, form), (413, told.to_owned()), "{form}");
        assert_eq!(ask(DAY + 1, form).0, 200, "{form}");
    }
    assert_eq!(ask(DAY + 2, "&max_points=3").0, 200);
    assert_eq!(ask(DAY + 2, "&max_points=3&reduce=lttb").0, 200);
    assert_eq!(refused(&server, "rows"), 5.0);
}

#[test]
fn what_is_not_there_is_named() {
    let (root, server) = start();
    fs::create_dir_all(root.path().join("coinbase/ETH-USD/TRADES")).unwrap();
    let check = |query: &str, missing: &str| {
        let target = format!("/api/data?{query}&start={DAY}&end={}&columns=time,price", DAY + 5);
        let answer = server.get(&target).expect(200);
        let header = br#"{"columns":[{"data_length":0,"name":"time","num_records":0,"record_size":4},{"data_length":0,"name":"price","num_records":0,"record_size":4}]}"#;
        assert_eq!(answer.body, [header.as_slice(), b"\n"].concat());
        assert_eq!(answer.header("x-missing"), Some(missing));
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-missing"));
        let strict = server.get(&format!("{target}&strict=1")).expect(404);
        assert_eq!(strict.text(), format!("Not found: {missing}"));
        assert_eq!(strict.header("x-missing"), Some(missing));
        assert_eq!(strict.header("access-control-allow-origin"), Some("*"));
        server.get(&format!("{target}&strict=0")).expect(200);
    };
    check("symbol=BTC-USD&type=MD&exchange=nowhere", "exchange nowhere");
    check("symbol=NOPE&type=MD", "symbol coinbase/NOPE");
    check("symbol=BTC-USD&type=TRADES", "table coinbase/BTC-USD/TRADES");
    check("symbol=ETH-USD&type=TRADES", &format!("range coinbase/ETH-USD/TRADES {DAY}-{}", DAY + 5));
    check("symbol=a+%C3%A4&type=MD&exchange=x%25%3B", "exchange x%25%3B");
    check("symbol=a+%C3%A4&type=MD", "symbol coinbase/a%20%C3%A4");
    // A quiet market is nothing missing.
    let quiet = server.data(&format!("type=MD&start={}&end={}&columns=time&strict=1", DAY + 1, DAY + 5)).expect(200);
    assert_eq!((quiet.u32s(), quiet.header("x-missing")), (vec![], None));
}

#[test]
fn a_data_directory_that_does_not_exist_yet() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("later");
    let server = Running::start(&root);
    let query = format!("type=MD&start={DAY}&end={DAY}&columns=time");
    let answer = server.data(&query).expect(200);
    assert_eq!((answer.u32s(), answer.header("x-missing")), (vec![], Some("exchange coinbase")));
    assert!(!root.exists(), "the server must not create it");
    write_btc(&root, &quotes(&[DAY]));
    assert_eq!(server.data(&query).expect(200).u32s(), [DAY]);
}

#[test]
fn unknown_paths_and_methods() {
    let (_root, server) = start();
    let data = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time");
    for (method, target) in [
        ("GET", "/static"),
        ("GET", "/static/"),
        ("GET", "/static/../Cargo.toml"),
        ("GET", "/index.html"),
        ("GET", "/api"),
        ("GET", "/api/"),
        ("GET", "/api/data/"),
        ("GET", "/api/data/x"),
        ("GET", "//api/data"),
        ("GET", "/API/DATA"),
        ("GET", "/api/%64ata"),
        ("GET", "/api/symbols/"),
        ("GET", "/metrics"),
        ("POST", data.as_str()),
        ("PUT", "/api/symbols"),
        ("DELETE", "/api/symbols"),
        ("PATCH", "/"),
        ("BREW", "/api/data"),
        ("HEAD", "/nope"),
    ] {
        let answer = request(server.data, method, target).expect(404);
        assert_eq!(answer.text(), if method == "HEAD" { "" } else { "Not Found" }, "{method} {target}");
        assert_eq!(answer.header("content-length"), Some("9"), "{method} {target}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), None);
        assert!(answer.header("date").is_some());
        assert_eq!(answer.header("server"), None);
    }
}

#[test]
fn browsers_may_ask_anything() {
    let (_root, server) = start();
    for target in ["/api/data", "/", "/nope/x?y=z", "*"] {
        let answer = request(server.data, "OPTIONS", target).expect(200);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("Content-Type, Authorization, If-None-Match"));
    }
}

#[test]
fn head_is_get_without_the_body() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 100_000);
    let server = Running::start(root.path());
    let data = |columns: &str| format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns={columns}");
    for target in [data("time"), data("time,price"), data("nope"), "/api/symbols".to_owned()] {
        let (head, get) = (request(server.data, "HEAD", &target), server.get(&target));
        assert!(head.body.is_empty());
        assert_eq!(head.status, get.status);
        for name in ["content-length", "content-type", "access-control-allow-origin"] {
            assert_eq!(head.header(name), get.header(name), "{name} {target}");
        }
    }
    // Reading all of it for nothing would be a way to keep the disk busy.
    let served = server.sample("gpu_charts_server_data_bytes_served_total{symbol=\"BTC-USD\",type=\"MD\"}");
    let length = |target: &str| request(server.data, "HEAD", target).header("content-length").unwrap().parse::<f64>();
    assert_eq!(length(&data("time")).unwrap() + length(&data("time,price")).unwrap(), served);
}

#[test]
fn a_newer_format_is_refused_without_a_path() {
    let (root, server) = start();
    fs::write(root.path().join("FORMAT"), "2\n").unwrap();
    let answer = server.data(&format!("type=MD&start={DAY}&end={DAY}&columns=time")).expect(500);
    assert_eq!(answer.text(), "The data directory is of a newer format than this server knows");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
