//! Who may come in.

use super::keyed::{Digest, Keyed, equal, random_bytes, short};
use crate::web_config::{self, PasswordHash, WebConfig, WebConfigError};
use aws_lc_rs::digest;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Users and tokens, ready to compare with; `Debug` shows no secrets.
pub(crate) struct Credentials {
    key: Keyed,
    users: BTreeMap<String, Expected>,
    tokens: Vec<Digest>,
}

/// What the password of a user is compared with.
#[derive(Clone)]
pub(super) struct Expected {
    pub(super) check: Check,
    /// Of what it is compared with, so that a verdict ends with that.
    pub(super) print: Digest,
    /// What an unknown user is compared with: as slow, and never right.
    fake: Check,
}

/// How a presented password is compared.
#[derive(Clone)]
pub(super) enum Check {
    /// With a hash that takes long on purpose.
    Hash(Arc<PasswordHash>),
    /// With the password itself, which was at hand when this was made.
    Plain(Arc<Plain>),
}

/// The digest of a password.
pub(super) struct Plain {
    key: Keyed,
    digest: Digest,
}

impl Plain {
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        equal(&self.digest, &self.key.digest(&[password]))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users, {} tokens", self.users.len(), self.tokens.len())
    }
}

impl Credentials {
    /// Reads what `config` names; nothing if it asks for no credentials.
    pub(crate) fn load(config: &WebConfig) -> Result<Option<Self>, WebConfigError> {
        if !config.asks_for_credentials() {
            return Ok(None);
        }
        let key = Keyed::random()?;
        let mut users = BTreeMap::new();
        for (name, text) in &config.basic_auth_users {
            // Checked when the configuration was read; one made by hand may be wrong all the same.
            let hash = PasswordHash::parse(text.expose()).map_err(|reason| WebConfigError::Key {
                path: "web config".into(),
                line: 0,
                key: format!("basic_auth_users.{name}"),
                reason,
            })?;
            let mut print = [0; 32];
            let sha = digest::digest(&digest::SHA256, text.expose().as_bytes());
            print.iter_mut().zip(sha.as_ref()).for_each(|(to, from)| *to = *from);
            let fake = Check::Hash(Arc::new(hash.fake(random_bytes()?)));
            users.insert(name.clone(), Expected { check: Check::Hash(Arc::new(hash)), print, fake });
        }
        if let Some((name, path)) = &config.password_file {
            let password = web_config::password(path)?;
            let print = key.digest(&[password.expose().as_bytes()]);
            let plain = |digest| Check::Plain(Arc::new(Plain { key: key.clone(), digest }));
            users.insert(name.clone(), Expected { check: plain(print), print, fake: plain(random_bytes()?) });
        }
        let tokens = config.bearer_tokens_file.as_deref().map(web_config::bearer_tokens).transpose()?;
        let tokens = tokens.iter().flatten().map(|token| key.digest(&[token.expose().as_bytes()])).collect();
        Ok(Some(Self { key, users, tokens }))
    }

    /// Whether `token` is one of ours, in a time that depends on their number only.
    pub(super) fn has_token(&self, token: &[u8]) -> bool {
        let presented = self.key.digest(&[token]);
        self.tokens.iter().fold(false, |found, token| equal(token, &presented) | found)
    }

    pub(super) fn user(&self, name: &str) -> Option<&Expected> {
        self.users.get(name)
    }

    /// Something to compare the password of an unknown user with: as slow as for one of the users, always the same one
    /// for the same name, as if it were theirs. Nothing if there are no users.
    pub(super) fn fake(&self, name: &str) -> Option<Expected> {
        let count = self.users.len().max(1) as u64;
        let chosen = usize::try_from(short(&self.key.digest(&[name.as_bytes()])) % count).unwrap_or(0);
        let user = self.users.values().nth(chosen)?;
        // Its own print, so that no verdict about it is one about the user it is modelled on.
        Some(Expected { check: user.fake.clone(), print: [0; 32], fake: user.fake.clone() })
    }

    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }
}
