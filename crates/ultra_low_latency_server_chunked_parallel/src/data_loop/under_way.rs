//! A request from its arrival to the end of its answer, for the metrics.

use std::{sync::Arc, time::Instant};

use http::{Method, StatusCode};
use metrics_server::{Counter, Handle, HttpEndpoint};

/// The status counted for a client that hung up; the number that nginx uses.
const CLIENT_HUNG_UP: u16 = 499;

/// Counts a request exactly once: when it is finished, or when it is dropped because its client is gone.
#[derive(Debug)]
pub(super) struct UnderWay {
    endpoint: Option<Arc<HttpEndpoint>>,
    pub(super) start: Instant,
    is_head: bool,
    bytes: u64,
    served: Option<Handle<Counter>>,
    status: u16,
}

impl UnderWay {
    pub(super) fn new(endpoint: Option<&Arc<HttpEndpoint>>, is_head: bool) -> UnderWay {
        let endpoint = endpoint.map(Arc::clone);
        if let Some(endpoint) = &endpoint {
            endpoint.started();
        }
        UnderWay { endpoint, start: Instant::now(), is_head, bytes: 0, served: None, status: CLIENT_HUNG_UP }
    }

    /// What counts the bytes of the answer's data.
    pub(super) fn serves(&mut self, served: Handle<Counter>) {
        self.served = Some(served);
    }

    /// Bytes of the body were handed to the network.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(served) = &self.served {
            served.add(bytes);
        }
    }

    /// The answer is complete.
    pub(super) fn finish(mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            let method = if self.is_head { Method::HEAD } else { Method::GET };
            endpoint.finished(&method, self.status, self.start.elapsed(), self.bytes);
        }
    }
}
