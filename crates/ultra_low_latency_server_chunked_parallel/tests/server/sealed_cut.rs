//! A sealed day whose files are cut in place, which no writer of ours does, while the server still believes the seal.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    DAY,
    client::{Answer, connect, receive},
    running::Running,
    wait_until,
    written::{column_file, quotes, seal_btc, write_btc},
};

const ROWS: usize = 20_000;
/// Twice the time after which the server takes a directory's times for settled.
const SETTLED: Duration = Duration::from_millis(100);
/// The whole day, which is sent out of the files; its beginning and its end, which are read at once.
const RANGES: [(usize, usize); 3] = [(0, ROWS - 1), (0, 999), (ROWS - 1_000, ROWS - 1)];
/// The fast way, the general one, texts, evenly spaced rows and chosen ones.
const FORMS: [(&str, &str); 5] = [
    ("", ""),
    ("", "Accept: */*, */*\r\n"),
    ("&format=csv", ""),
    ("&max_points=100", ""),
    ("&max_points=100&reduce=minmax&reduce_column=price_f64", ""),
];

/// `None` if the connection broke.
fn ask(server: &Running, (first, last): (usize, usize), (parameters, lines): (&str, &str)) -> Option<Answer> {
    let target = format!(
        "/api/data?symbol=BTC-USD&type=MD&start={}&end={}&columns=time,price_f64{parameters}",
        DAY as usize + first,
        DAY as usize + last
    );
    let mut stream = connect(server.data);
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes()).unwrap();
    receive(&mut stream, false).ok()
}

/// The rows of an answer, by the second and the bits of the price.
fn rows(answer: &Answer) -> Vec<(u32, u64)> {
    if answer.header("content-type").is_some_and(|form| form.starts_with("text/csv")) {
        let cells = answer.text().lines().skip(1).map(|line| line.split_once(',').unwrap());
        return cells.map(|(time, price)| (time.parse().unwrap(), price.parse::<f64>().unwrap().to_bits())).collect();
    }
    let columns = answer.columns();
    let prices = columns[1].bytes.chunks(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap()));
    crate::client::u32s(&columns[0].bytes).into_iter().zip(prices).collect()
}

fn is_sealed(server: &Running) -> bool {
    ask(server, RANGES[0], FORMS[0])
        .is_some_and(|answer| answer.header("etag").is_some() && rows(&answer).len() == ROWS)
}

/// Waits until the server answers by the seal without a look at the files: a directory that has only just changed is looked
/// at each time, and a file that was opened is looked at once more.
fn wait_for_trust(server: &Running) {
    let since = Instant::now();
    wait_until("the seal is believed", || since.elapsed() > SETTLED && is_sealed(server) && is_sealed(server));
}

/// Cuts a file, and asks at once; how many answers were given up.
fn cut(server: &Running, path: &Path, kept: usize, range: (usize, usize), form: (&str, &str)) -> usize {
    let width = fs::metadata(path).unwrap().len() as usize / ROWS;
    fs::File::options().write(true).open(path).unwrap().set_len((kept * width) as u64).unwrap();
    let Some(answer) = ask(server, range, form).filter(|answer| answer.status != 503) else { return 1 };
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (time, price) in rows(&answer) {
        let row = (time - DAY) as usize;
        // Blocks that small answers asked for are kept for as long as the seal is believed: their rows are true.
        let may_be_kept = range != RANGES[0] || form.0.contains("max_points");
        assert!(
            (range.0..=range.1).contains(&row) && (row < kept || may_be_kept),
            "row {row} of {kept} that are left, {range:?} {form:?}"
        );
        assert_eq!(f64::from_bits(price), 100.25 + row as f64, "{range:?} {form:?}");
    }
    0
}

#[test]
fn no_whole_answer_has_rows_that_are_not_there() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&(0..ROWS as u32).map(|second| DAY + second).collect::<Vec<_>>()));
    seal_btc(root.path(), "18.11.26");
    let server = Running::start(root.path());
    let mut given_up = 0;
    for (number, column) in ["price_f64", "time", "price_f64"].into_iter().enumerate() {
        let path = column_file(root.path(), "MD", column, "18.11.26");
        let whole = fs::read(&path).unwrap();
        for form in FORMS {
            for range in RANGES {
                wait_for_trust(&server);
                given_up += cut(&server, &path, [ROWS / 2, 0, 500][number], range, form);
                // In place as well, so that it is the file that is open.
                fs::File::options().write(true).open(&path).unwrap().write_all(&whole).unwrap();
                // A change of the directory makes the server look at its seals again.
                fs::write(path.with_extension("tmp"), b"").unwrap();
                fs::remove_file(path.with_extension("tmp")).unwrap();
            }
        }
    }
    println!("{given_up} answers were given up");
    assert!(given_up > 0, "no answer met the cut: this tells nothing");
    // What stays cut is answered as it is.
    let path = column_file(root.path(), "MD", "price_f64", "18.11.26");
    wait_for_trust(&server);
    cut(&server, &path, 700, RANGES[0], FORMS[0]);
    wait_until("the rest is answered", || {
        let answers = RANGES.map(|range| ask(&server, range, FORMS[0]).filter(|answer| answer.status == 200));
        let is_rest = |(answer, rest): (&Option<Answer>, usize)| {
            answer.as_ref().is_some_and(|answer| rows(answer).len() == rest && answer.header("etag").is_none())
        };
        answers.iter().zip([700, 700, 0]).all(is_rest)
    });
}
