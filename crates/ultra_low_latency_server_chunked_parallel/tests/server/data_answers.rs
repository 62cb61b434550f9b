//! Which rows and bytes an answer holds.

use std::fs;

use column_store::{MdRow, Table, TradeRow};
use tempfile::TempDir;

use crate::{
    DAY,
    client::{receive, send, u32s},
    running::Running,
    written::{cells, column_file, quote, quotes, trade, write, write_btc, write_large_day},
};

#[test]
fn the_worked_example_byte_for_byte() {
    let root = TempDir::new().unwrap();
    write(root.path(), "coinbase", "SOL-USD", &quotes(&[DAY - 1, DAY, DAY + 1, DAY + 2, DAY + 3]));
    let server = Running::start(root.path());
    let answer = server
        .get("/api/data?symbol=SOL-USD&exchange=coinbase&type=MD&start=1794960000&end=1794960002&columns=time,best_bid")
        .expect(200);
    let mut expected = br#"{"columns":[{"data_length":12,"name":"time","num_records":3,"record_size":4},{"data_length":12,"name":"best_bid","num_records":3,"record_size":4}]}"#.to_vec();
    expected.push(b'\n');
    assert_eq!(expected.len(), 148);
    expected.extend([0x80, 0xea, 0xfc, 0x6a, 0x81, 0xea, 0xfc, 0x6a, 0x82, 0xea, 0xfc, 0x6a]);
    expected.extend([0x00, 0x00, 0x52, 0x43].repeat(3));
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("content-length"), Some("172"));
    assert_eq!(answer.header("x-missing"), None);
}

#[test]
fn days_follow_each_other_in_each_column() {
    let root = TempDir::new().unwrap();
    // Three days, the second of them without rows.
    let seconds = [DAY, DAY + 5, DAY + 86_399, DAY + 2 * 86_400, DAY + 2 * 86_400 + 7];
    write_btc(root.path(), &quotes(&seconds));
    let server = Running::start(root.path());
    let check = |start: u32, end: u32, expected: &[u32]| {
        let answer = server.data(&format!("type=MD&start={start}&end={end}&columns=event_id,time"));
        let columns = answer.columns();
        assert_eq!(u32s(&columns[1].bytes), expected, "{start}-{end}");
        let ids: Vec<u64> =
            columns[0].bytes.chunks(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())).collect();
        let expected_ids: Vec<u64> =
            expected.iter().map(|time| seconds.iter().position(|second| second == time).unwrap() as u64).collect();
        assert_eq!(ids, expected_ids);
    };
    check(DAY, DAY + 3 * 86_400, &seconds);
    check(DAY - 86_400, DAY + 9 * 86_400, &seconds);
    check(DAY + 1, DAY + 2 * 86_400, &seconds[1..4]);
    check(DAY + 86_399, DAY + 86_400, &seconds[2..3]);
    check(DAY + 86_400, DAY + 2 * 86_400 - 1, &[]);
}

#[test]
fn every_column_with_its_true_width() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY, DAY, DAY + 1]));
    write_btc(root.path(), &[trade(DAY, 1), trade(DAY + 1, u64::MAX)]);
    let server = Running::start(root.path());
    for (table, rows) in [(Table::Md, 3), (Table::Trades, 2)] {
        let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
        let range = format!("start={DAY}&end={}", DAY + 1);
        let answer = server.data(&format!("type={}&{range}&columns={}", table.name(), names.join(",")));
        for (received, column) in answer.columns().iter().zip(table.columns()) {
            assert_eq!(received.name, column.name);
            assert_eq!(received.record_size, column.kind.width() as u64, "{}", column.name);
            assert_eq!(received.num_records, rows);
            let expected = match table {
                Table::Md => cells::<MdRow>(root.path(), column.name, "18.11.26"),
                Table::Trades => cells::<TradeRow>(root.path(), column.name, "18.11.26"),
            };
            assert_eq!(received.bytes, expected, "{}", column.name);
        }
    }
}

#[test]
fn max_points_strides_over_committed_rows() {
    let root = TempDir::new().unwrap();
    // 7 rows on the first day and 6 on the second: strides cross midnight.
    let first: Vec<u32> = (0..7).map(|second| DAY + second).collect();
    let second: Vec<u32> = (0..6).map(|second| DAY + 86_400 + second).collect();
    let seconds = [first, second].concat();
    write_btc(root.path(), &quotes(&seconds));
    let server = Running::start(root.path());
    for points in ["1", "2", "3", "4", "5", "12", "13", "14", "1000000", "18446744073709551615", "0", "-3", "x"] {
        let range = format!("start={DAY}&end={}", DAY + 100_000);
        let answer = server.data(&format!("type=MD&{range}&columns=time,event_id,price_f64&max_points={points}"));
        let stride = match points.parse::<usize>() {
            Ok(points @ 1..) => seconds.len().div_ceil(points),
            _ => 1,
        };
        let expected: Vec<u32> = seconds.iter().copied().step_by(stride).collect();
        let columns = answer.columns();
        assert_eq!(u32s(&columns[0].bytes), expected, "{points}");
        let ids: Vec<u8> = (0..13_u64).step_by(stride).flat_map(u64::to_le_bytes).collect();
        assert_eq!(columns[1].bytes, ids, "{points}");
        let prices: Vec<u8> = (0..13).step_by(stride).flat_map(|id| (100.25 + f64::from(id)).to_le_bytes()).collect();
        assert_eq!(columns[2].bytes, prices, "{points}");
    }
}

