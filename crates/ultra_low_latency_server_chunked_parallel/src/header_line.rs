//! The first line of the binary form, which describes the bytes after it.

use crate::rows::ColumnRows;

/// Of columns of which `rows` rows are sent; clients may rely on the order of its keys. Names of columns are plain: nothing
/// needs escaping.
pub(crate) fn header_line(columns: &[ColumnRows], rows: u64) -> Vec<u8> {
    let mut line = Vec::with_capacity(16 + 96 * columns.len());
    let (mut bytes, mut records, mut size) = (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
    let records = records.format(rows);
    line.extend_from_slice(b"{\"columns\":[");
    for (at, column) in columns.iter().enumerate() {
        let parts = [
            if at == 0 { "{\"data_length\":" } else { ",{\"data_length\":" },
            bytes.format(rows * column.width() as u64),
            ",\"name\":\"",
            column.column().name,
            "\",\"num_records\":",
            records,
            ",\"record_size\":",
            size.format(column.width()),
            "}",
        ];
        parts.iter().for_each(|part| line.extend_from_slice(part.as_bytes()));
    }
    line.extend_from_slice(b"]}\n");
    line
}
