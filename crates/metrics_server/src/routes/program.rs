//! Routes that a program serves on its endpoint beside those every endpoint has.

use super::body::{BoxBody, BoxError, Boxable, RoutesBody};
use super::{Answer, TEXT, answer};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tower::{Service, ServiceExt};

type Answering = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, BoxError>> + Send>>;

/// The routes of a program: any HTTP service, which is asked for every path that is not the endpoint's own, all
/// methods included, and answers 404 itself.
///
/// A warp filter becomes one with [`warp::service`]:
///
/// ```
/// use metrics_server::ProgramRoutes;
/// use warp::Filter;
/// let heartbeat = warp::path!("heartbeat").map(|| "ok");
/// let routes = ProgramRoutes::new(warp::service(heartbeat));
/// ```
#[derive(Clone)]
pub struct ProgramRoutes {
    call: Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>,
}

impl ProgramRoutes {
    /// Takes the service; a clone of it answers each request.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let call = move |request| -> Answering {
            let answer = service.clone().oneshot(request);
            Box::pin(async move {
                let response = answer.await.map_err(Into::into)?;
                Ok(response.map(|inner| Box::pin(Boxable { inner }) as BoxBody))
            })
        };
        Self { call: Arc::new(call) }
    }

    pub(super) fn call(&self, request: Request<Incoming>) -> Answer {
        let answering = (self.call)(request);
        Box::pin(async move {
            Ok(match answering.await {
                Ok(response) => response.map(|body| RoutesBody::Program { body }),
                Err(error) => {
                    tracing::error!(%error, "a route of the program failed");
                    answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the route failed\n")
                }
            })
        })
    }
}

impl fmt::Debug for ProgramRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramRoutes").finish_non_exhaustive()
    }
}
