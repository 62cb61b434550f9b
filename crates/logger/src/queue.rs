//! The queue to the recorder, bounded by the facts in it. How full it is, is told at the scrape: also while the recorder
//! waits for the disk.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use metrics_server::{CallbackKind, RegisterError, Registry};
use tokio::sync::{Semaphore, mpsc};

use crate::received::{Batch, ConnectionId, Fact, Received};

/// Batches taken off the queue at once.
const AT_ONCE: usize = 1_024;

/// The end that feeds write to.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    batches: mpsc::UnboundedSender<Batch>,
    room: Arc<Room>,
}

/// The end that the recorder reads from.
#[derive(Debug)]
pub(crate) struct Receiver {
    batches: mpsc::UnboundedReceiver<Batch>,
    room: Weak<Room>,
    taken: Vec<Batch>,
}

#[derive(Debug)]
struct Room {
    /// In facts.
    capacity: usize,
    free: Semaphore,
}

/// What became of waiting for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Some came.
    Some,
    /// None came in time.
    None,
    /// All senders are gone, and the queue is empty.
    Closed,
}

/// A queue for so many facts.
pub(crate) fn channel(capacity: usize) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Room { capacity, free: Semaphore::new(capacity) });
    let weak = Arc::downgrade(&room);
    (Sender { batches: sender, room }, Receiver { batches: receiver, room: weak, taken: Vec::new() })
}

impl Room {
    /// A batch that is larger than the queue takes all of it.
    fn weight(&self, batch: &Batch) -> usize {
        let facts = if batch.connection == ConnectionId::REST {
            // Each trade of an answer is one of them.
            let trades = batch.facts.iter().map(|received| match &received.fact {
                Fact::Fill(fill) => fill.trades.len(),
                _ => 1,
            });
            trades.sum()
        } else {
            batch.facts.len()
        };
        // Captured frames weigh as the facts that fit into their memory.
        let captured = batch.wire.as_ref().map_or(0, |wire| wire.bytes() / size_of::<Received>());
        (facts + captured).clamp(1, self.capacity)
    }
}

impl Sender {
    /// Waits for room: a slow disk slows the feeds down and loses nothing.
    pub(crate) async fn send(&self, batch: Batch) {
        let weight = u32::try_from(self.room.weight(&batch)).unwrap_or(u32::MAX);
        if let Ok(permits) = self.room.free.acquire_many(weight).await {
            permits.forget();
        }
        // The recorder outlives the feeds; if it died, the whole logger is about to end.
        _ = self.batches.send(batch);
    }
}

impl Receiver {
    /// Waits for batches for so long at most, and hands them over.
    pub(crate) async fn take(&mut self, wait: Duration, mut each: impl FnMut(Batch)) -> Taken {
        match tokio::time::timeout(wait, self.batches.recv_many(&mut self.taken, AT_ONCE)).await {
            Err(_) => Taken::None,
            Ok(0) => Taken::Closed,
            Ok(_) => {
                let room = self.room.upgrade();
                let mut weight = 0;
                for batch in self.taken.drain(..) {
                    weight += room.as_ref().map_or(0, |room| room.weight(&batch));
                    each(batch);
                }
                if let Some(room) = room {
                    room.free.add_permits(weight);
                }
                Taken::Some
            }
        }
    }

    /// Whether all senders are gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.batches.is_closed()
    }
}

/// How full the queue is, 0 to 1, without keeping it open.
#[derive(Clone, Debug)]
pub(crate) struct Fill(Weak<Room>);

impl Fill {
    pub(crate) fn of(sender: &Sender) -> Fill {
        Fill(Arc::downgrade(&sender.room))
    }

    pub(crate) fn ratio(&self) -> f64 {
        let used = |room: &Room| (room.capacity - room.free.available_permits()) as f64 / room.capacity as f64;
        self.0.upgrade().map_or(0.0, |room| used(&room))
    }
}

/// Registers the gauges of the queue, without keeping it open.
pub(crate) fn register(registry: &mut Registry, sender: &Sender) -> Result<(), RegisterError> {
    let mut gauge = |name, help, value: fn(&Room) -> usize| {
        let room = Arc::downgrade(&sender.room);
        registry.callback(CallbackKind::Gauge, name, help, [], move |samples| {
            // When the feeds are gone there is no queue any more.
            samples.push([], room.upgrade().map_or(0.0, |room| value(&room) as f64));
        })
    };
    let help = "Facts that wait between the feeds and the recorder";
    gauge("gpu_charts_write_queue_depth", help, |room| room.capacity - room.free.available_permits())?;
    let help = "Facts that fit between the feeds and the recorder; a full queue slows the feeds down, it drops nothing";
    gauge("gpu_charts_write_queue_capacity", help, |room| room.capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::received::{ConnectionId, Fact};
    use crate::received::{Fill, Received, TradeFact};

    fn batch(facts: usize) -> Batch {
        let received = || Received { symbol: 0, receive_ns: 0, fact: Fact::Renumbered };
        Batch::new(ConnectionId::REST, (0..facts).map(|_| received()).collect())
    }

    #[test]
    fn an_answer_of_rest_weighs_as_many_facts_as_it_has_trades() {
        let (sender, _receiver) = channel(9);
        let trade = TradeFact {
            first_id: 1,
            id: 1,
            event_ns: 1,
            price: 1.0,
            size: 1.0,
            taker: exchange_protocol::Side::Buy,
            maker_order_id: [0; 16],
            taker_order_id: [0; 16],
            snapshot: false,
        };
        let fill = |trades| {
            let fact = Fact::Fill(Fill { question: 1, trades: vec![trade; trades], end: None });
            Batch::new(ConnectionId::REST, vec![Received { symbol: 0, receive_ns: 0, fact }])
        };
        assert_eq!([0, 1, 4, 99].map(|trades| sender.room.weight(&fill(trades))), [1, 1, 4, 9]);
    }

    #[tokio::test]
    async fn a_full_queue_makes_its_senders_wait() {
        let (sender, mut receiver) = channel(3);
        sender.send(batch(2)).await;
        let second = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(batch(9)).await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "there is room for one fact only");
        let mut taken = Vec::new();
        assert_eq!(receiver.take(Duration::from_secs(9), |batch| taken.push(batch.facts.len())).await, Taken::Some);
        second.await.unwrap();
        assert_eq!(receiver.take(Duration::from_secs(9), |batch| taken.push(batch.facts.len())).await, Taken::Some);
        assert_eq!(taken, [2, 9], "one that is larger than the queue goes through it alone");
        assert_eq!(sender.room.free.available_permits(), 3);
        assert_eq!(receiver.take(Duration::ZERO, |_| {}).await, Taken::None);
        drop(sender);
        assert_eq!(receiver.take(Duration::from_secs(9), |_| {}).await, Taken::Closed);
    }
}
