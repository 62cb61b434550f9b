//! The data API against a reader that shares no code with it and knows only docs/format.md: random data sets, ranges,
//! columns and forms, while files grow, are cut, are replaced and go.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "data_oracle/answers.rs"]
mod answers;
#[path = "data_oracle/arrow.rs"]
mod arrow;
#[path = "data_oracle/files.rs"]
mod files;
#[path = "data_oracle/under_load.rs"]
mod under_load;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use end_to_end::{eventually, http, services::DataServer};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use answers::{ask, decode};
use files::{Cells, DAY, SECONDS_PER_DAY, Series, Table, cell, file_name};

/// Data sets in a run; each is asked some sixty times.
const DATA_SETS: u64 = 12;
const QUERIES: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_files_hold() {
    let seed: u64 = std::env::var("ORACLE_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("ORACLE_SEED={seed}");
    let (mut rows, mut with_missing) = (0, 0);
    for set in 0..DATA_SETS {
        let mut dice = StdRng::seed_from_u64(seed.wrapping_add(set));
        let root = TempDir::new().unwrap();
        let series = Series::random(root.path(), &mut dice);
        let server = DataServer::start(root.path()).await;
        for _ in 0..QUERIES {
            let query = Query::random(&series, &mut dice);
            let (expected, missing) = series.read(&query.columns, query.range_ns(), !query.in_ns, query.max_points);
            let path = query.path(&series);
            let answer = ask(server.data, &path).await.unwrap_or_else(|| panic!("no answer to {path}"));
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let found = decode(&answer, query.format, series.table, &query.columns);
            assert!(found == expected, "{path}: {} rows, expected {}", found.rows(), expected.rows());
            let named = answer.header("x-missing").map(str::to_owned);
            assert_eq!(named, missing, "{path}");
            rows += expected.rows();
            with_missing += usize::from(named.is_some());
        }
        server.stop().await;
    }
    assert!(rows > 10_000 && with_missing > 20, "{rows} rows and {with_missing} days tell nothing");
}

/// What is asked for.
struct Query {
    columns: Vec<&'static str>,
    /// Seconds, or nanoseconds.
    range: (u64, u64),
    in_ns: bool,
    max_points: Option<u64>,
    format: &'static str,
}

impl Query {
    fn random(series: &Series, dice: &mut StdRng) -> Query {
        let format = *["binary", "arrow", "csv", "jsonl"].choose(dice).unwrap();
        let all: Vec<&str> = series.table.columns().iter().map(|(name, _)| *name).collect();
        let mut columns: Vec<&str> = match dice.random_range(0..4) {
            0 => all.clone(),
            _ => (0..dice.random_range(1..6)).map(|_| *all.choose(dice).unwrap()).collect(),
        };
        if format == "jsonl" {
            columns.sort_unstable();
            columns.dedup();
        }
        let instants = series.instants();
        let any = |dice: &mut StdRng| match instants.choose(dice) {
            Some(ns) if dice.random_bool(0.8) => ns + dice.random_range(0..3) - 1,
            _ => (DAY + dice.random_range(0..5 * SECONDS_PER_DAY)) * 1_000_000_000,
        };
        let (a, b) = (any(dice), any(dice));
        let in_ns = dice.random_bool(0.4);
        let unit = if in_ns { 1 } else { 1_000_000_000 };
        let max_points = dice.random_bool(0.3).then(|| dice.random_range(1..2_000));
        Query { columns, range: (a.min(b) / unit, a.max(b) / unit), in_ns, max_points, format }
    }

    fn range_ns(&self) -> (u64, u64) {
        let (start, end) = self.range;
        if self.in_ns { (start, end) } else { (start * 1_000_000_000, end * 1_000_000_000 + 999_999_999) }
    }

    fn path(&self, series: &Series) -> String {
        let unit = if self.in_ns { "_ns" } else { "" };
        let points = self.max_points.map_or(String::new(), |points| format!("&max_points={points}"));
        let (start, end) = self.range;
        format!(
            "/api/data?exchange={}&symbol={}&type={}&start{unit}={start}&end{unit}={end}&columns={}&format={}{points}",
            series.exchange,
            series.symbol,
            series.table.name(),
            self.columns.join(","),
            self.format
        )
    }
}

/// The n-th row of a growing day, in all columns; `generation` tells one making of a day from another.
fn row_cells(name: &str, generation: u64, row: u64) -> Vec<u8> {
    match name {
        "time" => u32::try_from(DAY + row / 100).unwrap().to_le_bytes().to_vec(),
        "nanos" => u32::try_from(row % 100).unwrap().to_le_bytes().to_vec(),
        "event_id" => (generation << 40 | row).to_le_bytes().to_vec(),
        other => cell(Table::Md, other, generation << 40 | row),
    }
}

const WRITTEN: [&str; 4] = ["event_id", "price_f64", "nanos", "time"];

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_grows_is_answered_row_by_row() {
    let root = TempDir::new().unwrap();
    let server = DataServer::start(root.path()).await;
    let directory = root.path().join("coinbase/BTC-USD/MD");
    fs::create_dir_all(&directory).unwrap();
    let (committed, is_done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (told, done) = (Arc::clone(&committed), Arc::clone(&is_done));
    let writer = std::thread::spawn(move || {
        let mut dice = StdRng::seed_from_u64(7);
        let mut row = 0;
        while row < 200_000 && !done.load(Ordering::Relaxed) {
            let rows = dice.random_range(1..700);
            for name in WRITTEN {
                use std::io::Write as _;
                let mut file =
                    fs::File::options().create(true).append(true).open(directory.join(file_name(name, 0))).unwrap();
                // In pieces that are no whole cells: a reader meets every length.
                let bytes: Vec<u8> = (row..row + rows).flat_map(|row| row_cells(name, 0, row)).collect();
                for piece in bytes.chunks(dice.random_range(1..4_000)) {
                    file.write_all(piece).unwrap();
                }
            }
            row += rows;
            told.store(row, Ordering::SeqCst);
        }
    });
    let columns = ["time", "event_id", "price_f64", "nanos"];
    let mut dice = StdRng::seed_from_u64(11);
    let mut seen = 0;
    while !writer.is_finished() {
        let format = *["binary", "arrow", "csv", "jsonl"].choose(&mut dice).unwrap();
        // From a second on, or all.
        let from = dice.random_range(0..2) * seen / 200;
        let path = format!(
            "/api/data?symbol=BTC-USD&type=MD&start={}&end={}&columns={}&format={format}",
            DAY + from,
            DAY + 86_399,
            columns.join(",")
        );
        let before = committed.load(Ordering::SeqCst);
        let answer = ask(server.data, &path).await.unwrap();
        let after = committed.load(Ordering::SeqCst) + 700;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = decode(&answer, format, Table::Md, &columns);
        let (first, count) = (from * 100, found.rows() as u64);
        assert!((before..=after).contains(&(first + count).max(before)), "{before} {first} {count} {after}");
        assert!(count > 0 || first >= before || before == 0, "{path}");
        let expected = columns.map(|name| (first..first + count).flat_map(|row| row_cells(name, 0, row)).collect());
        assert!(found == Cells(expected.to_vec()), "{path}: rows as they were written");
        seen = seen.max(first + count);
    }
    is_done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(seen > 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_replaced_and_removed_files_never_lie() {
    const ROWS: u64 = 60_000;
    let root = TempDir::new().unwrap();
    let server = DataServer::start(root.path()).await;
    let directory = root.path().join("coinbase/BTC-USD/MD");
    fs::create_dir_all(&directory).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    let work = directory.clone();
    let write = move |generation: u64| {
        for name in WRITTEN {
            let bytes: Vec<u8> = (0..ROWS).flat_map(|row| row_cells(name, generation, row)).collect();
            let whole = work.join(file_name(name, 0));
            let next = whole.with_extension("tmp");
            fs::write(&next, bytes).unwrap();
            fs::rename(next, whole).unwrap();
        }
    };
    write(1);
    let last_generation = Arc::new(AtomicU64::new(1));
    let told = Arc::clone(&last_generation);
    let vandal = std::thread::spawn(move || {
        let mut dice = StdRng::seed_from_u64(3);
        let mut generation = 1;
        while !done.load(Ordering::Relaxed) {
            let name = *WRITTEN.choose(&mut dice).unwrap();
            let file = directory.join(file_name(name, 0));
            match dice.random_range(0..3) {
                0 => drop(fs::remove_file(&file)),
                1 => {
                    if let Ok(file) = fs::File::options().write(true).open(&file) {
                        // Cut, never made longer: zeros at its end would be rows.
                        let length = file.metadata().unwrap().len();
                        file.set_len(dice.random_range(0..ROWS * 4).min(length)).unwrap();
                    }
                }
                _ => {
                    generation += 1;
                    write(generation);
                }
            }
            told.store(generation, Ordering::SeqCst);
        }
        generation += 1;
        write(generation);
        generation
    });
    let columns = ["event_id", "time", "price_f64"];
    let mut dice = StdRng::seed_from_u64(5);
    let (mut whole, mut broken) = (0, 0);
    for _ in 0..300 {
        let format = *["binary", "binary", "arrow", "csv", "jsonl"].choose(&mut dice).unwrap();
        let points = ["", "&max_points=500", "&max_points=500&reduce=minmax", "&max_points=300&reduce=lttb"];
        let path = format!(
            "/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={}&columns={}&format={format}{}",
            DAY + 86_399,
            columns.join(","),
            points.choose(&mut dice).unwrap()
        );
        // A file that is cut under an answer ends that connection; one that is cut under a plan is told.
        let Some(answer) = ask(server.data, &path).await.filter(|answer| answer.status != 503) else {
            broken += 1;
            continue;
        };
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        whole += 1;
        let found = decode(&answer, format, Table::Md, &columns);
        // Each column is of one making, whatever happened between two of them.
        let ids: Vec<u64> = found.0[0].chunks(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())).collect();
        assert!(ids.windows(2).all(|two| two[0] < two[1] && two[0] >> 40 == two[1] >> 40), "{path}");
        let times = found.0[1].chunks(4).map(|cell| u32::from_le_bytes(cell.try_into().unwrap()));
        let rows: Vec<u64> = ids.iter().map(|id| id & ((1 << 40) - 1)).collect();
        assert!(times.zip(&rows).all(|(time, row)| u64::from(time) == DAY + row / 100), "{path}");
        let prices: Vec<&[u8]> = found.0[2].chunks(8).collect();
        let newest = last_generation.load(Ordering::SeqCst) + 1;
        let is_of = |generation: u64| {
            rows.iter().zip(&prices).all(|(row, price)| row_cells("price_f64", generation, *row) == *price)
        };
        assert!(rows.is_empty() || (1..=newest).rev().any(is_of), "{path}: prices of one making");
    }
    is_done.store(true, Ordering::Relaxed);
    let generation = vandal.join().unwrap();
    println!("{whole} whole answers, {broken} broken ones, {generation} makings");
    assert!(whole > 50, "{whole} whole answers, {broken} broken ones");
    // Whole again, also for who remembers something.
    let path =
        format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={}&columns={}", DAY + 86_399, columns.join(","));
    let expected =
        Cells(columns.map(|name| (0..ROWS).flat_map(|row| row_cells(name, generation, row)).collect()).to_vec());
    eventually("the new files", Duration::from_secs(30), || async {
        let answer = http::try_get(server.data, &path).await.filter(|answer| answer.status == 200)?;
        (decode(&answer, "binary", Table::Md, &columns) == expected).then_some(())
    })
    .await;
    server.stop().await;
}
