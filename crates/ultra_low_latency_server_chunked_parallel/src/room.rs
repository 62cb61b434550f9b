//! Room: how many bytes of large answers may be ready at once, before their clients have taken them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes for all answers together; further ones wait, in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    all: u32,
}

/// Room that is taken, until this or what was put in is dropped.
#[derive(Debug)]
pub(crate) struct TakenRoom {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Bytes and their room.
struct Kept<B> {
    bytes: B,
    _room: TakenRoom,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Room {
        let all = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        Room { bytes: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Room for so many bytes; for more than there can be, all of it.
    pub(crate) async fn take(&self, bytes: usize) -> TakenRoom {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.all);
        // Never closed; if it were, going on without would still be correct.
        TakenRoom { _permit: Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok() }
    }
}

impl TakenRoom {
    /// Of whoever needs none.
    pub(crate) fn none() -> TakenRoom {
        TakenRoom { _permit: None }
    }

    /// The bytes, which keep their room until the last copy of them is dropped.
    pub(crate) fn keeps<B: AsRef<[u8]> + Send + 'static>(self, bytes: B) -> Bytes {
        Bytes::from_owner(Kept { bytes, _room: self })
    }
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Kept<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn room_is_free_again_when_the_bytes_are_gone() {
        let room = Room::new(10);
        let has = |bytes: usize| room.take(bytes).now_or_never().is_some();
        let mut kept = room.take(6).now_or_never().unwrap().keeps(vec![7; 6]);
        assert!(has(4) && !has(5));
        let part = kept.split_to(1);
        drop(kept);
        assert!(!has(5), "a part of it keeps all");
        assert_eq!(part, [7].as_slice());
        drop(part);
        assert!(has(10));
        let _all = room.take(usize::MAX).now_or_never().unwrap();
        assert!(!has(1));
    }
}