#[test]
fn long_answers_are_the_files() {
    const ROWS: u64 = 1_000_003;
    let root = TempDir::new().unwrap();
    let time: Vec<u8> = (0..ROWS).flat_map(|row| (DAY + (row / 100) as u32).to_le_bytes()).collect();
    let event_id: Vec<u8> = (0..ROWS).flat_map(u64::to_le_bytes).collect();
    for (column, bytes) in [("time", &time), ("event_id", &event_id)] {
        let file = column_file(root.path(), "MD", column, "18.11.26");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    let server = Running::start(root.path());
    let whole = format!("type=MD&start={DAY}&end={}&columns=event_id,time", DAY + 86_399);
    let columns = server.data(&whole).columns();
    assert!(columns[0].bytes == event_id && columns[1].bytes == time);

    // Cells close together (read in blocks), and far apart (read one by one), many and few.
    for points in [999_999_u64, 400_000, 70_000, 3_000, 1_000, 7] {
        let stride = ROWS.div_ceil(points) as usize;
        let columns = server.data(&format!("{whole}&max_points={points}")).columns();
        let strided = |bytes: &[u8], width: usize| bytes.chunks(width).step_by(stride).flatten().copied().collect();
        let (expected_ids, expected_times): (Vec<u8>, Vec<u8>) = (strided(&event_id, 8), strided(&time, 4));
        assert!(columns[0].bytes == expected_ids && columns[1].bytes == expected_times, "{points}");
        assert!(columns[0].num_records <= points);
    }
}

#[test]
fn a_day_without_a_requested_column_is_left_out_and_named() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY - 1, DAY, DAY + 86_400]));
    fs::remove_file(column_file(root.path(), "MD", "price_f64", "17.11.26")).unwrap();
    fs::remove_file(column_file(root.path(), "MD", "side", "19.11.26")).unwrap();
    let server = Running::start(root.path());
    let range = format!("type=MD&start={}&end={}", DAY - 86_400, DAY + 2 * 86_400);
    let answer = server.data(&format!("{range}&columns=time,price_f64,side")).expect(200);
    assert_eq!(answer.u32s(), [DAY]);
    assert_eq!(answer.header("x-missing"), Some("17.11.26:price_f64, 19.11.26:side"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-missing"));
    let answer = server.data(&format!("{range}&columns=time")).expect(200);
    assert_eq!(answer.u32s(), [DAY - 1, DAY, DAY + 86_400]);
    assert_eq!(answer.header("x-missing"), None);
    // Some rows are an answer even to a strict client; none, for want of a column, are not.
    let strict = |columns: &str, end: u32| {
        server.data(&format!("type=MD&start={}&end={end}&columns={columns}&strict=1", DAY - 86_400))
    };
    assert_eq!(strict("time,side,price_f64", DAY).expect(200).u32s(), [DAY]);
    assert_eq!(strict("time,price_f64", DAY - 1).expect(404).text(), "Not found: 17.11.26:price_f64");
}

#[test]
fn a_growing_day_is_answered_as_far_as_it_is_committed() {
    let root = TempDir::new().unwrap();
    let server = Running::start(root.path());
    let query = format!("type=MD&start={DAY}&end={}&columns=time,event_id", DAY + 86_399);
    let mut expected = Vec::new();
    for minute in 0..20_u32 {
        let rows: Vec<_> = (0..50).map(|row| quote(DAY + minute * 60 + row, 0, u64::from(row))).collect();
        expected.extend((0..50).map(|row| DAY + minute * 60 + row));
        write_btc(root.path(), &rows);
        assert_eq!(server.data(&query).expect(200).u32s(), expected);
    }
}

#[test]
fn requests_on_one_connection_follow_each_other() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 300_000);
    let server = Running::start(root.path());
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price");
    let mut stream = crate::client::connect(server.data);
    // Two at once, one of them long: answers must not mix.
    send(&mut stream, "GET", &target);
    send(&mut stream, "GET", "/api/symbols");
    let columns = receive(&mut stream, false).unwrap().columns();
    assert_eq!(columns[1].num_records, 300_000);
    assert_eq!(
        receive(&mut stream, false).unwrap().text(),
        r#"{"exchanges":{"coinbase":["BTC-USD"]},"symbols":["BTC-USD"]}"#
    );
}

#[test]
fn a_client_that_streams_finds_the_header_wherever_it_is_cut() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 100_000);
    let server = Running::start(root.path());
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time,price,time");
    let whole = server.get(&target).expect(200);
    for piece in [1, 7, 100, 65_536] {
        // As the web client does: bytes until the newline, then exactly `data_length` bytes for each column.
        let mut stream = crate::client::connect(server.data);
        send(&mut stream, "GET", &target);
        crate::client::receive_head(&mut stream).unwrap().expect(200);
        let (mut line, mut rest) = (Vec::new(), Vec::new());
        while rest.is_empty() {
            let mut buffer = vec![0; piece];
            let read = std::io::Read::read(&mut stream, &mut buffer).unwrap();
            line.extend_from_slice(&buffer[..read]);
            if let Some(newline) = line.iter().position(|byte| *byte == b'\n') {
                rest = line.split_off(newline);
                rest.remove(0);
                break;
            }
        }
        let header: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let lengths =
            header["columns"].as_array().unwrap().iter().map(|column| column["data_length"].as_u64().unwrap());
        let mut data = vec![0; lengths.sum::<u64>() as usize];
        data[..rest.len()].copy_from_slice(&rest);
        std::io::Read::read_exact(&mut stream, &mut data[rest.len()..]).unwrap();
        assert!(whole.body.ends_with(&data) && whole.body.len() == line.len() + 1 + data.len(), "{piece}");
    }
}
