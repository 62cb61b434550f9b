//! The wait for an answer, and for the verdict before it.

use super::{Active, GuardBody};
use crate::auth::{Decision, GuardMetrics, Refusal};
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower::Service;
use tower::util::Oneshot;

type Verdict = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

pin_project! {
    /// The response future of a [`GuardService`](super::GuardService).
    pub struct GuardFuture<S: Service<Request<A>>, A> {
        answer: Answer,
        // The service and the request, until it is known whether they meet.
        waiting: Option<(S, Request<A>)>,
        verdict: Option<Verdict>,
        refused: Option<Response<Bytes>>,
        #[pin]
        inner: Option<Oneshot<S, Request<A>>>,
    }
}

/// What is needed to answer as the policy of this request says.
pub(super) struct Answer {
    pub(super) active: Arc<Active>,
    pub(super) metrics: GuardMetrics,
}

impl<S: Service<Request<A>>, A> GuardFuture<S, A> {
    pub(super) fn new(decision: Decision, answer: Answer, service: S, request: Request<A>) -> Self {
        let mut future = Self { answer, waiting: None, verdict: None, refused: None, inner: None };
        match decision {
            Decision::Pass => match future.answer.limit(&request) {
                None => future.inner = Some(Oneshot::new(service, request)),
                refused => future.refused = refused,
            },
            Decision::Refuse(refusal) => future.refused = Some(future.answer.refuse(refusal)),
            Decision::Wait(verdict) => {
                (future.verdict, future.waiting) = (Some(verdict), Some((service, request)));
            }
        }
        future
    }
}

impl Answer {
    fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        self.active.refusal(&self.metrics, refusal)
    }

    fn limit<A>(&self, request: &Request<A>) -> Option<Response<Bytes>> {
        self.active.rate_limit(&self.metrics, request.uri().path())
    }
}

impl<S, A, B> Future for GuardFuture<S, A>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Output = Result<Response<GuardBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(verdict) = this.verdict {
            let verdict = ready!(verdict.as_mut().poll(cx));
            *this.verdict = None;
            if let Some((service, request)) = this.waiting.take() {
                let refused = match verdict {
                    Ok(()) => this.answer.limit(&request),
                    Err(refusal) => Some(this.answer.refuse(refusal)),
                };
                match refused {
                    None => this.inner.set(Some(Oneshot::new(service, request))),
                    refused => *this.refused = refused,
                }
            }
        }
        let mut response = match this.inner.as_pin_mut() {
            Some(inner) => ready!(inner.poll(cx))?.map(GuardBody::of_service),
            // Polled again after the answer there is nothing left, which an empty body says as well as any.
            None => this.refused.take().unwrap_or_default().map(GuardBody::of_refusal),
        };
        this.answer.active.add_headers(&mut response);
        Poll::Ready(Ok(response))
    }
}
