//! HTTP on one connection until either side is done.

use super::activity::{Activity, later};
use super::gathered::Gathered;
use super::http_connection::{GracefulEnd, Protocol, http1, http2};
use super::observer::ConnectionTimeout;
use super::peer_address::PeerAddress;
use super::streams::Streams;
use super::watched::{WatchedBody, WatchedInput};
use crate::limits::Limits;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

/// The error of a service or a body, as the HTTP implementation takes it.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a client may take to hang up once it was told that the connection ends. HTTP/2 asks for an answer to
/// that, so that no request crosses it; a client that is alive gives it in one round trip.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is known about a connection once bytes of HTTP can flow.
pub(super) struct Session {
    pub(super) peer: PeerAddress,
    pub(super) limits: Limits,
    pub(super) activity: Activity,
    pub(super) shutdown: CancellationToken,
}

impl Session {
    /// Serves until the end, and says what took too long if that was the reason for it.
    pub(super) async fn serve<IO, S, B>(self, stream: IO, protocol: Protocol, service: S) -> Option<ConnectionTimeout>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (peer, activity) = (self.peer, self.activity.clone());
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            // Of HTTP/1 the library leaves the body away by itself.
            let leaves_body = protocol == Protocol::Http2 && request.method() == Method::HEAD;
            let under_way = activity.request();
            let answer = service.clone().oneshot(request);
            async move {
                let mut response = answer.await?;
                if leaves_body && let Some(length) = response.body().size_hint().exact() {
                    response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
                }
                Ok::<_, S::Error>(response.map(|body| match protocol {
                    _ if leaves_body => WatchedBody::left_away(under_way),
                    Protocol::Http1 => WatchedBody::whole(body, under_way),
                    Protocol::Http2 => WatchedBody::in_parts(body, under_way),
                }))
            }
        });
        let service = TowerToHyperService::new(service);
        let (ended, timeout) = match protocol {
            Protocol::Http1 => {
                let io = TokioIo::new(WatchedInput::new(stream, self.activity.clone()));
                // Whoever upgrades a connection takes it over; the limits on reading and writing go with it.
                let connection = http1(&self.limits).serve_connection(io, service).with_upgrades();
                self.watch(pin!(connection), None::<(Streams, Gathered<IO>)>).await
            }
            Protocol::Http2 => {
                // Frames need not belong to a request, so that they say nothing of activity: a client has the time of an
                // idle one to complete its headers.
                let (executor, streams) = Streams::new();
                let gathered = Gathered::new(stream);
                let io = TokioIo::new(gathered.clone());
                let connection = http2(&self.limits, executor).serve_connection(io, service);
                self.watch(pin!(connection), Some((streams, gathered))).await
            }
        };
        // Clients that hang up or speak nonsense are their own affair.
        if let Some(Err(error)) = ended {
            tracing::debug!(%peer, %error, "connection ended early");
        }
        timeout.or(self.activity.has_stalled().then_some(ConnectionTimeout::WriteStall))
    }

    /// Drives a connection to its end, or to the point where it is to be cut.
    async fn watch<C, IO>(
        &self,
        mut connection: Pin<&mut C>,
        mut of_http2: Option<(Streams, Gathered<IO>)>,
    ) -> (Option<hyper::Result<()>>, Option<ConnectionTimeout>)
    where
        C: Future<Output = hyper::Result<()>> + GracefulEnd,
        IO: AsyncWrite + Unpin,
    {
        let mut shutdown = pin!(self.shutdown.cancelled());
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut timeout = None;
        // Since when the client has known that the connection ends.
        let mut ending: Option<Instant> = None;
        poll_fn(|cx| {
            if ending.is_none() && shutdown.as_mut().poll(cx).is_ready() {
                ending = Some(Instant::now());
                connection.as_mut().end();
            }
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready((Some(ended), timeout));
                }
                if let Some((streams, gathered)) = &mut of_http2 {
                    if streams.advance(cx) {
                        continue;
                    }
                    // All that could be said was said: now it goes out.
                    match gathered.push(cx) {
                        Poll::Ready(Ok(true)) => continue,
                        Poll::Ready(Ok(false)) | Poll::Pending => {}
                        // The client is gone, and with it the answers under way.
                        Poll::Ready(Err(_)) => return Poll::Ready((None, timeout)),
                    }
                }
                match ready!(self.overdue(ending, timer.as_mut(), cx)) {
                    Overdue::Timeout(ConnectionTimeout::Idle) => {
                        timeout = Some(ConnectionTimeout::Idle);
                        ending = Some(Instant::now());
                        connection.as_mut().end();
                    }
                    Overdue::Timeout(reason) => return Poll::Ready((None, Some(reason))),
                    Overdue::Farewell => return Poll::Ready((None, timeout)),
                }
            }
        })
        .await
    }

    /// Waits until the connection has taken too long for something.
    fn overdue(&self, ending: Option<Instant>, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let next = match (ending, self.activity.quiet_since()) {
                (Some(ending), Some(quiet)) => Some((later(ending.max(quiet), FAREWELL), Overdue::Farewell)),
                _ => self.activity.deadline(&self.limits).map(|(at, timeout)| (at, Overdue::Timeout(timeout))),
            };
            // Without a deadline it looks again now and then: another task may set one while this one sleeps.
            let at = next.as_ref().map_or_else(|| later(Instant::now(), self.limits.write_stall), |(at, _)| *at);
            if let Some((at, overdue)) = next
                && at <= Instant::now()
            {
                return Poll::Ready(overdue);
            }
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

/// What a connection is cut or told to end for.
enum Overdue {
    Timeout(ConnectionTimeout),
    /// The client has not hung up.
    Farewell,
}
