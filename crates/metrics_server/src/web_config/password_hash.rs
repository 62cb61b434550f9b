//! The hash of a password, as an operator pastes it into the configuration.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::alphabet::{BCRYPT, STANDARD};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use std::fmt;

/// Unpadded; the bits that the last character has too many are not ours to judge.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, LENIENT);
const PHC_BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

/// 15 takes about two seconds of a core; each step doubles it.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;
/// Bytes of a password that bcrypt looks at, the NUL behind it included.
const BCRYPT_PASSWORD_BYTES: usize = 72;
/// 256 MiB. Hashes run one at a time, so this is what a request can make the process take.
const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Memory times passes: about a second of a core.
const ARGON2_WORK_KIB_MAX: u64 = 1024 * 1024;
const ARGON2_LANES_MAX: u32 = 16;

const FORM: &str = "must be a bcrypt hash ($2a$, $2b$ or $2y$, such as `htpasswd -nBC 10 USER` prints) or an argon2id \
                    hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash)";

/// A checked hash; comparing a password with it takes as long as its parameters say.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PasswordHash {
    Bcrypt { cost: u32, salt: [u8; 16], digest: Vec<u8> },
    Argon2id { memory_kib: u32, passes: u32, lanes: u32, salt: Vec<u8>, digest: Vec<u8> },
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bcrypt { cost, .. } => write!(f, "bcrypt of cost {cost}"),
            Self::Argon2id { memory_kib, passes, lanes, .. } => {
                write!(f, "argon2id with m={memory_kib},t={passes},p={lanes}")
            }
        }
    }
}

impl PasswordHash {
    /// Reads a hash and checks that it cannot be used to exhaust the process.
    ///
    /// # Errors
    ///
    /// What would be right; the text itself is not shown.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('$');
        match (parts.next(), parts.next()) {
            (Some(""), Some("2a" | "2b" | "2y")) => bcrypt(parts),
            (Some(""), Some("argon2id")) => argon2id(parts),
            (Some(""), Some("argon2i" | "argon2d")) => Err("of the argon2 kinds only argon2id is supported".to_owned()),
            _ => Err(FORM.to_owned()),
        }
    }

    /// Whether `password` is the one that was hashed. Keeps the thread busy for as long as the parameters say.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt { cost, salt, digest } => {
                let mut bytes = Vec::with_capacity(password.len() + 1);
                bytes.extend_from_slice(password);
                bytes.push(0);
                bytes.truncate(BCRYPT_PASSWORD_BYTES);
                let computed = bcrypt::bcrypt(*cost, *salt, &bytes);
                computed.get(..digest.len()).is_some_and(|computed| verify_slices_are_equal(computed, digest).is_ok())
            }
            Self::Argon2id { memory_kib, passes, lanes, salt, digest } => {
                let Ok(params) = Params::new(*memory_kib, *passes, *lanes, Some(digest.len())) else { return false };
                let mut memory = vec![Block::default(); params.block_count()];
                let mut computed = vec![0; digest.len()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let hashed =
                    argon2.hash_password_into_with_memory(password, salt, &mut computed, memory.as_mut_slice());
                hashed.is_ok() && verify_slices_are_equal(&computed, digest).is_ok()
            }
        }
    }

    /// A hash that costs the same and that no password has.
    pub(crate) fn fake(&self, random: [u8; 32]) -> Self {
        let mut fake = self.clone();
        match &mut fake {
            // Random bytes; that a password hashes to them is as unlikely as guessing the key of the process.
            Self::Bcrypt { digest, .. } | Self::Argon2id { digest, .. } => {
                digest.iter_mut().zip(random.iter().cycle()).for_each(|(byte, random)| *byte ^= random);
            }
        }
        fake
    }
}

