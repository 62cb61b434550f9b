//! What stands before all paths of the data port: preflights, origins, what a client has already, requests with bodies.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, TRANSFER_ENCODING,
    },
};
use http_body::Body;
use http_body_util::{Either, Empty};
use metrics_server::{Guard, GuardBody, GuardService};
use tower::{Layer, Service};

use crate::{
    cors::{self, Cors},
    etag,
    served::Served,
};

/// A [`Layer`] of it.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) cors: Cors,
    /// Whether requests need credentials.
    pub(crate) is_guarded: bool,
}

/// A service with it before.
#[derive(Clone, Debug)]
pub(crate) struct FrontService<S> {
    service: S,
    front: Front,
}

impl<S> Layer<S> for Front {
    type Service = FrontService<S>;

    fn layer(&self, service: S) -> FrontService<S> {
        FrontService { service, front: self.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for FrontService<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    A: Body,
    B: Body + Send + 'static,
{
    type Response = Response<Either<B, Empty<B::Data>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let Front { cors, is_guarded } = self.front.clone();
        let allowed = cors.allowed(request.headers());
        if request.method() == Method::OPTIONS {
            // Browsers ask without credentials, so that this must not need any.
            let mut preflight = cors::preflight::<Empty<B::Data>>().map(Either::Right);
            if is_guarded {
                let names = HeaderValue::from_static("Content-Type, Authorization");
                preflight.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
            }
            cors.apply(allowed, preflight.headers_mut());
            return Box::pin(std::future::ready(Ok(preflight)));
        }
        let tags = request.headers().get(IF_NONE_MATCH).cloned();
        // No path reads a body. What else it may hide is never taken for a request: the connection ends with the answer.
        let has_body = !request.body().is_end_stream() || request.headers().contains_key(TRANSFER_ENCODING);
        let ends = has_body && request.version() < http::Version::HTTP_2;
        let answered = self.service.call(request);
        Box::pin(async move {
            let mut response = unchanged(answered.await?, tags.as_ref());
            let headers = response.headers_mut();
            cors.apply(allowed, headers);
            if ends {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

/// Leaves the body of an answer away that the client has, and counts that of any other one.
fn unchanged<B: Body>(mut response: Response<B>, tags: Option<&HeaderValue>) -> Response<Either<B, Empty<B::Data>>> {
    let served = response.extensions_mut().remove::<Served>();
    let etag = response.headers().get(ETAG).filter(|_| response.status() == StatusCode::OK);
    if !etag.zip(tags).is_some_and(|(etag, tags)| etag::is_named(etag, tags.as_bytes())) {
        served.iter().for_each(Served::count);
        return response.map(Either::Left);
    }
    let mut response = response.map(|_| Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// A service that asks for credentials, if there are any to ask for.
#[derive(Clone, Debug)]
pub(crate) enum Guarded<S> {
    Open(S),
    Guarded(GuardService<S>),
}

impl<S> Guarded<S> {
    pub(crate) fn new(service: S, guard: Option<&Guard>) -> Guarded<S> {
        match guard {
            None => Guarded::Open(service),
            Some(guard) => Guarded::Guarded(guard.layer(service)),
        }
    }
}

impl<S, A, B> Service<Request<A>> for Guarded<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    A: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<B, GuardBody<B>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self {
            Guarded::Open(service) => service.poll_ready(cx),
            Guarded::Guarded(service) => Service::<Request<A>>::poll_ready(service, cx),
        }
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self {
            Guarded::Open(service) => {
                let answered = service.call(request);
                Box::pin(async move { Ok(answered.await?.map(Either::Left)) })
            }
            Guarded::Guarded(service) => {
                let answered = service.call(request);
                Box::pin(async move { Ok(answered.await?.map(Either::Right)) })
            }
        }
    }
}
