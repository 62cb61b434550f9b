//! What is chosen, compared with the plainest code that says what should be.

use std::{fs, sync::atomic::AtomicBool};

use column_store::{Column, Reader, SeriesId, Table};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Choice, Keys, Reduction};
use crate::rows::ColumnRows;

/// 2026-11-18, Unix seconds.
const DAY: u32 = 1_794_960_000;

fn column(name: &str) -> &'static Column {
    Table::Md.column(name).unwrap()
}

/// Writes keys (ns after `DAY`) and prices, and chooses among them.
fn chosen(rows: &[(u64, f64)], reduction: Reduction, points: u64, range_ns: (u64, u64)) -> Vec<u64> {
    let root = TempDir::new().unwrap();
    let id = SeriesId { exchange: "x".to_owned(), symbol: "y".to_owned(), table: Table::Md };
    let directory = root.path().join(id.path());
    fs::create_dir_all(&directory).unwrap();
    let seconds = |ns: u64| DAY + (ns / 1_000_000_000) as u32;
    let write = |name: &str, bytes: Vec<u8>| fs::write(directory.join(format!("{name}.18.11.26.bin")), bytes).unwrap();
    write("time", rows.iter().flat_map(|(ns, _)| seconds(*ns).to_le_bytes()).collect());
    write("nanos", rows.iter().flat_map(|(ns, _)| ((ns % 1_000_000_000) as u32).to_le_bytes()).collect());
    write("price_f64", rows.iter().flat_map(|(_, price)| price.to_le_bytes()).collect());
    let columns = ["time", "nanos", "price_f64"].map(column);
    let selection = Reader::open(root.path()).unwrap().select(&id, &columns, DAY, DAY + 86_399).unwrap();
    let [time, nanos, values]: [ColumnRows; 3] = selection
        .columns
        .into_iter()
        .map(|selected| ColumnRows::new(selected, 1))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let keys = Keys { time: &time, nanos: &nanos };
    let choice = Choice { keys, values: &values, rows: 0..time.rows(), range_ns, given_up: &AtomicBool::new(false) };
    choice.rows(reduction, points).unwrap()
}

/// Every row's interval is computed by itself, and each interval's rows are looked through.
fn minmax_oracle(rows: &[(u64, f64)], points: u64, (first, last): (u64, u64)) -> Vec<u64> {
    let intervals = u128::from((points / 4).max(1));
    let of_row = |ns: u64| u128::from(ns - first) * intervals / (u128::from(last - first) + 1);
    let mut all = Vec::new();
    for interval in 0..intervals {
        let inside: Vec<(usize, f64)> =
            rows.iter().enumerate().filter(|(_, row)| of_row(row.0) == interval).map(|(at, row)| (at, row.1)).collect();
        let Some(((first, _), (last, _))) = inside.first().zip(inside.last()) else { continue };
        let numbers = || inside.iter().filter(|(_, price)| !price.is_nan());
        let lowest = numbers().min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let highest = numbers().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let mut of_interval = vec![*first, *last];
        of_interval.extend([lowest, highest].into_iter().flatten().map(|(at, _)| *at));
        let mut kept: Vec<usize> = Vec::new();
        for row in of_interval {
            if !kept.contains(&row) && kept.len() < points as usize {
                kept.push(row);
            }
        }
        kept.sort();
        all.extend(kept.into_iter().map(|row| row as u64));
    }
    all
}

