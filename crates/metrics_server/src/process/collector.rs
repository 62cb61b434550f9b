//! Reading `/proc` at each scrape.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo as _};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    /// Unix time in seconds. Read once: it is made from the boot time, which moves with every correction of the
    /// clock, and a start time that changes looks like a restart.
    start_time_seconds: Option<f64>,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self { start_time_seconds: start_time_seconds().ok() }
    }
}

fn start_time_seconds() -> ProcResult<f64> {
    let ticks = Process::myself()?.stat()?.starttime;
    Ok(procfs::boot_time_secs()? as f64 + ticks as f64 / procfs::ticks_per_second() as f64)
}

/// Bytes since the network namespace came up, as (received, sent).
///
/// These are the numbers of the namespace, not of the process: Linux keeps none per process. They are read where
/// Prometheus' Go client reads its metrics of the same name, so that dashboards agree.
fn network_octets() -> Option<(u64, u64)> {
    parse_network_octets(&std::fs::read_to_string("/proc/self/net/netstat").ok()?)
}

/// `IpExt`'s `InOctets` and `OutOctets`: the file has a line of names and a line of values for each group.
fn parse_network_octets(netstat: &str) -> Option<(u64, u64)> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted| {
        let mut fields = names.split_whitespace().zip(values.split_whitespace());
        fields.find(|(name, _)| *name == wanted)?.1.parse().ok()
    };
    Some((value("InOctets")?, value("OutOctets")?))
}

/// A soft limit as a number; without a limit the largest one, as other client libraries show it.
fn soft_limit(limit: LimitValue) -> f64 {
    match limit {
        LimitValue::Unlimited => u64::MAX as f64,
        LimitValue::Value(value) => value as f64,
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(start) = self.start_time_seconds {
            gauge(
                &mut encoder,
                "process_start_time_seconds",
                "Start time of the process since the Unix epoch.",
                start,
            )?;
        }
        if let Some((received, sent)) = network_octets() {
            let help = "Bytes received by the process's network namespace.";
            counter(&mut encoder, "process_network_receive_bytes", help, received as f64)?;
            let help = "Bytes sent by the process's network namespace.";
            counter(&mut encoder, "process_network_transmit_bytes", help, sent as f64)?;
        }
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
            counter(&mut encoder, "process_cpu_seconds", "User and system CPU time spent.", cpu)?;
            let resident = stat.rss_bytes().get() as f64;
            gauge(&mut encoder, "process_resident_memory_bytes", "Resident memory.", resident)?;
            gauge(&mut encoder, "process_virtual_memory_bytes", "Virtual memory.", stat.vsize as f64)?;
            gauge(&mut encoder, "process_threads", "Threads.", stat.num_threads as f64)?;
        }
        if let Ok(limits) = process.limits() {
            let memory = soft_limit(limits.max_address_space.soft_limit);
            gauge(&mut encoder, "process_virtual_memory_max_bytes", "Limit of virtual memory.", memory)?;
            let files = soft_limit(limits.max_open_files.soft_limit);
            gauge(&mut encoder, "process_max_fds", "Limit of open file descriptors.", files)?;
        }
        if let Ok(open) = process.fd_count() {
            gauge(&mut encoder, "process_open_fds", "Open file descriptors.", open as f64)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// `name` goes without `_total`, which the encoder appends.
fn counter(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_octets_by_name() {
        let netstat = "TcpExt: InOctets OutOctets\nTcpExt: 1 2\n\
                       IpExt: InNoRoutes InOctets OutOctets InMcastOctets\nIpExt: 3 4 5 6\n";
        assert_eq!(parse_network_octets(netstat), Some((4, 5)));
        assert_eq!(parse_network_octets("IpExt: InOctets\nIpExt: 4\n"), None);
        assert_eq!(parse_network_octets(""), None);
    }

    #[test]
    fn no_limit_is_the_largest_number() {
        assert_eq!(soft_limit(LimitValue::Unlimited), 18_446_744_073_709_551_615.0);
        assert_eq!(soft_limit(LimitValue::Value(1024)), 1024.0);
    }
}
