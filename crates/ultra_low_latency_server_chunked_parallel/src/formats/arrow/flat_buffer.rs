//! As much of FlatBuffers as messages of Arrow need, written from front to back: a table's place is known to its
//! parent, and is filled in when the table is written.

/// A field of a table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    U8(u8),
    I16(i16),
    I32(i32),
    I64(i64),
    /// A place for the offset of something that is written later.
    Offset,
}

impl Cell {
    fn bytes(self) -> ([u8; 8], usize) {
        let mut bytes = [0; 8];
        let mut put = |little_endian: &[u8]| {
            bytes.iter_mut().zip(little_endian).for_each(|(place, byte)| *place = *byte);
            little_endian.len()
        };
        let width = match self {
            Cell::U8(value) => put(&value.to_le_bytes()),
            Cell::I16(value) => put(&value.to_le_bytes()),
            Cell::I32(value) => put(&value.to_le_bytes()),
            Cell::I64(value) => put(&value.to_le_bytes()),
            Cell::Offset => put(&[0; 4]),
        };
        (bytes, width)
    }
}

/// A buffer whose root table's place is at 0.
#[derive(Debug)]
pub(super) struct FlatBuffer(Vec<u8>);

impl FlatBuffer {
    pub(super) fn new() -> FlatBuffer {
        FlatBuffer(vec![0; 4])
    }

    /// Writes a table, a `None` being a field at its default, and fills in its `place`. Returns the places of its
    /// offsets, in order.
    pub(super) fn table(&mut self, place: usize, cells: &[Option<Cell>]) -> Vec<usize> {
        // All tables begin at multiples of 8, so that offsets in a table tell about alignment.
        let mut end = 4_usize;
        let layout: Vec<Option<(usize, [u8; 8], usize)>> = cells
            .iter()
            .map(|cell| {
                cell.map(|cell| {
                    let (bytes, width) = cell.bytes();
                    let at = end.next_multiple_of(width);
                    end = at + width;
                    (at, bytes, width)
                })
            })
            .collect();
        self.align(8, 0);
        let vtable = self.0.len();
        self.put_u16(4 + 2 * cells.len());
        self.put_u16(end);
        for at in &layout {
            self.put_u16(at.map_or(0, |(at, ..)| at));
        }
        self.align(8, 0);
        let table = self.0.len();
        self.point(place, table);
        self.0.extend_from_slice(&u32::try_from(table - vtable).unwrap_or(0).to_le_bytes());
        let mut offsets = Vec::new();
        for ((at, bytes, width), cell) in layout.into_iter().flatten().zip(cells.iter().flatten()) {
            self.0.resize(table + at, 0);
            if matches!(cell, Cell::Offset) {
                offsets.push(self.0.len());
            }
            self.0.extend(bytes.iter().take(width));
        }
        offsets
    }

    /// Writes a vector of offsets, and returns the places of these.
    pub(super) fn offsets(&mut self, place: usize, count: usize) -> Vec<usize> {
        self.vector(place, count, 0);
        let first = self.0.len();
        self.0.resize(first + 4 * count, 0);
        (0..count).map(|index| first + 4 * index).collect()
    }

    /// Writes a vector of structs of two 64-bit numbers.
    pub(super) fn pairs(&mut self, place: usize, pairs: &[[i64; 2]]) {
        self.vector(place, pairs.len(), 4);
        self.0.extend(pairs.iter().flatten().flat_map(|number| number.to_le_bytes()));
    }

    pub(super) fn string(&mut self, place: usize, text: &str) {
        self.vector(place, text.len(), 0);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Begins a vector so that its length lies `beyond` bytes behind a multiple of 8.
    fn vector(&mut self, place: usize, count: usize, beyond: usize) {
        self.align(8, beyond);
        self.point(place, self.0.len());
        self.0.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn align(&mut self, to: usize, beyond: usize) {
        while self.0.len() % to != beyond {
            self.0.push(0);
        }
    }

    fn put_u16(&mut self, number: usize) {
        self.0.extend_from_slice(&u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes());
    }

    /// Makes a place point at what is written at `target`. Offsets count from where they stand.
    fn point(&mut self, place: usize, target: usize) {
        let offset = u32::try_from(target - place).unwrap_or(0).to_le_bytes();
        if let Some(bytes) = self.0.get_mut(place..place + 4) {
            bytes.copy_from_slice(&offset);
        }
    }
}
