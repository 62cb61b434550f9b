//! The data port: every connection goes the fast way as far as it can, and the general one from there on.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread::available_parallelism,
};

use metrics_server::{Accepted, Guard, Limits, Listener, ServeError, serve_connections};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use crate::{
    api::Api,
    cors::Cors,
    data_loop::{DataLoops, Outcome, Shared},
    front::{Front, Guarded},
    metrics::{DATA_PATH, Metrics},
};

/// Everything that answers on the data port.
pub(crate) struct DataPort {
    listeners: Vec<Listener>,
    loops: DataLoops,
    api: Api,
    metrics: Metrics,
    limits: Limits,
    cors: Cors,
    guard: Option<Guard>,
}

impl DataPort {
    /// Starts the threads of the fast way.
    ///
    /// # Errors
    /// The system has no more of what that takes.
    pub(crate) fn start(
        listeners: Vec<Listener>,
        api: Api,
        metrics: Metrics,
        limits: Limits,
        cors: Cors,
        guard: Option<Guard>,
    ) -> io::Result<DataPort> {
        let shared = Shared {
            answers: api.answers(),
            endpoint: metrics.http.endpoint(DATA_PATH),
            cors: cors.lines(),
            is_for_all_origins: cors.is_for_all(),
            is_draining: AtomicBool::new(false),
        };
        let count = available_parallelism().map_or(1, usize::from);
        let loops = DataLoops::start(count, &Arc::new(shared), &limits)?;
        Ok(DataPort { listeners, loops, api, metrics, limits, cors, guard })
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Serves until `shutdown`, and what is under way then for the drain time of its limits.
    ///
    /// # Errors
    /// A listener is unusable; the others are then drained too.
    pub(crate) async fn serve(self, shutdown: CancellationToken) -> Result<(), ServeError> {
        let DataPort { listeners, loops, api, metrics, limits, cors, guard } = self;
        // Only the general way asks for credentials.
        let is_guarded = guard.is_some();
        let service = warp::service(api.routes());
        let service = metrics.http.layer(Front { cors, is_guarded }.layer(Guarded::new(service, guard.as_ref())));
        let loops = Arc::new(loops);
        let ends_all = shutdown.child_token();
        let mut serving = JoinSet::new();
        for listener in listeners {
            let of_connections = Arc::clone(&loops);
            let service = service.clone();
            let serve = move |accepted: Accepted<Metrics>| {
                let (service, loops) = (service.clone(), Arc::clone(&of_connections));
                // What the general way needs is some 20 KiB, of which an idle connection of the fast way is to hold nothing.
                async move {
                    if accepted.has_tls() || is_guarded {
                        return Box::pin(accepted.serve(service)).await;
                    }
                    // It is closed if the system does not let go of it.
                    let Ok((socket, rest)) = accepted.detach() else { return };
                    if let Outcome::HandedOver { socket, read, protocol } = loops.serve(socket).await
                        && let Err(error) = Box::pin(rest.serve(socket, read, protocol, service)).await
                    {
                        tracing::warn!(%error, "a connection cannot be handed over, it is closed");
                    }
                }
            };
            let (limits, metrics, stop) = (limits.clone(), Arc::new(metrics.clone()), ends_all.clone());
            serving.spawn(async move {
                let _ends_all = stop.clone().drop_guard();
                serve_connections(listener, &limits, metrics, stop, serve).await
            });
        }
        drop(service);
        ends_all.cancelled().await;
        loops.drain();
        let mut result = Ok(());
        while let Some(ended) = serving.join_next().await {
            let ended = ended.unwrap_or_else(|source| Err(ServeError::Died { source }));
            result = result.and(ended);
        }
        if let Some(loops) = Arc::into_inner(loops) {
            // Ends at once: nothing is served any more.
            _ = spawn_blocking(move || loops.stop()).await;
        }
        result
    }
}
