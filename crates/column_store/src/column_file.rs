//! An open column file, and how many of them there are.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSliceMut},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt as _,
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::blocks::Blocks;

/// Whether a reader may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No: what is not in the page cache is an error of the kind `WouldBlock`. For threads that others wait for.
    Resident,
    /// Yes.
    Disk,
}

/// An open column file.
#[derive(Debug)]
pub(crate) struct ColumnFile {
    file: File,
    /// Of a file that does not change any more.
    blocks: Option<Blocks>,
    /// Gives its place back when the file is closed.
    _place: Option<Place>,
}

impl ColumnFile {
    pub(crate) fn new(file: File, blocks: Option<Blocks>, place: Option<Place>) -> ColumnFile {
        ColumnFile { file, blocks, _place: place }
    }

    /// Fills `buffer` from `offset` on, or as far as the file goes, and tells how many bytes that were.
    ///
    /// # Errors
    /// `WouldBlock` if that took a disk and `access` forbids it, or what the operating system says.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64, access: Access) -> io::Result<usize> {
        let is_kept = self.blocks.as_ref().is_some_and(|blocks| blocks.read(&self.file, buffer, offset));
        if is_kept { Ok(buffer.len()) } else { self.read_file(buffer, offset, access) }
    }

    /// As [`read`](ColumnFile::read), from the file in any case.
    pub(crate) fn read_file(&self, buffer: &mut [u8], offset: u64, access: Access) -> io::Result<usize> {
        match access {
            Access::Disk => self.read_fully(buffer, offset),
            Access::Resident => loop {
                let length = buffer.len();
                let mut buffers = [IoSliceMut::new(buffer)];
                match preadv2(&self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
                    Ok(read) if read == length => return Ok(read),
                    // The end of the file, or a page that is not there: only waiting tells which.
                    Ok(_) => return Err(ErrorKind::WouldBlock.into()),
                    Err(Errno::INTR) => {}
                    // A file system that cannot tell has its files in memory (older tmpfs) or leaves no choice.
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.read_fully(buffer, offset),
                    Err(error) => return Err(error.into()),
                }
            },
        }
    }

    /// A block of a file that does not change, if it is kept in memory or can be.
    pub(crate) fn kept_block(&self, number: u64) -> Option<&[u8]> {
        self.blocks.as_ref()?.block(&self.file, number)
    }

    /// Bytes of it that are kept in memory.
    pub(crate) fn kept(&self) -> usize {
        self.blocks.as_ref().map_or(0, Blocks::held)
    }

    fn read_fully(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl AsFd for ColumnFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// How many files are open, of how many that may be.
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicUsize,
    limit: usize,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Arc<Places> {
        Arc::new(Places { taken: AtomicUsize::new(0), limit })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A place for one more file; `None` if there is none.
    pub(crate) fn take(self: &Arc<Places>) -> Option<Place> {
        let one_more = |taken| (taken < self.limit).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }
}

/// A place for an open file, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
