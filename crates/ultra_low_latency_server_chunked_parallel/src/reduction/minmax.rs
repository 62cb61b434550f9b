//! First, last, lowest and highest of each interval: a line through them covers the same pixels as one through all rows,
//! if an interval is a pixel wide. Known as M4.

use std::{io, ops::Range};

use super::{BLOCK_ROWS, Choice, values};

/// Rows that an interval may give.
const OF_INTERVAL: u64 = 4;

pub(super) fn choose(choice: &Choice<'_>, points: u64) -> io::Result<Vec<u64>> {
    let intervals = (points / OF_INTERVAL).max(1);
    let (first_ns, last_ns) = choice.range_ns;
    let span = u128::from(last_ns - first_ns) + 1;
    let mut chosen = Vec::new();
    let mut begin = choice.rows.start;
    let mut interval = 0;
    while begin < choice.rows.end {
        choice.check()?;
        // Empty intervals are passed over at once: the one that holds the next row is the next to look at.
        let key = choice.keys.at(begin)?.clamp(first_ns, last_ns);
        let holds = u128::from(key - first_ns) * u128::from(intervals) / span;
        interval = interval.max(u64::try_from(holds).unwrap_or(u64::MAX));
        let end = if interval + 1 >= intervals {
            choice.rows.end
        } else {
            let next_ns = (u128::from(interval + 1) * span).div_ceil(u128::from(intervals));
            let next_ns = first_ns + u64::try_from(next_ns).unwrap_or(u64::MAX);
            choice.keys.lower_bound(begin..choice.rows.end, next_ns)?
        };
        if end > begin {
            chosen.extend(of_interval(choice, begin..end, points)?);
        }
        begin = end;
        interval += 1;
    }
    Ok(chosen)
}

/// The rows that one interval gives, rising.
fn of_interval(choice: &Choice<'_>, rows: Range<u64>, points: u64) -> io::Result<Vec<u64>> {
    let mut lowest: Option<(u64, f64)> = None;
    let mut highest: Option<(u64, f64)> = None;
    let mut values = Vec::new();
    let mut at = rows.start;
    while at < rows.end {
        choice.check()?;
        let block = at..rows.end.min(at + BLOCK_ROWS);
        values::read(choice.values, block.clone(), &mut values)?;
        for (row, value) in block.clone().zip(values.iter().copied()).filter(|(_, value)| !value.is_nan()) {
            // The first of equals.
            if lowest.is_none_or(|(_, other)| value < other) {
                lowest = Some((row, value));
            }
            if highest.is_none_or(|(_, other)| value > other) {
                highest = Some((row, value));
            }
        }
        at = block.end;
    }
    let extremes = [lowest, highest].into_iter().flatten().map(|(row, _)| row);
    let mut chosen: Vec<u64> = Vec::new();
    for row in [rows.start, rows.end - 1].into_iter().chain(extremes) {
        if !chosen.contains(&row) {
            chosen.push(row);
        }
    }
    // Only where fewer points are wanted than one interval gives.
    chosen.truncate(usize::try_from(points).unwrap_or(usize::MAX));
    chosen.sort_unstable();
    Ok(chosen)
}
