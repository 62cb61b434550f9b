//! The few numbers that tell at a glance how a logger does, from the metrics' own handles.

use std::{fmt, sync::Arc, time::Instant};

use crate::{
    metrics::Metrics,
    queue::{Fill, Sender},
};

/// Where the numbers come from.
#[derive(Clone)]
pub struct VitalSigns {
    metrics: Arc<Metrics>,
    queue: Fill,
}

/// The numbers of a moment, with rates since the moment before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vitals {
    /// Venues of which everything is subscribed.
    pub connected: usize,
    /// Venues.
    pub venues: usize,
    /// Frames received, per second.
    pub messages: f64,
    /// Rows written, per second.
    pub rows: f64,
    /// Events missing since the start.
    pub missing: u64,
    /// How full the queue to the recorder is, 0 to 1.
    pub queue: f64,
    /// Days until the disk is full at this rate of writing.
    pub disk_days: f64,
    at: Instant,
    received: u64,
    written: u64,
}

impl VitalSigns {
    pub(crate) fn new(metrics: Arc<Metrics>, queue: &Sender) -> VitalSigns {
        VitalSigns { metrics, queue: Fill::of(queue) }
    }

    /// The numbers now; rates are since `before`.
    pub fn now(&self, before: Option<&Vitals>) -> Vitals {
        let venues = &self.metrics.venues;
        let (at, received) = (Instant::now(), venues.iter().map(|venue| venue.received()).sum());
        let written = venues.iter().map(|venue| venue.rows()).sum();
        let rate = |now: u64, then: fn(&Vitals) -> u64| {
            let Some(before) = before else { return 0.0 };
            let seconds = at.saturating_duration_since(before.at).as_secs_f64().max(0.001);
            now.saturating_sub(then(before)) as f64 / seconds
        };
        Vitals {
            connected: venues.iter().filter(|venue| venue.connected.get() == 1).count(),
            venues: venues.len(),
            messages: rate(received, |before| before.received),
            rows: rate(written, |before| before.written),
            missing: self.metrics.missing(),
            queue: self.queue.ratio(),
            disk_days: self.metrics.recorder.disk_days_left.get(),
            at,
            received,
            written,
        }
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vitals { connected, venues, messages, rows, missing, queue, disk_days, .. } = self;
        write!(f, "{connected}/{venues} venues  {messages:.0} msg/s  {rows:.0} rows/s  {missing} missing  ")?;
        write!(f, "queue {:.0}%  ", queue * 100.0)?;
        match disk_days {
            days if !days.is_finite() => f.write_str("disk -"),
            days if *days > 9_999.0 => f.write_str("disk >9999 d"),
            days => write!(f, "disk {days:.0} d"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_into_a_line() {
        let vitals = Vitals {
            connected: 4,
            venues: 5,
            messages: 1234.6,
            rows: 1100.2,
            missing: 3,
            queue: 0.014,
            disk_days: 41.7,
            at: Instant::now(),
            received: 0,
            written: 0,
        };
        let line = vitals.to_string();
        assert_eq!(line, "4/5 venues  1235 msg/s  1100 rows/s  3 missing  queue 1%  disk 42 d");
        assert!(Vitals { disk_days: f64::INFINITY, ..vitals }.to_string().ends_with("disk -"));
        assert!(Vitals { disk_days: 1e9, ..vitals }.to_string().ends_with("disk >9999 d"));
    }
}
