//! Verdicts that were reached by hashing, so that they need not be reached again.

use super::credentials::Credentials;
use super::generations::Generations;
use super::keyed::{Digest, Keyed, equal};
use crate::web_config::WebConfigError;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Wrong passwords remembered: each was paid for by a hash, so that a flood cannot turn them over quickly.
const REJECTED_MAX: usize = 2048;
/// Wrong passwords are forgotten after one to two of these.
const REJECTED_LIFE: Duration = Duration::from_secs(30);

/// What is known about presented users and passwords, all of it under a key of this process.
pub(super) struct Verdicts {
    key: Keyed,
    /// At most one for each configured user, and apart from the wrong ones: no flood can push it out.
    right: HashMap<String, Right>,
    wrong: Generations<Digest, ()>,
    turned: Instant,
}

struct Right {
    /// Of the hash that the verdict is about.
    print: Digest,
    presented: Digest,
}

impl Verdicts {
    pub(super) fn new() -> Result<Self, WebConfigError> {
        let wrong = Generations::new(REJECTED_MAX);
        Ok(Self { key: Keyed::random()?, right: HashMap::new(), wrong, turned: Instant::now() })
    }

    pub(super) fn key(&self) -> &Keyed {
        &self.key
    }

    /// What is known; nothing if it has to be hashed.
    pub(super) fn known(&mut self, user: &str, print: &Digest, presented: &Digest) -> Option<bool> {
        // The comparison is made for unknown users too.
        let (right_print, right) = match self.right.get(user) {
            Some(right) => (right.print, right.presented),
            None => ([0; 32], [0; 32]),
        };
        if equal(&right, presented) & equal(&right_print, print) {
            return Some(true);
        }
        if self.turned.elapsed() >= REJECTED_LIFE {
            self.wrong.turn();
            self.turned = Instant::now();
        }
        let wrong = self.key.digest(&[print, presented]);
        self.wrong.get(&wrong).map(|()| false)
    }

    /// Remembers that `presented` is right for `user`, in place of what was right before.
    pub(super) fn pin(&mut self, user: &str, print: Digest, presented: Digest) {
        self.right.insert(user.to_owned(), Right { print, presented });
    }

    /// Remembers that `presented` is wrong for the hash `print`, and returns how many others were forgotten for it.
    pub(super) fn reject(&mut self, print: &Digest, presented: &Digest) -> usize {
        let wrong = self.key.digest(&[print, presented]);
        self.wrong.insert(wrong, ())
    }

    /// Forgets what is right for users who are gone or have another hash now.
    pub(super) fn retain(&mut self, credentials: Option<&Credentials>) {
        self.right.retain(|name, right| {
            let user = credentials.and_then(|credentials| credentials.user(name));
            user.is_some_and(|user| equal(&user.print, &right.print))
        });
    }

    /// How many right and wrong ones are known.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.right.len(), self.wrong.len())
    }
}
