//! What stands before an HTTP service: credentials, rate limit and response headers, as a web config asks for them.

mod body;
mod future;
mod rate_limit;

pub use body::GuardBody;
pub use future::GuardFuture;

use crate::auth::{Authenticator, Credentials, Decision, GuardMetrics, Reason, Refusal};
use crate::serve::PeerAddress;
use crate::web_config::{self, RateLimit, WebConfig, WebConfigError};
use arc_swap::ArcSwap;
use bytes::Bytes;
use future::Answer;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body::Body;
use rate_limit::TokenBucket;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, Service};

/// Paths that need no credentials unless `authenticate_health` is set, and that no rate limit refuses: a supervisor that
/// is refused would restart the program.
const HEALTH_PATHS: [&str; 2] = ["/health", "/ready"];

const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"gpu-charts\", charset=\"UTF-8\"");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"gpu-charts\"");

/// A [`tower::Layer`] that lets requests through to the service behind it as its [`Policy`] says.
///
/// - Without valid credentials: 401 with `WWW-Authenticate`; 429 with `Retry-After` for a peer that failed too often; 503
///   with `Retry-After` when too many passwords wait to be hashed. A right password that was hashed once, and a right
///   token, pass at once whatever else happens.
/// - Beyond the rate limit: 429 with `Retry-After`. Only requests with valid credentials count against it, so that others
///   cannot use it up.
/// - The configured headers are added to every answer, these ones included, where the service has not set them itself.
///
/// Peers are told apart by the [`PeerAddress`] extension that [`http_serve`](crate::http_serve) sets.
///
/// Cheap to clone; all clones are the same guard, and [`apply`](Self::apply) changes all of them at once.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    active: ArcSwap<Active>,
    authenticator: Arc<Authenticator>,
    metrics: GuardMetrics,
}

/// What a [`Guard`] lets through; read whole from a web config, and replaced whole.
#[derive(Debug, Default)]
pub struct Policy {
    credentials: Option<Credentials>,
    authenticate_health: bool,
    rate_limit: Option<RateLimit>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Files of secrets that every user of the host can read.
    exposed: Vec<PathBuf>,
}

impl Policy {
    /// Reads the files of tokens and passwords that `config` names, and takes what a guard needs of it. [`Policy::default`]
    /// lets everything through.
    ///
    /// # Errors
    ///
    /// A file of secrets that cannot be read or has a mistake; it is named with the line, and secrets are not shown.
    pub fn load(config: &WebConfig) -> Result<Self, WebConfigError> {
        let password = config.password_file.iter().map(|(_, path)| path);
        let exposed = password.chain(&config.bearer_tokens_file).filter(|path| web_config::is_exposed(path));
        Ok(Self {
            exposed: exposed.cloned().collect(),
            credentials: Credentials::load(config)?,
            authenticate_health: config.authenticate_health,
            rate_limit: config.rate_limit,
            headers: config.headers.clone(),
        })
    }
}

impl Policy {
    /// Said when a policy comes into force, and not each time that one is read and refused.
    fn warn(&self) {
        for path in &self.exposed {
            tracing::warn!(path = %path.display(), "every user of this host can read these secrets; chmod o-r");
        }
    }
}

/// A policy at work.
struct Active {
    policy: Policy,
    bucket: Option<Arc<TokenBucket>>,
}

impl Guard {
    /// A guard that starts with `policy`.
    ///
    /// # Errors
    ///
    /// [`WebConfigError::Random`].
    pub fn new(policy: Policy, metrics: GuardMetrics) -> Result<Self, WebConfigError> {
        policy.warn();
        let bucket = policy.rate_limit.map(|limit| Arc::new(TokenBucket::new(limit)));
        let authenticator = Authenticator::new(metrics.clone())?;
        let active = ArcSwap::from_pointee(Active { policy, bucket });
        Ok(Self { inner: Arc::new(Inner { active, authenticator, metrics }) })
    }

