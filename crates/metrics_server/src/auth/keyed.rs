//! Digests under a key that only this process has.

use crate::web_config::WebConfigError;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};

/// HMAC-SHA256.
pub(super) type Digest = [u8; 32];

/// A random key. What is kept under it can neither be searched for in a memory dump with guesses made elsewhere, nor be
/// steered to collide.
#[derive(Clone)]
pub(super) struct Keyed(hmac::Key);

impl Keyed {
    pub(super) fn random() -> Result<Self, WebConfigError> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &random_bytes()?)))
    }

    /// The digest of `parts`, each with its length, so that they cannot flow into each other.
    pub(super) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        digest
    }
}

/// Compares in a time that does not depend on the contents.
pub(super) fn equal(one: &Digest, other: &Digest) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

pub(super) fn random_bytes() -> Result<[u8; 32], WebConfigError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| WebConfigError::Random)?;
    Ok(bytes)
}

/// A number below `end` that nobody can foretell; 0 if `end` is, or without random numbers.
pub(super) fn random_below(end: usize) -> usize {
    let mut bytes = [0; 8];
    let _ = rand::fill(&mut bytes);
    // The bias of the remainder is 2^-50 for what is chosen from here.
    usize::try_from(u64::from_le_bytes(bytes) % (end.max(1) as u64)).unwrap_or(0)
}

/// The first bytes of a digest as a number, as the key of a table whose entries decide about order and not about access.
pub(super) fn short(digest: &Digest) -> u64 {
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
