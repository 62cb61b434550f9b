//! What a configuration asks of clients.

use crate::web_config::{ClientAuth, WebConfig};

/// What a configuration asks of clients. A reload may ask for more and not for less: a file that is cut short, by a full
/// disk or half-way through writing, is often a valid one that lets everybody in.
#[derive(Debug)]
pub(super) struct Demands {
    has_tls: bool,
    credentials: bool,
    credentials_for_health: bool,
    a_certificate: bool,
    a_verified_certificate: bool,
    a_listed_name: bool,
}

/// A configuration that asks for less than the one in force.
#[derive(Debug, thiserror::Error)]
#[error("{what}; that takes a restart")]
pub(super) struct AsksForLess {
    what: &'static str,
}

/// A file that says TLS where there was none at the start, or the reverse: sockets that are open cannot follow.
#[derive(Debug, thiserror::Error)]
#[error("tls_server_config was {}; that takes a restart", if *.added { "added" } else { "removed" })]
pub(super) struct TlsSwitched {
    added: bool,
}

impl Demands {
    pub(super) fn of(config: &WebConfig) -> Self {
        let client_auth = config.tls.as_ref().map(|tls| tls.client_auth).unwrap_or_default();
        Self {
            has_tls: config.tls.is_some(),
            credentials: config.asks_for_credentials(),
            credentials_for_health: config.authenticate_health,
            a_certificate: matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify),
            a_verified_certificate: matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify),
            a_listed_name: config.tls.as_ref().is_some_and(|tls| !tls.client_allowed_sans.is_empty()),
        }
    }

    /// Whether sockets that are open can change over to TLS, or from it, as `next` says: they cannot.
    pub(super) fn check_tls(&self, next: &Self) -> Result<(), TlsSwitched> {
        if self.has_tls == next.has_tls { Ok(()) } else { Err(TlsSwitched { added: next.has_tls }) }
    }

    /// Whether `next` asks for all of this.
    pub(super) fn check_kept(&self, next: &Self) -> Result<(), AsksForLess> {
        let kept = [
            (self.credentials, next.credentials, "all users and tokens were removed"),
            (self.credentials_for_health, next.credentials_for_health, "authenticate_health was turned off"),
            (self.a_certificate, next.a_certificate, "client_auth_type requires no certificate any more"),
            (self.a_verified_certificate, next.a_verified_certificate, "client_auth_type verifies nothing any more"),
            (self.a_listed_name, next.a_listed_name, "client_allowed_sans was removed"),
        ];
        match kept.into_iter().find(|(before, after, _)| *before && !after) {
            Some((_, _, what)) => Err(AsksForLess { what }),
            None => Ok(()),
        }
    }
}
