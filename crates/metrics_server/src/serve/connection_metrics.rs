//! The metrics about the connections of an endpoint.

use super::observer::{ConnectionObserver, ConnectionTimeout, HandshakeFailure};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counts what happens to the connections of an endpoint. All clones count together.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionMetrics {
    open: Gauge,
    refused: Counter,
    panics: Counter,
    accept_errors: Counter,
    // In the order of `ALL`: counting takes no lock.
    timeouts: [Counter; ConnectionTimeout::ALL.len()],
    handshake_errors: [Counter; HandshakeFailure::ALL.len()],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl ConnectionMetrics {
    /// Adds them to the registry, with all labels at 0.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let timeouts = Family::<KindLabel, Counter>::default();
        let handshake_errors = Family::<ReasonLabel, Counter>::default();
        let metrics = Self {
            open: Gauge::default(),
            refused: Counter::default(),
            panics: Counter::default(),
            accept_errors: Counter::default(),
            timeouts: ConnectionTimeout::ALL
                .map(|timeout| timeouts.get_or_create(&KindLabel { kind: timeout.as_str() }).clone()),
            handshake_errors: HandshakeFailure::ALL
                .map(|failure| handshake_errors.get_or_create(&ReasonLabel { reason: failure.as_str() }).clone()),
        };
        registry.register(
            "metrics_server_connections",
            "Open connections to the metrics endpoint",
            metrics.open.clone(),
        );
        registry.register(
            "metrics_server_connections_refused",
            "Connections to the metrics endpoint closed at once because too many were open",
            metrics.refused.clone(),
        );
        registry.register(
            "metrics_server_connection_panics",
            "Connections to the metrics endpoint that ended in a panic",
            metrics.panics.clone(),
        );
        registry.register(
            "metrics_server_accept_errors",
            "Failed attempts to accept a connection to the metrics endpoint, such as out of file descriptors",
            metrics.accept_errors.clone(),
        );
        registry.register(
            "metrics_server_connection_timeouts",
            "Connections to the metrics endpoint closed because the client took too long for headers, a request or an answer",
            timeouts,
        );
        registry.register(
            "metrics_server_tls_handshake_errors",
            "TLS handshakes with the metrics endpoint that came to nothing",
            handshake_errors,
        );
        metrics
    }
}

impl ConnectionObserver for ConnectionMetrics {
    fn opened(&self) {
        self.open.inc();
    }

    fn closed(&self) {
        self.open.dec();
    }

    fn refused(&self) {
        self.refused.inc();
    }

    fn panicked(&self) {
        self.panics.inc();
    }

    fn accept_failed(&self) {
        self.accept_errors.inc();
    }

    fn timed_out(&self, timeout: ConnectionTimeout) {
        self.timeouts[timeout as usize].inc();
    }

    fn handshake_failed(&self, failure: HandshakeFailure) {
        self.handshake_errors[failure as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_connections_is_counted() {
        let mut registry = Registry::default();
        let observer = ConnectionMetrics::register(&mut registry);
        observer.opened();
        observer.opened();
        observer.closed();
        (0..2).for_each(|_| observer.refused());
        (0..3).for_each(|_| observer.panicked());
        (0..4).for_each(|_| observer.accept_failed());
        for (count, timeout) in (5..).zip(ConnectionTimeout::ALL) {
            (0..count).for_each(|_| observer.timed_out(timeout));
        }
        for (count, failure) in (8..).zip(HandshakeFailure::ALL) {
            (0..count).for_each(|_| observer.handshake_failed(failure));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for sample in [
            "metrics_server_connections 1",
            "metrics_server_connections_refused_total 2",
            "metrics_server_connection_panics_total 3",
            "metrics_server_accept_errors_total 4",
            "metrics_server_connection_timeouts_total{kind=\"header\"} 5",
            "metrics_server_connection_timeouts_total{kind=\"idle\"} 6",
            "metrics_server_connection_timeouts_total{kind=\"write_stall\"} 7",
            "metrics_server_tls_handshake_errors_total{reason=\"timeout\"} 8",
            "metrics_server_tls_handshake_errors_total{reason=\"protocol\"} 9",
            "metrics_server_tls_handshake_errors_total{reason=\"client_certificate\"} 10",
            "metrics_server_tls_handshake_errors_total{reason=\"other\"} 11",
        ] {
            assert!(text.lines().any(|line| line == sample), "no {sample} in {text}");
        }
    }
}
