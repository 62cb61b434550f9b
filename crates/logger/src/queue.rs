//! How full the queue between the feeds and the recorder is, told at the scrape: also while the recorder waits for the disk.

use metrics_server::{CallbackKind, RegisterError, Registry};
use tokio::sync::mpsc::Sender;

use crate::received::Received;

/// Registers the gauges of the queue, without keeping it open.
pub(crate) fn register(registry: &mut Registry, sender: &Sender<Received>) -> Result<(), RegisterError> {
    let mut gauge = |name, help, value: fn(&Sender<Received>) -> usize| {
        let queue = sender.downgrade();
        registry.callback(CallbackKind::Gauge, name, help, [], move |samples| {
            // When the feeds are gone there is no queue any more.
            samples.push([], queue.upgrade().map_or(0.0, |sender| value(&sender) as f64));
        })
    };
    let help = "Facts that wait between the feeds and the recorder";
    gauge("gpu_charts_write_queue_depth", help, |sender| sender.max_capacity() - sender.capacity())?;
    let help = "Facts that fit between the feeds and the recorder; a full queue slows the feeds down, it drops nothing";
    gauge("gpu_charts_write_queue_capacity", help, Sender::max_capacity)
}
