//! `logger verify`: the certificate, and every way to lose it.

use column_store::GapState;

use super::{
    data::{DAY_START, S, ancestor, column, gap, open, recorded, trades},
    *,
};

fn verify(root: &Path, args: &[&str]) -> Ran {
    run(&[&["verify", path(root)], args].concat())
}

fn change(file: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_whole_directory_gets_its_certificate() {
    let root = recorded();
    let ran = verify(root.path(), &[]);
    ran.says(0, &[]);
    assert_eq!(
        ran.stdout,
        "bitfinex TRADES: 0 missing; 2 rows, 1 days (0 sealed)\n  \
           1 symbol by the socket's sequence numbers, while it was connected\n\
         coinbase TRADES: 0 missing; 5 rows, 2 days (1 sealed)\n  \
           1 symbol by ids: every number between the first and the last was looked for\n\
         0 missing, 0 gaps of unknown size, 0 damaged: 7 rows in 3 days (1 sealed) of 2 series, 1 of them proven by ids\n"
    );
    assert_eq!(ran.stderr, "");
    // The page for users shows it.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/logger.md")).unwrap();
    let shown: String = ran.stdout.lines().map(|line| format!("    {line}\n")).collect();
    assert!(page.contains(&shown), "docs/logger.md does not show\n{shown}");
}

#[test]
fn what_nothing_proves_is_called_so() {
    let root = ancestor();
    let before = fs::read_dir(root.path()).unwrap().count();
    verify(root.path(), &[]).says(0, &["coinbase MD: 0 known to be missing; 10 rows", "1 symbol by nothing"]);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), before, "nothing is written");
}

#[test]
fn missing_ids_are_named() {
    let root = recorded();
    trades(&mut open(root.path()), "coinbase", "BTC-USD", 1, &[9]);
    let file = format!("missing   {}: 3 ids are missing: 6 to 8; ", column(root.path(), "id.19.11.26.bin").display());
    verify(root.path(), &[])
        .says(1, &[&format!("{file}3 of them are recorded in no gap"), "coinbase TRADES: 3 missing"]);
    gap(root.path(), 6, 8, GapState::Lost);
    verify(root.path(), &[]).says(1, &[&format!("{file}recorded as gaps"), "\n3 missing, "]);
    trades(&mut open(root.path()), "coinbase", "BTC-USD", 1, &[6, 7, 8]);
    verify(root.path(), &[]).says(0, &["note      ", "but all of its ids are there", "\n0 missing, "]);
    gap(root.path(), 6, 8, GapState::Filled);
    assert!(!verify(root.path(), &[]).stdout.contains("note"));
}

#[test]
fn damage_is_named_with_its_row() {
    let root = recorded();
    let price = column(root.path(), "price.19.11.26.bin");
    change(&price, |bytes| bytes.truncate(5));
    let short = format!("damaged   {} row 1: it ends here, `time` has 2 rows", price.display());
    let torn = format!("damaged   {}: its last cell is incomplete: 1 bytes", price.display());
    verify(root.path(), &[]).says(1, &[&short, &torn, "2 damaged"]);

    let root = recorded();
    change(&column(root.path(), "time.19.11.26.bin"), |bytes| bytes[..4].fill(0));
    verify(root.path(), &[]).says(1, &["time.19.11.26.bin row 0: the search key falls, 1 times that day"]);

    let root = recorded();
    let size = column(root.path(), "size.18.11.26.bin");
    change(&size, |bytes| bytes[3] ^= 1);
    verify(root.path(), &[]).says(1, &[&format!("{}: other bytes than when the day was sealed", size.display())]);
    verify(root.path(), &["--quick"]).says(0, &["Checksums of sealed days were not looked at"]);
}

#[test]
fn only_what_was_asked_for_is_looked_at() {
    let root = recorded();
    change(&column(root.path(), "price.19.11.26.bin"), |bytes| bytes.truncate(5));
    for args in [&["--exchange", "bitfinex"][..], &["--symbol", "tBTCUSD"], &["--day", "2026-11-18"]] {
        verify(root.path(), args).says(0, &["\n0 missing"]);
    }
    for args in [&["--exchange", "coinbase"][..], &["--symbol", "btc-usd"], &["--day", "18.11.26..19.11.26"]] {
        verify(root.path(), args).says(1, &["\n0 missing", "2 damaged"]);
    }
    verify(root.path(), &["--exchange", "kraken", "--symbol", "BTC/USD"])
        .says(64, &["logger: there is nothing to verify", "of exchange `kraken` of symbol `BTC/USD`"]);
    verify(root.path(), &["--day", "18.11.2026"])
        .says(64, &["--day", "`18.11.2026` is not a day of the form DD.MM.YY"]);
    verify(root.path(), &["--max-cut", "3"]).says(64, &["--repair"]);
    verify(&root.path().join("nowhere"), &[]).says(64, &["nowhere is not a directory"]);
    verify(tempfile::tempdir().unwrap().path(), &[]).says(64, &["there is nothing to verify"]);
}

