//! `/api/stream`: new rows of chosen series over a WebSocket, as they are committed.
//!
//! One poller looks at the files of all series that anybody follows. Who follows one reads the rows for itself, from a
//! place of its own, at the speed at which its client takes them: nothing is queued, and nothing that was committed is
//! left out.

mod client;
mod cursor;
mod message;
mod poller;

use std::{path::Path, sync::Arc};

use http::{
    HeaderMap, StatusCode,
    header::{HeaderValue, RETRY_AFTER, UPGRADE},
};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use warp::{Reply as _, reply::Response, ws::Ws};

use crate::{
    api_limits::ApiLimits,
    cors::Cors,
    limits::Limits,
    metrics::{Metrics, Refusal},
    turns::Turns,
};
use client::Client;
use poller::Poller;

/// Seconds after which a client may hope again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");
/// Bytes of a client's message at most.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Bytes that wait for a client's socket at most, beside what the kernel holds.
const WRITE_BYTES_MAX: usize = 1024 * 1024;

/// What all streams share.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    shared: Arc<Shared>,
    clients: Arc<Semaphore>,
    cors: Cors,
    _ends_clients: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    root: Arc<Path>,
    limits: ApiLimits,
    columns_max: usize,
    metrics: Metrics,
    poller: Poller,
    reads: Turns,
    stop: CancellationToken,
}

impl Streams {
    /// Starts the poller; it and all clients end when the last clone is dropped.
    pub(crate) fn start(root: &Path, limits: &Limits, metrics: &Metrics, cors: Cors) -> Streams {
        let stop = CancellationToken::new();
        let poller = Poller::start(root, limits.api.stream_poll_ms, stop.clone());
        let shared = Shared {
            root: root.into(),
            limits: limits.api.clone(),
            columns_max: limits.columns,
            metrics: metrics.clone(),
            poller,
            reads: Turns::new(limits.plans_at_once),
            stop: stop.clone(),
        };
        let clients = Arc::new(Semaphore::new(limits.api.stream_clients));
        Streams { shared: Arc::new(shared), clients, cors, _ends_clients: Arc::new(stop.drop_guard()) }
    }

    /// Takes a client in, or tells it to come again, or not at all.
    pub(crate) fn accept(&self, handshake: Ws, request: &HeaderMap) -> Response {
        if !self.cors.admits_socket(request) {
            self.shared.metrics.refused(Refusal::StreamOrigin);
            let mut response = http::Response::new("Pages of this site may not open streams").into_response();
            *response.status_mut() = StatusCode::FORBIDDEN;
            return response;
        }
        let Ok(place) = Arc::clone(&self.clients).try_acquire_owned() else {
            self.shared.metrics.refused(Refusal::StreamClients);
            let mut response = http::Response::new("Too many streams are open, please try again").into_response();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
            return response;
        };
        let shared = Arc::clone(&self.shared);
        // Both: a frame is held whole before it is a message.
        let handshake = handshake.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
        let handshake = handshake.max_write_buffer_size(WRITE_BYTES_MAX);
        let serve = move |socket| async move {
            let _held_to_the_end = place;
            Client::serve(shared, socket).await;
        };
        handshake.on_upgrade(serve).into_response()
    }
}

/// The answer to who asks without a handshake.
pub(crate) fn upgrade_required() -> Response {
    let mut response = http::Response::new("This path is a WebSocket").into_response();
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}