fn bcrypt<'a>(mut parts: impl Iterator<Item = &'a str>) -> Result<PasswordHash, String> {
    let malformed = || "is a bcrypt hash that was cut off or changed; it must be 60 characters long".to_owned();
    let (Some(cost), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else { return Err(malformed()) };
    let cost = Some(cost).filter(|cost| cost.len() == 2).and_then(|cost| cost.parse().ok()).ok_or_else(malformed)?;
    if !BCRYPT_COSTS.contains(&cost) {
        let (least, most) = BCRYPT_COSTS.into_inner();
        return Err(format!("the cost of a bcrypt hash must be from {least} to {most}, this one has {cost}"));
    }
    let (salt, digest) = rest.split_at_checked(22).filter(|_| rest.len() == 53).ok_or_else(malformed)?;
    let salt = BCRYPT_BASE64.decode(salt).ok().and_then(|salt| salt.try_into().ok()).ok_or_else(malformed)?;
    let digest = BCRYPT_BASE64.decode(digest).ok().filter(|digest| digest.len() == 23).ok_or_else(malformed)?;
    Ok(PasswordHash::Bcrypt { cost, salt, digest })
}

fn argon2id<'a>(mut parts: impl Iterator<Item = &'a str>) -> Result<PasswordHash, String> {
    let malformed = || "is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash".to_owned();
    let mut next = || parts.next().ok_or_else(malformed);
    let (version, parameters, salt, digest) = (next()?, next()?, next()?, next()?);
    if version != "v=19" || parts.next().is_some() {
        return Err(malformed());
    }
    let mut parameters = parameters.split(',');
    let mut number = |name: &str| -> Option<u32> { parameters.next()?.strip_prefix(name)?.parse().ok() };
    let (Some(memory_kib), Some(passes), Some(lanes), None) =
        (number("m="), number("t="), number("p="), parameters.next())
    else {
        return Err(malformed());
    };
    if memory_kib > ARGON2_MEMORY_KIB_MAX
        || lanes > ARGON2_LANES_MAX
        || u64::from(memory_kib) * u64::from(passes) > ARGON2_WORK_KIB_MAX
        || Params::new(memory_kib, passes, lanes, None).is_err()
    {
        return Err(format!(
            "the parameters of an argon2id hash must be 8·p ≤ m ≤ {ARGON2_MEMORY_KIB_MAX} (KiB), t ≥ 1, \
             m·t ≤ {ARGON2_WORK_KIB_MAX} and 1 ≤ p ≤ {ARGON2_LANES_MAX}; this one has m={memory_kib},t={passes},p={lanes}"
        ));
    }
    let bytes = |text: &str, least| PHC_BASE64.decode(text).ok().filter(|bytes| (least..=64).contains(&bytes.len()));
    let (Some(salt), Some(digest)) = (bytes(salt, 8), bytes(digest, 16)) else { return Err(malformed()) };
    Ok(PasswordHash::Argon2id { memory_kib, passes, lanes, salt, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test vectors of the crypt_blowfish implementation and of exporter-toolkit's documentation.
    const CRYPT_BLOWFISH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    /// From the test vectors of the reference implementation of argon2.
    const REFERENCE: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn verifies_what_others_hashed() {
        for (hash, password) in [(CRYPT_BLOWFISH, "U*U"), (REFERENCE, "password")] {
            for prefix in ["$2a$", "$2b$", "$2y$"] {
                let hash = PasswordHash::parse(&hash.replace("$2a$", prefix)).unwrap();
                assert!(hash.verify(password.as_bytes()), "{hash:?}");
                assert!(!hash.verify(b"U*V") && !hash.verify(b""), "{hash:?}");
                let fake = hash.fake([7; 32]);
                assert!(!fake.verify(password.as_bytes()));
                assert_eq!(format!("{fake:?}"), format!("{hash:?}"), "a fake costs the same");
            }
        }
    }

    #[test]
    fn a_password_may_be_longer_than_bcrypt_looks() {
        let hash = PasswordHash::parse("$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui").unwrap();
        let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored";
        assert!(hash.verify(long.as_bytes()));
    }

    #[test]
    fn refuses_what_is_none_or_takes_too_much() {
        let check = |text: &str, expected: &str| {
            let message = PasswordHash::parse(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(text.len() < 30 || !message.contains(&text[text.len() - 20..]), "shows the hash: {message}");
        };
        check("", "must be a bcrypt hash");
        check("secret", "must be a bcrypt hash");
        check(&CRYPT_BLOWFISH.replace("$2a$", "$2x$"), "must be a bcrypt hash");
        check(&CRYPT_BLOWFISH.replace("$05$", "$03$"), "must be from 4 to 15, this one has 3");
        check(&CRYPT_BLOWFISH.replace("$05$", "$31$"), "must be from 4 to 15, this one has 31");
        check(&CRYPT_BLOWFISH[..59], "60 characters");
        check(&CRYPT_BLOWFISH.replace('E', "€"), "60 characters");
        check(&REFERENCE.replace("argon2id", "argon2i"), "only argon2id");
        check(&REFERENCE.replace("v=19", "v=16"), "not of the form");
        check(&REFERENCE.replace("m=256", "m=4194304"), "≤ m ≤ 262144 (KiB)");
        check(&REFERENCE.replace("m=256,t=2", "m=262144,t=5"), "m·t ≤ 1048576");
        check(&REFERENCE.replace("m=256", "m=4"), "8·p ≤ m");
        check(&REFERENCE.replace("p=1", "p=17"), "p ≤ 16");
        check(&REFERENCE.replace("t=2", "t=0"), "t ≥ 1");
        check(&REFERENCE.replace("c29tZXNhbHQ", "c2"), "not of the form");
        check(&REFERENCE.replace(",p=1", ""), "not of the form");
    }
}
