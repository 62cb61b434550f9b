//! Largest triangle, three buckets (Steinarsson 2013): of each bucket the row that makes the largest triangle with the row
//! chosen before it and the average of the bucket after it.
//!
//! Buckets have equally many rows, the first and the last row are always chosen. Two cursors walk over the rows, one a
//! bucket ahead of the other, so that memory does not depend on how many rows there are.

use std::{io, ops::Range};

use super::{BLOCK_ROWS, Choice, values};

/// A row in the plane: ns since the first row, and its value if it has one.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: Option<f64>,
}

/// Rows read one block at a time.
struct Cursor<'a> {
    choice: &'a Choice<'a>,
    origin: u64,
    block: Range<u64>,
    keys: Vec<u64>,
    values: Vec<f64>,
}

impl<'a> Cursor<'a> {
    fn new(choice: &'a Choice<'a>, origin: u64) -> Cursor<'a> {
        Cursor { choice, origin, block: 0..0, keys: Vec::new(), values: Vec::new() }
    }

    fn at(&mut self, row: u64) -> io::Result<Point> {
        if !self.block.contains(&row) {
            self.choice.check()?;
            let block = row..self.choice.rows.end.min(row + BLOCK_ROWS);
            self.choice.keys.read(block.clone(), &mut self.keys)?;
            values::read(self.choice.values, block.clone(), &mut self.values)?;
            self.block = block;
        }
        let at = usize::try_from(row - self.block.start).unwrap_or(usize::MAX);
        let x = self.keys.get(at).map_or(0, |key| key.saturating_sub(self.origin)) as f64;
        Ok(Point { x, y: self.values.get(at).copied().filter(|value| value.is_finite()) })
    }

    /// The centre of some rows.
    fn average(&mut self, rows: Range<u64>) -> io::Result<Point> {
        let count = (rows.end - rows.start) as f64;
        let (mut x, mut y, mut with_value) = (0.0, 0.0, 0.0);
        for row in rows {
            let point = self.at(row)?;
            x += point.x;
            if let Some(value) = point.y {
                y += value;
                with_value += 1.0;
            }
        }
        Ok(Point { x: x / count, y: (with_value > 0.0).then(|| y / with_value) })
    }
}

pub(super) fn choose(choice: &Choice<'_>, points: u64) -> io::Result<Vec<u64>> {
    let Range { start, end } = choice.rows;
    let last = end - 1;
    if points < 3 {
        return Ok([start, last].into_iter().take(usize::try_from(points).unwrap_or(0)).collect());
    }
    let buckets = points - 2;
    let between = u128::from(end - start - 2);
    // Rows between the first and the last, shared out evenly.
    let begin = |bucket: u64| {
        let before = between * u128::from(bucket) / u128::from(buckets);
        start + 1 + u64::try_from(before).unwrap_or(u64::MAX)
    };
    let origin = choice.keys.at(start)?;
    let (mut ahead, mut behind) = (Cursor::new(choice, origin), Cursor::new(choice, origin));
    let mut before = behind.at(start)?;
    let mut chosen = vec![start];
    for bucket in 0..buckets {
        let after =
            if bucket + 1 < buckets { ahead.average(begin(bucket + 1)..begin(bucket + 2))? } else { ahead.at(last)? };
        let rows = begin(bucket)..begin(bucket + 1);
        let mut best: Option<(f64, u64, Point)> = None;
        for row in rows.clone() {
            let point = behind.at(row)?;
            let area = point.y.map(|y| triangle(before, (point.x, y), after));
            if let Some(area) = area.filter(|area| best.is_none_or(|(largest, ..)| *area > largest)) {
                best = Some((area, row, point));
            }
        }
        // A bucket without values gives its first row.
        let (row, point) = match best {
            Some((_, row, point)) => (row, point),
            None => (rows.start, behind.at(rows.start)?),
        };
        chosen.push(row);
        before = point;
    }
    chosen.push(last);
    Ok(chosen)
}

/// Twice the area of a triangle. Where a corner has no value, the side beside it is taken to be level.
fn triangle(before: Point, (x, y): (f64, f64), after: Point) -> f64 {
    let before_y = before.y.or(after.y).unwrap_or(0.0);
    let after_y = after.y.or(before.y).unwrap_or(0.0);
    ((before.x - after.x) * (y - before_y) - (before.x - x) * (after_y - before_y)).abs()
}