#[test]
fn the_document_has_it_all() {
    let root = recorded();
    trades(&mut open(root.path()), "coinbase", "BTC-USD", 1, &[9]);
    let ran = verify(root.path(), &["--json"]);
    assert_eq!(ran.code, 1);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let at =
        |pointer: &str| document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {document:#}")).clone();
    for (pointer, expected) in [
        ("/version", "1"),
        ("/recording", "false"),
        ("/checksums", "true"),
        ("/verdict", "\"missing\""),
        ("/totals/missing", "3"),
        ("/tables/0/exchange", "\"bitfinex\""),
        ("/tables/0/proved_by/sequence", "1"),
        ("/tables/1/table", "\"TRADES\""),
        ("/tables/1/rule", "\"contiguous\""),
        ("/tables/1/missing", "3"),
        ("/problems/0/severity", "\"missing\""),
        ("/problems/0/row", "null"),
        ("/series/1/symbol", "\"BTC-USD\""),
        ("/series/1/proved_by", "\"ids\""),
        ("/series/1/first_id", "1"),
        ("/series/1/days/0/seal", "\"sealed\""),
        ("/series/1/days/1/findings/0/finding", "\"missing_ids\""),
    ] {
        assert_eq!(at(pointer).to_string(), expected, "{pointer}");
    }
    assert!(at("/problems/0/path").as_str().unwrap().ends_with("TRADES/id.19.11.26.bin"));
    let whole: serde_json::Value = serde_json::from_str(&verify(recorded().path(), &["--json"]).stdout).unwrap();
    assert_eq!(whole["verdict"], "whole");
}

#[test]
fn a_running_logger_is_noticed_and_left_alone() {
    let root = recorded();
    let mut store = open(root.path());
    trades(&mut store, "coinbase", "BTC-USD", 1, &[6]);
    // As between two columns of a flush.
    change(&column(root.path(), "id.19.11.26.bin"), |bytes| bytes.extend([0; 3]));
    verify(root.path(), &[]).says(0, &["A logger is recording"]);
    assert!(verify(root.path(), &["--json"]).stdout.contains("\"recording\": true"));
    verify(root.path(), &["--repair"]).says(1, &["locked by another logger"]);
    drop(store);
    verify(root.path(), &[]).says(1, &["its last cell is incomplete"]);
}

#[test]
fn torn_rows_are_cut_when_asked_for() {
    let root = recorded();
    // What no checkpoint proves.
    fs::remove_file(root.path().join("checkpoint")).unwrap();
    let price = column(root.path(), "price.19.11.26.bin");
    change(&price, |bytes| bytes.truncate(5));
    verify(root.path(), &["--repair", "--max-cut", "0"])
        .says(1, &["refused   coinbase/BTC-USD/TRADES 19.11.26: 1 rows would be cut off, more than the 0"]);
    verify(root.path(), &["--repair"])
        .says(0, &["repaired  ", "price.19.11.26.bin: 1 bytes cut off, kept in", "\n0 missing"]);
    assert_eq!(fs::read(price).unwrap().len(), 4);
    let again = verify(root.path(), &["--repair", "--json"]);
    again.says(0, &["\"repaired\": {"]);
    verify(root.path(), &["--repair"]).says(0, &["nothing had to be repaired"]);
}

/// A row may stand for several trades; that their ids are there is the coverage's word.
#[test]
fn ids_within_aggregates_count_as_there() {
    let root = tempfile::tempdir().unwrap();
    let mut store = open(root.path());
    trades(&mut store, "binance", "BTCUSDT", 0, &[4, 9]);
    let series = store.series::<column_store::TradeRow>("binance", "BTCUSDT").unwrap();
    let (by, connection, from_ns, to_ns) = (column_store::Proof::Id, None, DAY_START, DAY_START + S);
    store.cover(series, column_store::Covered { by, connection, from: 1, to: 9, from_ns, to_ns }).unwrap();
    store.flush(|_, _| {}).unwrap();
    store.finish().unwrap();
    verify(root.path(), &["--agg-trades"]).says(0, &["binance TRADES: 0 missing"]);
    verify(root.path(), &[])
        .says(1, &["binance TRADES: 4 missing", "4 ids are recorded as received whole, and have no row"]);
}
