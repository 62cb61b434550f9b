//! JSON lines: an object a row, its keys in the order of the columns.

use column_store::Column;

use super::push_json_cell;

/// Appends rows, given the bytes of each column. Columns' names are plain identifiers, which JSON need not escape.
pub(crate) fn push_json_lines(text: &mut Vec<u8>, columns: &[(&'static Column, Vec<u8>)], rows: usize) {
    let mut cells: Vec<_> =
        columns.iter().map(|(column, bytes)| (*column, bytes.chunks_exact(column.kind.width()))).collect();
    for _ in 0..rows {
        for (at, (column, cells)) in cells.iter_mut().enumerate() {
            text.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
            text.extend_from_slice(column.name.as_bytes());
            text.extend_from_slice(b"\":");
            if let Some(cell) = cells.next() {
                push_json_cell(text, column.kind, cell);
            }
        }
        text.extend_from_slice(b"}\n");
    }
}
