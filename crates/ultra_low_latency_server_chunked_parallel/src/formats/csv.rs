//! Comma-separated values, RFC 4180: a header line, CRLF, nothing that would need quotes.

use column_store::Column;

use super::push_csv_cell;

/// The header line.
pub(crate) fn csv_head(columns: &[&'static Column]) -> Vec<u8> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    format!("{}\r\n", names.join(",")).into_bytes()
}

/// Appends rows, given the bytes of each column.
pub(crate) fn push_csv_rows(text: &mut Vec<u8>, columns: &[(&'static Column, Vec<u8>)], rows: usize) {
    let mut cells: Vec<_> =
        columns.iter().map(|(column, bytes)| (column.kind, bytes.chunks_exact(column.kind.width()))).collect();
    for _ in 0..rows {
        for (at, (kind, cells)) in cells.iter_mut().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            if let Some(cell) = cells.next() {
                push_csv_cell(text, *kind, cell);
            }
        }
        text.extend_from_slice(b"\r\n");
    }
}
