//! `reduce=` from outside; that the right rows are chosen is shown beside the code.

use column_store::MdRow;
use tempfile::TempDir;

use crate::{
    DAY,
    client::u32s,
    running::Running,
    wait_until,
    written::{quote, write_btc, write_large_day},
};

#[test]
fn extremes_stay_and_rows_stay_whole() {
    let root = TempDir::new().unwrap();
    // A flat line with one high and one low row.
    let price = |id: u64| match id {
        3_333 => 900.0,
        7_777 => 1.0,
        _ => 100.0,
    };
    let rows: Vec<MdRow> = (0..10_000).map(|id| MdRow { price: price(id), ..quote(DAY + id as u32, 0, id) }).collect();
    write_btc(root.path(), &rows);
    let server = Running::start(root.path());
    let ask = |more: &str| {
        let query = format!("type=MD&start={DAY}&end={}&columns=time,event_id,price_f64&{more}", DAY + 9_999);
        server.data(&query).columns()
    };
    for reduce in ["minmax", "lttb"] {
        let columns = ask(&format!("reduce={reduce}&max_points=40"));
        let rows = u32s(&columns[0].bytes);
        assert!(rows.len() <= 40, "{}", rows.len());
        for row in [0, 3_333, 7_777, 9_999] {
            assert!(rows.contains(&(DAY + row)), "{reduce} {row}");
        }
        let ids: Vec<u8> = rows.iter().flat_map(|time| u64::from(time - DAY).to_le_bytes()).collect();
        assert_eq!(columns[1].bytes, ids, "rows are whole");
        assert_eq!(columns, ask(&format!("reduce={reduce}&max_points=40")), "always the same");
        assert_eq!(ask(&format!("reduce={reduce}&max_points=10000"))[0].num_records, 10_000);
        let judged_otherwise = ask(&format!("reduce={reduce}&max_points=40&reduce_column=bid_size_f64"));
        assert!(!u32s(&judged_otherwise[0].bytes).contains(&(DAY + 3_333)));
    }
    assert_eq!(ask("reduce=stride&max_points=40"), ask("max_points=40"));
}

#[test]
fn what_a_reduction_needs_is_told() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let check = |columns: &str, more: &str, expected: &str| {
        let answer = server.data(&format!("type=TRADES&start={DAY}&end={DAY}&columns={columns}&{more}"));
        assert_eq!(answer.expect(400).text(), expected, "{more}");
    };
    check("price", "reduce=some", "Invalid reduce: some is none of stride, minmax and lttb");
    check("price", "reduce=minmax", "Missing max_points: reduce=minmax needs a number above 0");
    check("price", "reduce=lttb&max_points=0", "Missing max_points: reduce=lttb needs a number above 0");
    check(
        "time,id",
        "reduce=lttb&max_points=9",
        "Missing reduce_column: none of the columns asked for is a price or another float",
    );
    for column in ["nope", "taker_order_id"] {
        let expected = format!("Invalid reduce_column: {column} is no column of numbers of TRADES");
        check("price", &format!("reduce=minmax&max_points=9&reduce_column={column}"), &expected);
    }
    let good = format!("type=TRADES&start={DAY}&end={DAY}&columns=time&reduce=lttb&max_points=9&reduce_column=id");
    server.data(&good).expect(200);
}

#[test]
fn a_client_that_hangs_up_stops_the_work() {
    let root = TempDir::new().unwrap();
    // Sparse files: a long walk without room on disk.
    write_large_day(root.path(), DAY, "18.11.26", 30_000_000);
    let nanos = std::fs::File::create(crate::written::column_file(root.path(), "MD", "nanos", "18.11.26")).unwrap();
    nanos.set_len(30_000_000 * 4).unwrap();
    let server = Running::start(root.path());
    let target = format!(
        "/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price&reduce=lttb&max_points=1000"
    );
    let aborted = "gpu_charts_server_http_requests_total{method=\"GET\",endpoint=\"/api/data\",status=\"499\"}";
    for _ in 0..20 {
        crate::client::send(&mut crate::client::connect(server.data), "GET", &target);
    }
    wait_until("they are noticed", || server.sample(aborted) == 20.0);
    // Each alone takes a good part of a second; abandoned, they are out of the way at once.
    let columns = server.get(&target.replace("lttb", "minmax")).columns();
    assert!(columns[0].num_records <= 1000);
}
