//! As much of the Arrow IPC stream as its specification says of plain columns.

use crate::files::Kind;

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(number(bytes, at)) as usize
}

fn i64_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(i64::from_le_bytes(number(bytes, at))).unwrap()
}

/// A table of a FlatBuffer.
#[derive(Clone, Copy)]
struct Flat<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Flat<'a> {
    fn root(bytes: &'a [u8]) -> Flat<'a> {
        Flat { bytes, at: u32_at(bytes, 0) }
    }

    /// Where a field is; `None` if it has its default.
    fn field(self, slot: usize) -> Option<usize> {
        let vtable =
            usize::try_from(self.at as i64 - i64::from(i32::from_le_bytes(number(self.bytes, self.at)))).unwrap();
        let length = usize::from(u16::from_le_bytes(number(self.bytes, vtable)));
        let place = 4 + 2 * slot;
        let offset = if place < length { u16::from_le_bytes(number(self.bytes, vtable + place)) } else { 0 };
        (offset > 0).then(|| self.at + usize::from(offset))
    }

    /// What an offset points at.
    fn target(self, slot: usize) -> usize {
        let place = self.field(slot).unwrap();
        place + u32_at(self.bytes, place)
    }

    fn table(self, slot: usize) -> Flat<'a> {
        Flat { bytes: self.bytes, at: self.target(slot) }
    }

    fn small(self, slot: usize) -> u8 {
        self.field(slot).map_or(0, |at| self.bytes[at])
    }
}

/// The columns of a stream, which must have these names and kinds.
pub(crate) fn read(mut stream: &[u8], columns: &[&str], kinds: &[Kind]) -> Vec<Vec<u8>> {
    let mut found = vec![Vec::new(); columns.len()];
    let mut has_schema = false;
    loop {
        assert_eq!(stream[..4], [0xFF; 4]);
        let length = u32_at(stream, 4);
        if length == 0 {
            assert_eq!(stream.len(), 8, "nothing follows the end");
            assert!(has_schema);
            return found;
        }
        assert_eq!((8 + length) % 8, 0);
        let message = Flat::root(&stream[8..8 + length]);
        assert_eq!(message.small(0), 4, "metadata version 5");
        let body_length = message.field(3).map_or(0, |at| i64_at(message.bytes, at));
        let body = &stream[8 + length..8 + length + body_length];
        match message.small(1) {
            1 => {
                check_schema(message.table(2), columns, kinds);
                has_schema = true;
            }
            3 => read_batch(message.table(2), body, kinds, &mut found),
            other => panic!("message {other}"),
        }
        stream = &stream[8 + length + body_length..];
    }
}

fn check_schema(schema: Flat<'_>, columns: &[&str], kinds: &[Kind]) {
    let fields = schema.target(1);
    assert_eq!(u32_at(schema.bytes, fields), columns.len());
    for (index, (name, kind)) in columns.iter().zip(kinds).enumerate() {
        let place = fields + 4 + 4 * index;
        let field = Flat { bytes: schema.bytes, at: place + u32_at(schema.bytes, place) };
        let text = field.target(0);
        assert_eq!(&field.bytes[text + 4..][..u32_at(field.bytes, text)], name.as_bytes());
        assert_eq!(field.small(1), 0, "nothing is null");
        let of_type = field.table(3);
        let parameter = of_type.small(0);
        let expected = match kind {
            Kind::U32 => (2, 32),
            Kind::U64 => (2, 64),
            Kind::F32 => (3, 1),
            Kind::F64 => (3, 2),
            Kind::Uuid => (15, 16),
        };
        assert_eq!((field.small(2), parameter), expected);
        assert!(expected.0 != 2 || of_type.small(1) == 0, "unsigned");
    }
}

fn read_batch(batch: Flat<'_>, body: &[u8], kinds: &[Kind], found: &mut [Vec<u8>]) {
    let rows = batch.field(0).map_or(0, |at| i64_at(batch.bytes, at));
    let (nodes, buffers) = (batch.target(1), batch.target(2));
    assert_eq!((u32_at(batch.bytes, nodes), u32_at(batch.bytes, buffers)), (kinds.len(), 2 * kinds.len()));
    for (index, (kind, column)) in kinds.iter().zip(found).enumerate() {
        let node = nodes + 4 + 16 * index;
        assert_eq!((i64_at(batch.bytes, node), i64_at(batch.bytes, node + 8)), (rows, 0));
        let data = buffers + 4 + 16 * (2 * index + 1);
        assert_eq!(i64_at(batch.bytes, data - 8), 0, "no bitmap of nulls");
        let (offset, length) = (i64_at(batch.bytes, data), i64_at(batch.bytes, data + 8));
        assert_eq!((length, offset % 8), (rows * kind.width(), 0));
        column.extend_from_slice(&body[offset..offset + length]);
    }
}