    /// Replaces the policy; requests that have been let through already go on. Right passwords stay known for users whose
    /// hash is the same, and a rate limit that is the same goes on counting.
    pub fn apply(&self, policy: Policy) {
        policy.warn();
        let current = self.inner.active.load();
        let bucket = policy.rate_limit.map(|limit| match &current.bucket {
            Some(bucket) if bucket.limit() == limit => Arc::clone(bucket),
            _ => Arc::new(TokenBucket::new(limit)),
        });
        let active = Arc::new(Active { policy, bucket });
        self.inner.active.store(Arc::clone(&active));
        self.inner.authenticator.changed(active.policy.credentials.as_ref());
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("policy", &self.inner.active.load().policy).finish_non_exhaustive()
    }
}

impl Inner {
    fn decide<B>(&self, active: &Active, request: &Request<B>) -> Decision {
        let is_health = HEALTH_PATHS.contains(&request.uri().path());
        match &active.policy.credentials {
            Some(credentials) if !is_health || active.policy.authenticate_health => {
                let peer = request.extensions().get::<PeerAddress>();
                self.authenticator.decide(credentials, request.headers(), peer)
            }
            _ => Decision::Pass,
        }
    }
}

impl Active {
    /// The answer to a request that may not go on.
    fn refusal(&self, metrics: &GuardMetrics, refusal: Refusal) -> Response<Bytes> {
        metrics.failed(refusal.reason);
        let (status, text) = match refusal.reason {
            Reason::Missing => (StatusCode::UNAUTHORIZED, "credentials needed\n"),
            Reason::Malformed => (StatusCode::UNAUTHORIZED, "the Authorization header is neither Basic nor Bearer\n"),
            Reason::Wrong => (StatusCode::UNAUTHORIZED, "wrong credentials\n"),
            Reason::Throttled => (StatusCode::TOO_MANY_REQUESTS, "too many wrong credentials from this address\n"),
            Reason::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "too many credentials are being checked\n"),
        };
        let mut response = answer(status, text, refusal.retry_after);
        if status == StatusCode::UNAUTHORIZED
            && let Some(credentials) = &self.policy.credentials
        {
            if credentials.has_users() {
                response.headers_mut().append(WWW_AUTHENTICATE, BASIC);
            }
            if credentials.has_tokens() {
                response.headers_mut().append(WWW_AUTHENTICATE, BEARER);
            }
        }
        response
    }

    /// Counts a request that may go on against the rate limit; the answer if it is one too many.
    fn rate_limit(&self, metrics: &GuardMetrics, path: &str) -> Option<Response<Bytes>> {
        let bucket = self.bucket.as_ref().filter(|_| !HEALTH_PATHS.contains(&path))?;
        let wait = bucket.take(Instant::now()).err()?;
        metrics.rate_limited.inc();
        Some(answer(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests
",
            Some(wait),
        ))
    }

    fn add_headers<B>(&self, response: &mut Response<B>) {
        for (name, value) in &self.policy.headers {
            response.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
}

fn answer(status: StatusCode, text: &'static str, retry_after: Option<Duration>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = retry_after {
        // Whole seconds, and never "at once".
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, seconds.max(1).into());
    }
    response
}

impl<S> Layer<S> for Guard {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { inner, guard: self.clone() }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    inner: S,
    guard: Guard,
}

impl<S, A, B> Service<Request<A>> for GuardService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone,
    B: Body,
    B::Data: From<Bytes>,
{
    type Response = Response<GuardBody<B>>;
    type Error = S::Error;
    type Future = GuardFuture<S, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // The one that was made ready; its clone has to be made ready anew.
        let clone = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, clone);
        let inner = &self.guard.inner;
        // One policy for the whole request, also while another is applied.
        let active = inner.active.load_full();
        let decision = inner.decide(&active, &request);
        let answer = Answer { active, metrics: inner.metrics.clone() };
        GuardFuture::new(decision, answer, service, request)
    }
}
