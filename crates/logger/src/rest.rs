//! The venues' REST interfaces: one for each venue, shared by all that ask it, within what the venue grants.

mod allowance;
mod client;
#[cfg(test)]
pub(crate) mod hostile;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use exchange_protocol::{Request, Rest, RestError};
use tracing::warn;

pub(crate) use allowance::{Allowance, Allowances};
pub(crate) use client::{Bounds, Client, Response, SendError, in_seconds};

use crate::{
    clock::Clock,
    config::Exchange,
    error::LoggerError,
    metrics::{Outcome, RestMetrics},
};

/// The REST interface of a venue.
pub(crate) struct Interface {
    pub(crate) exchange: &'static str,
    pub(crate) rest: &'static dyn Rest,
    pub(crate) allowance: Allowance,
    pub(crate) metrics: Arc<RestMetrics>,
    client: Client,
    clock: Clock,
}

impl Interface {
    pub(crate) fn new(
        exchange: &Exchange,
        allowances: &Arc<Allowances>,
        metrics: Arc<RestMetrics>,
        clock: Clock,
    ) -> Result<Interface, LoggerError> {
        let (name, rest) = (exchange.venue.facts().name, exchange.venue.rest());
        let allowance = allowances.allowance(&format!("{name}/rest"), rest.facts().budget);
        let interface =
            Interface { exchange: name, rest, allowance, metrics, client: Client::new(exchange, clock)?, clock };
        let silence = interface.allowance.silent_for();
        if !silence.is_zero() {
            let silence = interface.tell_silence(silence);
            warn!(exchange = name, %silence, "the venue asked an earlier run for silence over REST");
        }
        Ok(interface)
    }

    fn tell_silence(&self, silence: Duration) -> humantime::FormattedDuration {
        self.metrics.silent_until.set(self.clock.now_ns() as f64 / 1e9 + silence.as_secs_f64());
        humantime::format_duration(Duration::from_secs(silence.as_secs_f64().round() as u64))
    }

    /// Sends a request whose weight has been taken from the allowance.
    pub(crate) async fn send(&self, request: &Request, bounds: Bounds) -> Result<Response, SendError> {
        // Before it goes out: what is sent counts also if this process dies now.
        self.allowance.save().await;
        let started = Instant::now();
        let result = self.client.send(request, bounds).await;
        self.metrics.duration.observe(started.elapsed().as_secs_f64());
        if let Err(error) = &result {
            self.metrics.request(match error {
                SendError::Late { .. } => Outcome::Late,
                SendError::Broken(_) => Outcome::Broken,
                SendError::Oversized(_) => Outcome::Oversized,
            });
        }
        result
    }

    /// Counts what an answer said, and leaves the venue alone if it wants to be.
    pub(crate) async fn understood<T>(&self, read: &Result<T, RestError>) {
        match read {
            Ok(_) => {
                self.allowance.answered();
                self.metrics.request(Outcome::Answered);
            }
            Err(RestError::RateLimited { wait, banned }) => {
                self.metrics.request(if *banned { Outcome::Banned } else { Outcome::Limited });
                let silence = self.tell_silence(self.allowance.silence(*wait));
                self.allowance.save().await;
                warn!(exchange = self.exchange, banned, %silence, "the venue limits REST; it is left alone");
            }
            Err(RestError::Refused { .. }) => self.metrics.request(Outcome::Refused),
            Err(_) => self.metrics.request(Outcome::Garbled),
        }
    }
}

impl std::fmt::Debug for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interface").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
