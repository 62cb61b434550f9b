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
    users: BTreeMap<String, User>,
    tokens: Vec<Digest>,
}

/// What a presented password is compared with.
pub(super) enum User {
    /// A hash that takes long on purpose.
    Hashed(HashedUser),
    /// The password itself is at hand, as a digest.
    Plain(Digest),
}

#[derive(Clone)]
pub(super) struct HashedUser {
    pub(super) hash: Arc<PasswordHash>,
    /// Of the hash, so that a verdict ends with it.
    pub(super) print: Digest,
    /// What an unknown user is compared with: as slow, and never right.
    fake: Arc<PasswordHash>,
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
            let fake = Arc::new(hash.fake(random_bytes()?));
            users.insert(name.clone(), User::Hashed(HashedUser { hash: Arc::new(hash), print, fake }));
        }
        if let Some((name, path)) = &config.password_file {
            let password = web_config::password(path)?;
            users.insert(name.clone(), User::Plain(key.digest(&[password.expose().as_bytes()])));
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

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Whether `password` is the one behind a plain digest.
    pub(super) fn is_plain(&self, plain: &Digest, password: &[u8]) -> bool {
        equal(plain, &self.key.digest(&[password]))
    }

    /// Something to compare the password of an unknown user with: as slow as for one of the users, always the same one
    /// for the same name, as if it were theirs. Nothing if no user's password is hashed.
    pub(super) fn fake(&self, name: &str) -> Option<HashedUser> {
        let hashed = || {
            self.users.values().filter_map(|user| match user {
                User::Hashed(hashed) => Some(hashed),
                User::Plain(_) => None,
            })
        };
        let count = hashed().count().max(1) as u64;
        let chosen = usize::try_from(short(&self.key.digest(&[name.as_bytes()])) % count).unwrap_or(0);
        let user = hashed().nth(chosen)?;
        // Its own print, so that no verdict about it is one about the user it is modelled on.
        Some(HashedUser { hash: Arc::clone(&user.fake), print: [0; 32], fake: Arc::clone(&user.fake) })
    }

    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }
}