fn lttb_oracle(rows: &[(u64, f64)], points: u64) -> Vec<u64> {
    let (count, buckets) = (rows.len(), points as usize - 2);
    let begin = |bucket: usize| 1 + (count - 2) * bucket / buckets;
    let x = |row: usize| (rows[row].0 - rows[0].0) as f64;
    let y = |row: usize| Some(rows[row].1).filter(|price| price.is_finite());
    let mut chosen = vec![0];
    for bucket in 0..buckets {
        let after: Vec<usize> =
            if bucket + 1 < buckets { (begin(bucket + 1)..begin(bucket + 2)).collect() } else { vec![count - 1] };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let after_x = mean(&after.iter().map(|row| x(*row)).collect::<Vec<_>>());
        let after_values: Vec<f64> = after.iter().filter_map(|row| y(*row)).collect();
        let after_y = (!after_values.is_empty()).then(|| mean(&after_values));
        let before = *chosen.last().unwrap();
        let before_y = y(before);
        let (from, to) = (before_y.or(after_y).unwrap_or(0.0), after_y.or(before_y).unwrap_or(0.0));
        let area = |row: usize| {
            y(row).map(|y| ((x(before) - after_x) * (y - from) - (x(before) - x(row)) * (to - from)).abs())
        };
        let mut best = begin(bucket);
        for row in begin(bucket)..begin(bucket + 1) {
            if area(row) > area(best) {
                best = row;
            }
        }
        chosen.push(best);
    }
    chosen.push(count - 1);
    chosen.into_iter().map(|row| row as u64).collect()
}

/// Rising keys with many equal ones, few different prices, some of them unknown.
fn rows() -> impl Strategy<Value = Vec<(u64, f64)>> {
    let step = prop_oneof![3 => Just(0_u64), 2 => 1..50_u64, 2 => 1_u64..3_000_000_000, 1 => 1_u64..600_000_000_000];
    let price = prop_oneof![6 => (0..12_u8).prop_map(f64::from), 1 => Just(f64::NAN), 2 => 0.0..1e6_f64];
    prop::collection::vec((step, price), 1..140).prop_map(|steps| {
        let mut ns = 0;
        let add = |(step, price): (u64, f64)| {
            ns += step;
            (ns, price)
        };
        steps.into_iter().map(add).collect()
    })
}

fn check(rows: &[(u64, f64)], points: u64, chosen: &[u64]) {
    assert!(chosen.len() as u64 <= points.max(1), "{} of {points}", chosen.len());
    assert!(chosen.windows(2).all(|two| two[0] < two[1]), "rising: {chosen:?}");
    assert!(chosen.iter().all(|row| *row < rows.len() as u64));
}

/// Absolute ns of a time after `DAY`.
fn absolute(ns: u64) -> u64 {
    u64::from(DAY) * 1_000_000_000 + ns
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn minmax_is_what_it_says(rows in rows(), points in 1..60_u64, after in 0..400_000_000_000_u64) {
        let last = rows.last().unwrap().0 + after;
        let chosen = chosen(&rows, Reduction::MinMax(column("price_f64")), points, (absolute(0), absolute(last)));
        check(&rows, points, &chosen);
        let expected =
            if rows.len() as u64 <= points { (0..rows.len() as u64).collect() } else { minmax_oracle(&rows, points, (0, last)) };
        prop_assert_eq!(chosen, expected);
    }

    #[test]
    fn lttb_is_what_it_says(rows in rows(), points in 1..60_u64) {
        let chosen = chosen(&rows, Reduction::Lttb(column("price_f64")), points, (absolute(0), absolute(1)));
        check(&rows, points, &chosen);
        let expected = match points {
            _ if rows.len() as u64 <= points => (0..rows.len() as u64).collect(),
            1 => vec![0],
            2 => vec![0, rows.len() as u64 - 1],
            _ => lttb_oracle(&rows, points),
        };
        prop_assert_eq!(chosen, expected);
    }
}

#[test]
fn rows_beyond_a_block() {
    // Several blocks, the extremes at their edges.
    let rows: Vec<(u64, f64)> = (0..50_000_u64)
        .map(|row| {
            (
                row * 1_000_003,
                match row {
                    16_383 => 9.0,
                    16_384 => -9.0,
                    49_998 => 8.0,
                    _ => (row % 7) as f64 * 0.1,
                },
            )
        })
        .collect();
    let last = rows.last().unwrap().0;
    for points in [4, 8, 11] {
        let range = (absolute(0), absolute(last));
        let minmax = chosen(&rows, Reduction::MinMax(column("price_f64")), points, range);
        assert_eq!(minmax, minmax_oracle(&rows, points, (0, last)), "{points}");
        let lttb = chosen(&rows, Reduction::Lttb(column("price_f64")), points, range);
        assert_eq!(lttb, lttb_oracle(&rows, points), "{points}");
    }
}
