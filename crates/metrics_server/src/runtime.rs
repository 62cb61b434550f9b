//! The `tokio_runtime_*` metrics: whether the async workers keep up.

use crate::registry::Registry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeMetrics};

/// Registers the metrics of the runtime that `handle` belongs to, read at each scrape:
///
/// - `tokio_runtime_workers`
/// - `tokio_runtime_alive_tasks`
/// - `tokio_runtime_global_queue_depth`: tasks that no worker has taken yet; stays high when all of them are busy
/// - `tokio_runtime_worker_busy_seconds_total`, summed over the workers: its rate divided by the number of workers is
///   how busy they are
/// - `tokio_runtime_worker_busiest_seconds_total`, that of the busiest one: its rate close to 1 while the sum is low
///   means that something blocks
/// - `tokio_runtime_worker_parks_total`, summed: how often a worker found nothing to do
///
/// What tokio tells only in builds with `tokio_unstable` is not among them, and the last three are absent on targets
/// without 64-bit atomics. One runtime for each registry: a second one would repeat the names.
pub fn register(registry: &mut Registry, handle: &Handle) {
    registry.client().register_collector(Box::new(RuntimeCollector(handle.metrics())));
}

#[derive(Debug)]
struct RuntimeCollector(RuntimeMetrics);

impl Collector for RuntimeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let metrics = &self.0;
        let workers = metrics.num_workers();
        gauge(&mut encoder, "tokio_runtime_workers", "Threads that run async tasks.", workers)?;
        let help = "Async tasks that have not ended.";
        gauge(&mut encoder, "tokio_runtime_alive_tasks", help, metrics.num_alive_tasks())?;
        let help = "Async tasks that wait for a worker to take them.";
        gauge(&mut encoder, "tokio_runtime_global_queue_depth", help, metrics.global_queue_depth())?;
        #[cfg(target_has_atomic = "64")]
        {
            let busy = || (0..workers).map(|worker| metrics.worker_total_busy_duration(worker));
            let sum = busy().sum::<Duration>().as_secs_f64();
            let help = "Time that all workers together were busy.";
            counter(&mut encoder, "tokio_runtime_worker_busy_seconds", help, sum)?;
            let busiest = busy().max().unwrap_or_default().as_secs_f64();
            let help = "Time that the busiest worker was busy.";
            counter(&mut encoder, "tokio_runtime_worker_busiest_seconds", help, busiest)?;
            let parks: u64 = (0..workers).map(|worker| metrics.worker_park_count(worker)).sum();
            let help = "How often a worker found nothing to do and went to sleep.";
            counter(&mut encoder, "tokio_runtime_worker_parks", help, parks as f64)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: usize) -> fmt::Result {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// `name` goes without `_total`, which the encoder appends.
#[cfg(target_has_atomic = "64")]
fn counter(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use std::time::Instant;

    fn value(registry: &Registry, name: &str) -> f64 {
        let mut all = String::new();
        text::encode(&mut all, registry.client_ref()).unwrap();
        let sample = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.unwrap_or_else(|| panic!("no {name} in {all}")).parse().unwrap()
    }

    fn reaches(registry: &Registry, name: &str, least: f64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while value(registry, name) < least {
            assert!(Instant::now() < deadline, "{name} does not reach {least}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_metrics_follow_the_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut registry = Registry::default();
        register(&mut registry, runtime.handle());
        assert_eq!(value(&registry, "tokio_runtime_workers"), 2.0);
        assert_eq!(value(&registry, "tokio_runtime_alive_tasks"), 0.0);

        let waiting: Vec<_> = (0..5).map(|_| runtime.spawn(std::future::pending::<()>())).collect();
        assert_eq!(value(&registry, "tokio_runtime_alive_tasks"), 5.0);
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        reaches(&registry, "tokio_runtime_worker_parks_total", 1.0);

        let (busy, busiest) = ("tokio_runtime_worker_busy_seconds_total", "tokio_runtime_worker_busiest_seconds_total");
        let before = value(&registry, busiest);
        let work = runtime.spawn(async {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
        });
        runtime.block_on(work).unwrap();
        reaches(&registry, busiest, before + 0.05);
        assert!(value(&registry, busy) >= value(&registry, busiest));

        // Both workers are held, so what comes next has to wait in the queue.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        for _ in 0..2 {
            let held = std::sync::Arc::clone(&held);
            runtime.spawn(async move { held.lock().unwrap().recv().unwrap_err() });
        }
        let depth = "tokio_runtime_global_queue_depth";
        let deadline = Instant::now() + Duration::from_secs(30);
        while value(&registry, depth) < 10.0 {
            runtime.spawn(async {});
            assert!(Instant::now() < deadline, "the queue does not grow");
        }
        drop(release);
    }
}
