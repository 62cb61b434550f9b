//! Blocks of sealed files, kept in memory: what is asked for again costs no system call.
//!
//! Only files that do not change any more have them. Whoever keeps such a file open looks from time to time whether it still
//! is what it was, and opens it anew with no blocks if not.

use std::{
    fs::File,
    io::IoSliceMut,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::io::{ReadWriteFlags, preadv2};

/// Bytes of a block: what the kernel reads at least.
pub(crate) const BLOCK: u64 = 4_096;
/// A longer read goes past the blocks: copying costs it more than a system call does.
const LONGEST_READ: usize = 4 * BLOCK as usize;

/// How many bytes all blocks together may have.
#[derive(Debug)]
pub(crate) struct BlockBudget {
    limit: usize,
    taken: AtomicUsize,
    /// Somebody found no room.
    is_short: AtomicBool,
}

impl BlockBudget {
    pub(crate) fn new(limit: usize) -> Arc<BlockBudget> {
        Arc::new(BlockBudget { limit, taken: AtomicUsize::new(0), is_short: AtomicBool::new(false) })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether somebody found no room since this was last asked.
    pub(crate) fn was_short(&self) -> bool {
        self.is_short.swap(false, Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.limit);
        let is_taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        // For what can never fit nobody need make room.
        if !is_taken && bytes <= self.limit {
            self.is_short.store(true, Ordering::Relaxed);
        }
        is_taken
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The blocks of one file.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Bytes of the file.
    length: u64,
    blocks: OnceLock<Box<[Block]>>,
    held: AtomicUsize,
    budget: Arc<BlockBudget>,
}

type Block = OnceLock<Box<[u8]>>;

impl Blocks {
    pub(crate) fn new(length: u64, budget: &Arc<BlockBudget>) -> Blocks {
        Blocks { length, blocks: OnceLock::new(), held: AtomicUsize::new(0), budget: Arc::clone(budget) }
    }

    /// Bytes that are held for this file.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Fills `buffer` from `offset` on, and keeps what it reads for that. False if that is not for blocks, or if there is no room,
    /// or if a disk would have to be waited for: then it says nothing.
    pub(crate) fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> bool {
        let end = offset.saturating_add(buffer.len() as u64);
        if buffer.is_empty() || buffer.len() > LONGEST_READ || end > self.length {
            return false;
        }
        let (mut rest, mut at) = (buffer, offset);
        while !rest.is_empty() {
            let Some(block) = self.block(file, at / BLOCK) else { return false };
            let from = usize::try_from(at % BLOCK).unwrap_or(0);
            let length = rest.len().min(block.len().saturating_sub(from));
            let Some(found) = block.get(from..from + length).filter(|found| !found.is_empty()) else { return false };
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(found);
            (rest, at) = (later, at + length as u64);
        }
        true
    }

    /// A block, if it is kept or can be. The last one of a file may be shorter.
    pub(crate) fn block(&self, file: &File, number: u64) -> Option<&[u8]> {
        let blocks = match self.blocks.get() {
            Some(blocks) => blocks,
            None => self.begin()?,
        };
        let block = blocks.get(usize::try_from(number).ok()?)?;
        match block.get() {
            Some(bytes) => Some(bytes),
            None => self.load(file, number, block),
        }
    }

    /// Makes the empty table of blocks, if there is room for that.
    #[cold]
    fn begin(&self) -> Option<&[Block]> {
        let count = usize::try_from(self.length.div_ceil(BLOCK)).ok()?;
        self.hold(count * size_of::<Block>(), &self.blocks, || (0..count).map(|_| OnceLock::new()).collect())
            .map(AsRef::as_ref)
    }

    #[cold]
    fn load<'a>(&self, file: &File, number: u64, block: &'a Block) -> Option<&'a [u8]> {
        let offset = number * BLOCK;
        let mut bytes = vec![0; usize::try_from(BLOCK.min(self.length.checked_sub(offset)?)).ok()?];
        let read = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::NOWAIT);
        if read != Ok(bytes.len()) {
            return None;
        }
        self.hold(bytes.len(), block, || bytes.into()).map(AsRef::as_ref)
    }

    /// Puts something of so many bytes into its place, if there is room.
    fn hold<'a, T>(&self, bytes: usize, place: &'a OnceLock<T>, made: impl FnOnce() -> T) -> Option<&'a T> {
        if !self.budget.take(bytes) {
            return None;
        }
        self.held.fetch_add(bytes, Ordering::Relaxed);
        if place.set(made()).is_err() {
            // Another thread was faster.
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.budget.give_back(bytes);
        }
        place.get()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.budget.give_back(self.held());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(length: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn what_is_read_is_what_the_file_had_and_is_not_read_again() {
        let (file, bytes) = file(3 * BLOCK as usize + 100);
        let budget = BlockBudget::new(1 << 20);
        let blocks = Blocks::new(bytes.len() as u64, &budget);
        let read = |offset: usize, length: usize| {
            let mut buffer = vec![0xAA; length];
            blocks.read(&file, &mut buffer, offset as u64).then_some(buffer)
        };
        for (offset, length) in [(0, 1), (4_095, 2), (4_000, 8_000), (0, bytes.len()), (12_288, 100), (12_387, 1)] {
            assert_eq!(read(offset, length).as_deref(), Some(&bytes[offset..offset + length]), "{offset} {length}");
        }
        assert_eq!(budget.taken(), bytes.len() + 4 * size_of::<Block>());
        file.set_len(0).unwrap();
        assert_eq!(read(5, 9_000).as_deref(), Some(&bytes[5..9_005]), "it is read from the file");
        assert_eq!((read(12_387, 2), read(0, 0), read(0, LONGEST_READ + 1)), (None, None, None));
        drop(blocks);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn there_are_no_more_blocks_than_there_is_room_for() {
        let (file, bytes) = file(8 * BLOCK as usize);
        let budget = BlockBudget::new(8 * size_of::<Block>() + 2 * BLOCK as usize);
        let blocks = Blocks::new(bytes.len() as u64, &budget);
        let read = |block: u64| blocks.read(&file, &mut [0; 8], block * BLOCK);
        assert_eq!((read(0), read(7), budget.was_short()), (true, true, false));
        assert_eq!((read(3), read(0), budget.was_short(), budget.was_short()), (false, true, true, false));
        let none = Blocks::new(bytes.len() as u64, &BlockBudget::new(0));
        assert!(!none.read(&file, &mut [0; 8], 0));
    }

    #[test]
    fn a_file_that_was_cut_gives_no_block() {
        let (file, bytes) = file(2 * BLOCK as usize);
        let blocks = Blocks::new(bytes.len() as u64, &BlockBudget::new(1 << 20));
        file.set_len(BLOCK + 5).unwrap();
        let mut buffer = [0; 4];
        assert!(blocks.read(&file, &mut buffer, 0));
        assert!(!blocks.read(&file, &mut buffer, BLOCK));
    }
}
