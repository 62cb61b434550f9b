//! How full the queue between the feeds and the recorder is, told at the scrape: also while the recorder waits for the disk.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use tokio::sync::mpsc::{Sender, WeakSender};

use crate::received::Received;

/// Watches the queue without keeping it open.
#[derive(Debug)]
pub(crate) struct QueueGauges(WeakSender<Received>);

impl QueueGauges {
    pub(crate) fn new(sender: &Sender<Received>) -> QueueGauges {
        QueueGauges(sender.downgrade())
    }
}

impl Collector for QueueGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        // When the feeds are gone there is no queue any more.
        let (depth, capacity) = self
            .0
            .upgrade()
            .map_or((0, 0), |sender| (sender.max_capacity() - sender.capacity(), sender.max_capacity()));
        for (name, help, value) in [
            ("gpu_charts_write_queue_depth", "Facts that wait between the feeds and the recorder", depth),
            (
                "gpu_charts_write_queue_capacity",
                "Facts that fit between the feeds and the recorder; a full queue slows the feeds down, it drops nothing",
                capacity,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
