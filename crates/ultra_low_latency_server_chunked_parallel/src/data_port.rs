//! The data port: every connection goes the fast way as far as it can, and the general one from there on.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread::available_parallelism,
};

use metrics_server::{Accepted, Limits, Listener, ServeError, serve_connections};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use crate::{
    api::Api,
    cors,
    data_loop::{DataLoops, Outcome, Shared},
    metrics::{DATA_PATH, Metrics},
};

/// Starts the threads of the fast way.
///
/// # Errors
/// The system has no more of what that takes.
pub(crate) fn loops(api: &Api, metrics: &Metrics, limits: &Limits) -> io::Result<DataLoops> {
    let shared = Shared {
        answers: api.answers(),
        endpoint: metrics.http.endpoint(DATA_PATH),
        cors: cors::ANY_ORIGIN,
        is_for_all_origins: true,
        is_draining: AtomicBool::new(false),
    };
    let count = available_parallelism().map_or(1, usize::from);
    DataLoops::start(count, &Arc::new(shared), limits)
}

/// Serves `listener` until `shutdown`, and what is under way then for the drain time of `limits`.
///
/// # Errors
/// The listener is unusable.
pub(crate) async fn serve(
    listener: Listener,
    api: Api,
    loops: DataLoops,
    metrics: Metrics,
    limits: &Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let service = metrics.http.layer(warp::service(api.routes()));
    let loops = Arc::new(loops);
    let of_connections = Arc::clone(&loops);
    let serve = move |accepted: Accepted<Metrics>| {
        let (service, loops) = (service.clone(), Arc::clone(&of_connections));
        async move {
            if accepted.has_tls() {
                return accepted.serve(service).await;
            }
            // It is closed if the system does not let go of it.
            let Ok((socket, rest)) = accepted.detach() else { return };
            if let Outcome::HandedOver { socket, read, protocol } = loops.serve(socket).await
                && let Err(error) = rest.serve(socket, read, protocol, service).await
            {
                tracing::warn!(%error, "a connection cannot be handed over, it is closed");
            }
        }
    };
    let has_ended = CancellationToken::new();
    let serving = async {
        let _when_ended = has_ended.clone().drop_guard();
        serve_connections(listener, limits, Arc::new(metrics), shutdown.clone(), serve).await
    };
    let draining = async {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = has_ended.cancelled() => {}
        }
        loops.drain();
    };
    let (served, ()) = tokio::join!(serving, draining);
    if let Some(loops) = Arc::into_inner(loops) {
        // Ends at once: nothing is served any more.
        _ = spawn_blocking(move || loops.stop()).await;
    }
    served
}
