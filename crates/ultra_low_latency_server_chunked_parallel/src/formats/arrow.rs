//! The Arrow IPC stream: a schema, record batches, an end mark.
//!
//! Columns on disk are what Arrow has in its buffers, so a batch is a few hundred bytes of description and then the
//! columns as they are. The description is a FlatBuffer; field numbers and enum values are those of `Schema.fbs` and
//! `Message.fbs` of the Arrow format, version 1.5. The arrow crates would bring 35 more and a second `hashbrown`.

mod flat_buffer;

use column_store::{Column, Kind};

use flat_buffer::{Cell, FlatBuffer};

/// `MetadataVersion.V5`.
const VERSION: i16 = 4;
/// `MessageHeader`'s members.
const SCHEMA: u8 = 1;
const RECORD_BATCH: u8 = 3;
/// `Type`'s members.
const INT: u8 = 2;
const FLOATING_POINT: u8 = 3;
const FIXED_SIZE_BINARY: u8 = 15;
/// `Precision`'s members.
const SINGLE: i16 = 1;
const DOUBLE: i16 = 2;

/// Precedes every message; alone with a length of 0 it ends the stream.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// Buffers and messages begin at multiples of this, bytes: what Arrow recommends.
const ALIGNMENT: usize = 64;
/// Bytes of the columns in a batch, about.
const BATCH_BYTES: usize = 512 * 1024;

/// The stream of some columns.
#[derive(Debug)]
pub(crate) struct ArrowStream {
    columns: Vec<&'static Column>,
    batch_rows: u64,
}

impl ArrowStream {
    pub(crate) fn new(columns: Vec<&'static Column>) -> ArrowStream {
        let row: usize = columns.iter().map(|column| column.kind.width()).sum();
        // Multiples of the alignment fill every buffer of a whole batch.
        let batch_rows = (BATCH_BYTES / row.max(1) / ALIGNMENT).max(1) * ALIGNMENT;
        ArrowStream { columns, batch_rows: batch_rows as u64 }
    }

    /// Rows of every batch but the last.
    pub(crate) fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// Bytes of the whole stream.
    pub(crate) fn length(&self, rows: u64) -> u64 {
        let batch = |rows: u64| {
            let body: u64 = self.columns.iter().map(|column| padded(rows * column.kind.width() as u64)).sum();
            self.batch_head(rows).len() as u64 + body
        };
        let rest = rows % self.batch_rows;
        let last = if rest > 0 { batch(rest) } else { 0 };
        self.schema().len() as u64 + rows / self.batch_rows * batch(self.batch_rows) + last + Self::end().len() as u64
    }

    /// The schema's message.
    pub(crate) fn schema(&self) -> Vec<u8> {
        let mut flat = FlatBuffer::new();
        let header = message(&mut flat, SCHEMA, 0);
        // endianness little, fields
        let schema = flat.table(header, &[None, Some(Cell::Offset)]);
        let fields = flat.offsets(schema.first().copied().unwrap_or(0), self.columns.len());
        for (column, at) in self.columns.iter().zip(fields) {
            let (of_type, cells) = arrow_type(column.kind);
            // name, nullable, type_type, type, dictionary, children
            let cells_of_field = [
                Some(Cell::Offset),
                Some(Cell::U8(0)),
                Some(Cell::U8(of_type)),
                Some(Cell::Offset),
                None,
                Some(Cell::Offset),
            ];
            let field = flat.table(at, &cells_of_field);
            if let [name, type_, children] = field[..] {
                flat.string(name, column.name);
                flat.table(type_, &cells);
                flat.offsets(children, 0);
            }
        }
        encapsulated(flat)
    }

    /// What precedes the columns of a batch.
    pub(crate) fn batch_head(&self, rows: u64) -> Vec<u8> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let mut buffers = Vec::with_capacity(2 * self.columns.len());
        let mut offset = 0;
        for column in &self.columns {
            let length = rows.saturating_mul(column.kind.width() as i64);
            // Without nulls there is no bitmap.
            buffers.extend([[offset, 0], [offset, length]]);
            offset += padded(length.unsigned_abs()).cast_signed();
        }
        let nodes = vec![[rows, 0]; self.columns.len()];
        let mut flat = FlatBuffer::new();
        let header = message(&mut flat, RECORD_BATCH, offset);
        // length, nodes, buffers
        let batch = flat.table(header, &[Some(Cell::I64(rows)), Some(Cell::Offset), Some(Cell::Offset)]);
        if let [nodes_at, buffers_at] = batch[..] {
            flat.pairs(nodes_at, &nodes);
            flat.pairs(buffers_at, &buffers);
        }
        encapsulated(flat)
    }

    /// Appends the columns of a batch after its head.
    pub(crate) fn push_body(bytes: &mut Vec<u8>, columns: &[(&'static Column, Vec<u8>)]) {
        bytes.reserve_exact(columns.iter().map(|(_, column)| padded(column.len() as u64) as usize).sum());
        for (_, column) in columns {
            bytes.extend_from_slice(column);
            let padding = padded(column.len() as u64) as usize - column.len();
            bytes.resize(bytes.len() + padding, 0);
        }
    }

    /// What ends the stream.
    pub(crate) fn end() -> [u8; 8] {
        let [a, b, c, d] = CONTINUATION;
        [a, b, c, d, 0, 0, 0, 0]
    }
}

fn padded(length: u64) -> u64 {
    length.next_multiple_of(ALIGNMENT as u64)
}

/// Starts a message, and returns where its header's place is.
fn message(flat: &mut FlatBuffer, header: u8, body: i64) -> usize {
    // version, header_type, header, bodyLength
    let cells = [Some(Cell::I16(VERSION)), Some(Cell::U8(header)), Some(Cell::Offset), Some(Cell::I64(body))];
    flat.table(0, &cells).first().copied().unwrap_or(0)
}

/// The member of `Type` and the cells of its table.
fn arrow_type(kind: Kind) -> (u8, Vec<Option<Cell>>) {
    match kind {
        // bitWidth, is_signed
        Kind::U32 => (INT, vec![Some(Cell::I32(32)), Some(Cell::U8(0))]),
        Kind::U64 => (INT, vec![Some(Cell::I32(64)), Some(Cell::U8(0))]),
        Kind::F32 => (FLOATING_POINT, vec![Some(Cell::I16(SINGLE))]),
        Kind::F64 => (FLOATING_POINT, vec![Some(Cell::I16(DOUBLE))]),
        Kind::Uuid => (FIXED_SIZE_BINARY, vec![Some(Cell::I32(16))]),
    }
}

/// A message with its length before it and padding behind, so that its body is aligned.
fn encapsulated(flat: FlatBuffer) -> Vec<u8> {
    let description = flat.finish();
    let prefix = 2 * CONTINUATION.len();
    let length = (prefix + description.len()).next_multiple_of(ALIGNMENT);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&CONTINUATION);
    bytes.extend_from_slice(&u32::try_from(length - prefix).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&description);
    bytes.resize(length, 0);
    bytes
}
