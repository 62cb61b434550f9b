//! The counters and histograms themselves, in tables that requests index without a lock.
//!
//! They are not the client library's families: those find a series under a lock that the encoder holds for a whole
//! scrape, so that the first request of a new series would wait for a large exposition to be encoded.

use super::labels::{Labels, Method};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Seconds. Starts where a service that answers from memory lives, and ends where clients have given up. Rules must
/// not select `le="1"`, `"5"` or `"10"`: whole numbers are written `1.0` in one text format and `1` in the other.
const DURATION_SECONDS: [f64; 18] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// Bytes of a body: from an error's text to a large download.
const RESPONSE_BYTES: [f64; 10] =
    [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

/// The status codes a service usually answers with, in ascending order; each has a place in the tables.
const STATUSES: [u16; 23] =
    [101, 200, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 408, 413, 416, 422, 429, 499, 500, 503, 504];

/// The series of one [`HttpMetrics`](super::HttpMetrics).
#[derive(Debug)]
pub(super) struct Series {
    requests_name: String,
    duration_name: String,
    size_name: String,
    in_flight_name: String,
    panics_name: String,
    labels: Labels,
    endpoints: Vec<String>,
    /// By endpoint, method and status. A series appears in the exposition with its first request.
    requests: Vec<OnceLock<Counter>>,
    /// By endpoint, method and status too, for the status codes that have no place in the table. Bounded by the
    /// codes the service itself produces.
    rare_requests: Mutex<BTreeMap<(usize, usize, u16), Counter>>,
    /// By endpoint and method.
    durations: Vec<OnceLock<Histogram>>,
    sizes: Vec<OnceLock<Histogram>>,
    in_flight: Gauge,
    panics: Counter,
}

impl Series {
    /// `endpoints` are the label values, the one for unknown paths last.
    pub(super) fn new(prefix: &str, endpoints: Vec<String>, labels: Labels) -> Self {
        let pairs = endpoints.len() * Method::ALL.len();
        let series = Self {
            requests_name: format!("{prefix}_http_requests"),
            duration_name: format!("{prefix}_http_request_duration_seconds"),
            size_name: format!("{prefix}_http_response_size_bytes"),
            in_flight_name: format!("{prefix}_http_requests_in_flight"),
            panics_name: format!("{prefix}_http_request_panics"),
            labels,
            requests: (0..pairs * STATUSES.len()).map(|_| OnceLock::new()).collect(),
            rare_requests: Mutex::default(),
            durations: (0..pairs).map(|_| OnceLock::new()).collect(),
            sizes: (0..pairs).map(|_| OnceLock::new()).collect(),
            in_flight: Gauge::default(),
            panics: Counter::default(),
            endpoints,
        };
        // The series of ordinary success start at 0, so that rates are right from the first request on.
        for endpoint in 0..series.endpoints.len() - 1 {
            series.requests(Method::Get, endpoint, 200, |_| {});
            series.duration(Method::Get, endpoint);
            series.size(Method::Get, endpoint);
        }
        series
    }

    pub(super) fn started(&self) {
        self.in_flight.inc();
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    pub(super) fn endpoint(&self, endpoint: usize) -> &str {
        &self.endpoints[endpoint]
    }

    /// `response_bytes` are those of the body that were handed out.
    pub(super) fn finished(
        &self,
        method: Method,
        endpoint: usize,
        status: u16,
        duration: Duration,
        response_bytes: u64,
    ) {
        self.in_flight.dec();
        self.duration(method, endpoint).observe(duration.as_secs_f64());
        self.size(method, endpoint).observe(response_bytes as f64);
        self.requests(method, endpoint, status, |counter| {
            counter.inc();
        });
    }

    fn duration(&self, method: Method, endpoint: usize) -> &Histogram {
        self.durations[self.pair(method, endpoint)].get_or_init(|| Histogram::new(DURATION_SECONDS))
    }

    fn size(&self, method: Method, endpoint: usize) -> &Histogram {
        self.sizes[self.pair(method, endpoint)].get_or_init(|| Histogram::new(RESPONSE_BYTES))
    }

    /// The place in the tables by endpoint and method; of a label that is dropped the first value stands for all.
    fn pair(&self, method: Method, endpoint: usize) -> usize {
        let endpoint = if self.labels.endpoint { endpoint } else { 0 };
        let method = if self.labels.method { method as usize } else { 0 };
        endpoint * Method::ALL.len() + method
    }

    fn requests(&self, method: Method, endpoint: usize, status: u16, apply: impl FnOnce(&Counter)) {
        let pair = self.pair(method, endpoint);
        let place = if self.labels.status { STATUSES.binary_search(&status) } else { Ok(0) };
        match place {
            Ok(place) => apply(self.requests[pair * STATUSES.len() + place].get_or_init(Counter::default)),
            Err(_) => {
                let key = (pair / Method::ALL.len(), pair % Method::ALL.len(), status);
                apply(self.rare_requests().entry(key).or_default());
            }
        }
    }

    /// Entries are only added, so the map is whole even if a holder of the lock panicked.
    fn rare_requests(&self) -> MutexGuard<'_, BTreeMap<(usize, usize, u16), Counter>> {
        self.rare_requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "Requests, counted when their response is complete; status 499: the client hung up before.";
        let mut family = encoder.encode_descriptor(&self.requests_name, help, None, MetricType::Counter)?;
        let common = self.requests.iter().enumerate().filter_map(|(index, counter)| {
            let (pair, status) = (index / STATUSES.len(), STATUSES[index % STATUSES.len()]);
            let key = (pair / Method::ALL.len(), pair % Method::ALL.len(), status);
            counter.get().map(|counter| (key, counter.clone()))
        });
        // Copied out, so that no request waits for the encoder.
        let rare: Vec<_> = self.rare_requests().iter().map(|(key, counter)| (*key, counter.clone())).collect();
        for ((endpoint, method, status), counter) in common.chain(rare) {
            let mut labels = self.pair_labels(method, endpoint);
            let status = status.to_string();
            if self.labels.status {
                labels.push(("status", status.as_str()));
            }
            if labels.is_empty() {
                // The only series there is, and without the empty braces that a family's get.
                return counter.encode(family);
            }
            counter.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn encode_histograms(&self, mut family: MetricEncoder<'_>, histograms: &[OnceLock<Histogram>]) -> fmt::Result {
        for (pair, histogram) in histograms.iter().enumerate() {
            if let Some(histogram) = histogram.get() {
                let labels = self.pair_labels(pair % Method::ALL.len(), pair / Method::ALL.len());
                if labels.is_empty() {
                    return histogram.encode(family);
                }
                histogram.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn pair_labels(&self, method: usize, endpoint: usize) -> Vec<(&'static str, &str)> {
        let method = self.labels.method.then(|| ("method", Method::ALL[method].as_str()));
        let endpoint = self.labels.endpoint.then(|| ("endpoint", self.endpoints[endpoint].as_str()));
        method.into_iter().chain(endpoint).collect()
    }
}

impl Collector for Series {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.encode_requests(&mut encoder)?;
        let help = "Time from a request's headers to the end of its response.";
        let family = encoder.encode_descriptor(&self.duration_name, help, None, MetricType::Histogram)?;
        self.encode_histograms(family, &self.durations)?;
        let help = "Bytes of the responses' bodies, as far as they were handed out.";
        let family = encoder.encode_descriptor(&self.size_name, help, None, MetricType::Histogram)?;
        self.encode_histograms(family, &self.sizes)?;
        let help = "Requests whose handler or body panicked; they are counted with status 500, too.";
        self.panics.encode(encoder.encode_descriptor(&self.panics_name, help, None, MetricType::Counter)?)?;
        let help = "Requests whose response is not complete.";
        self.in_flight.encode(encoder.encode_descriptor(&self.in_flight_name, help, None, MetricType::Gauge)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_the_order_their_indices_assume() {
        assert!(STATUSES.is_sorted());
        assert!(DURATION_SECONDS.is_sorted() && RESPONSE_BYTES.is_sorted());
        for (index, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, index);
        }
    }

    #[test]
    fn every_status_has_its_own_series() {
        let series = Series::new("p", vec!["/a".to_owned(), "other".to_owned()], Labels::ALL);
        for status in 100..=599 {
            series.started();
            series.finished(Method::Put, 1, status, Duration::ZERO, 0);
        }
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(series));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for status in 100..=599 {
            let line = format!("p_http_requests_total{{method=\"PUT\",endpoint=\"other\",status=\"{status}\"}} 1\n");
            assert_eq!(text.matches(&line).count(), 1, "{status}");
        }
    }
}
