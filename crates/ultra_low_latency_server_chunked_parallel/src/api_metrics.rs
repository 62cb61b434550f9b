//! What the paths beside the plain data path count.

use metrics_server::{Counter, Handle, IntGauge, RegisterError, Registry};

/// The metrics of these paths. Cheap to clone; all clones are the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct ApiMetrics {
    /// Symbols in the listing.
    pub(crate) symbols_listed: Handle<IntGauge>,
    /// Clients of `/api/stream`.
    pub(crate) stream_clients: Handle<IntGauge>,
    /// Series that they follow.
    pub(crate) stream_subscriptions: Handle<IntGauge>,
    /// Rows sent to them.
    pub(crate) stream_rows: Handle<Counter>,
    stream_closed: [Handle<Counter>; StreamEnd::ALL.len()],
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The client went away, or broke the rules.
    Client,
    /// It took too little.
    Slow,
    /// It gave no sign of life.
    Silent,
    /// Its rows could not be read.
    Failed,
    /// The server is stopping.
    Shutdown,
}

impl StreamEnd {
    const ALL: [StreamEnd; 5] = [Self::Client, Self::Slow, Self::Silent, Self::Failed, Self::Shutdown];

    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Failed => "failed",
            Self::Shutdown => "shutdown",
        }
    }
}

impl ApiMetrics {
    /// Registers all of them. Counters go without `_total`, which the exposition appends.
    pub(crate) fn register(registry: &mut Registry) -> Result<ApiMetrics, RegisterError> {
        let help = "Symbols in the listing of the data directory";
        let symbols_listed = registry.int_gauge("gpu_charts_server_symbols_listed", help).register()?;
        let help = "Open streams of new rows";
        let stream_clients = registry.int_gauge("gpu_charts_server_stream_clients", help).register()?;
        let help = "Series that open streams follow";
        let stream_subscriptions = registry.int_gauge("gpu_charts_server_stream_subscriptions", help).register()?;
        let help = "Rows sent over streams";
        let stream_rows = registry.counter("gpu_charts_server_stream_rows", help).register()?;
        let help = "Streams that ended, by what ended them";
        let closed = registry.counter("gpu_charts_server_streams_closed", help).labels(["reason"]).register()?;
        let stream_closed = StreamEnd::ALL.map(|end| closed.handle([end.name()]));
        Ok(ApiMetrics { symbols_listed, stream_clients, stream_subscriptions, stream_rows, stream_closed })
    }

    /// A stream ended.
    pub(crate) fn stream_closed(&self, end: StreamEnd) {
        if let Some(counter) = self.stream_closed.get(end as usize) {
            counter.inc();
        }
    }
}
