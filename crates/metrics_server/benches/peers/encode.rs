//! How long the text of 100,000 series takes.

use crate::contender::{contenders, fill, labels};
use crate::table::{heading, line, median};
use std::hint::black_box;
use std::time::Instant;

const SERIES: usize = 100_000;
const ROUNDS: usize = 15;

fn milliseconds(mut encode: impl FnMut() -> usize) -> (f64, f64) {
    let mut bytes = 0;
    let mut round = || {
        let start = Instant::now();
        bytes = encode();
        start.elapsed().as_secs_f64() * 1e3
    };
    let time = median((0..ROUNDS).map(|_| round()).collect());
    (time, bytes as f64 / 1e6)
}

pub(crate) fn hundred_thousand() {
    heading("text of 100,000 series with 3 labels (target: at most 4 ms, extra memory bounded)");
    let mut ours = 0.0;
    for contender in contenders() {
        fill(contender.as_ref(), SERIES);
        let (time, size) = milliseconds(|| contender.encode());
        if ours == 0.0 {
            ours = time;
        }
        line(contender.name(), &[(time, "ms"), (size, "MB")], ours);
    }
    let (time, size) = milliseconds(floor());
    line("floor: copy the labels, write u64s", &[(time, "ms"), (size, "MB")], ours);
}

/// The least that any encoder does: each line's text is copied from where it stands ready, and its value is written.
fn floor() -> impl FnMut() -> usize {
    let mut ready = String::new();
    let mut ends = Vec::new();
    for index in 0..SERIES {
        let [exchange, symbol, side] = labels(index);
        ready += &format!("gpu_charts_trades_total{{exchange=\"{exchange}\",symbol=\"{symbol}\",side=\"{side}\"}} ");
        ends.push(ready.len());
    }
    let values: Vec<u64> = (0..SERIES as u64).collect();
    let mut out = Vec::with_capacity(64 * 1024);
    move || {
        let (mut start, mut bytes) = (0, 0);
        for (end, value) in ends.iter().zip(&values) {
            out.extend_from_slice(&ready.as_bytes()[start..*end]);
            out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
            out.push(b'\n');
            start = *end;
            if out.len() > 60 * 1024 {
                bytes += black_box(&out).len();
                out.clear();
            }
        }
        bytes += black_box(&out).len();
        out.clear();
        bytes
    }
}
