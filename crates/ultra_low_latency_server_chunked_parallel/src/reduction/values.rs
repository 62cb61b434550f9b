//! A column as floating-point numbers.

use std::{io, ops::Range};

use column_store::Kind;

use crate::rows::ColumnRows;

/// Reads some rows of a column of numbers into `values`. Integers beyond 2^53 lose digits, which their order survives.
pub(super) fn read(column: &ColumnRows, rows: Range<u64>, values: &mut Vec<f64>) -> io::Result<()> {
    let width = column.width();
    let mut bytes = vec![0; usize::try_from(rows.end - rows.start).unwrap_or(0) * width];
    column.read(rows.start, &mut bytes)?;
    values.clear();
    let (four, eight) = (bytes.as_chunks::<4>().0.iter(), bytes.as_chunks::<8>().0.iter());
    match column.column().kind {
        Kind::U32 => values.extend(four.map(|cell| f64::from(u32::from_le_bytes(*cell)))),
        Kind::F32 => values.extend(four.map(|cell| f64::from(f32::from_le_bytes(*cell)))),
        Kind::U64 => values.extend(eight.map(|cell| u64::from_le_bytes(*cell) as f64)),
        Kind::F64 => values.extend(eight.map(|cell| f64::from_le_bytes(*cell))),
        // No column that judges is one.
        Kind::Uuid => {}
    }
    Ok(())
}
