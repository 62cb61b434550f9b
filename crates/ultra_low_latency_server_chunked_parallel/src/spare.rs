//! Buffers that are used again: to get fresh ones for each piece of a large answer, and to zero them, takes longer than to read
//! into them.

use std::cell::RefCell;

/// Buffers that a thread keeps.
const KEPT: usize = 8;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back to where the next one is taken from.
#[derive(Debug)]
pub(crate) struct SpareBuffer(Vec<u8>);

impl SpareBuffer {
    /// One of so many bytes, with anything in it.
    pub(crate) fn of(length: usize) -> SpareBuffer {
        let mut buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        buffer.resize(length, 0);
        SpareBuffer(buffer)
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl AsRef<[u8]> for SpareBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SpareBuffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that ends keeps nothing.
        _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut()
                && spare.len() < KEPT
            {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_again_and_not_too_many_are_kept() {
        let mut first = SpareBuffer::of(100);
        first.bytes_mut().fill(7);
        let place = first.as_ref().as_ptr();
        assert_eq!(first.as_ref(), [7; 100]);
        drop(first);
        let again = SpareBuffer::of(50);
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (place, 50));
        let many: Vec<_> = (0..2 * KEPT).map(|_| SpareBuffer::of(10)).collect();
        drop(many);
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
