//! `tls_server_config`.

use super::yaml::{Entry, Section, Text};
use super::{ClientAuth, Pem, TlsConfig, TlsVersion, WebConfigError};
use rustls::{CipherSuite, NamedGroup};
use std::path::Path;

const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("RequireClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
];

const VERSIONS: [(&str, TlsVersion); 2] = [("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)];

const CURVES: [(&str, NamedGroup); 3] =
    [("CurveP256", NamedGroup::secp256r1), ("CurveP384", NamedGroup::secp384r1), ("X25519", NamedGroup::X25519)];

/// Go's names, which are those of the standards.
const SUITES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The section; nothing if no key stands in it, which means no TLS, as in exporter-toolkit.
pub(super) fn read(mut section: Section<'_>, directory: &Path) -> Result<Option<TlsConfig>, WebConfigError> {
    if section.is_empty() {
        return Ok(None);
    }
    let cert = pem(&mut section, ["cert", "cert_file"], directory)?;
    let key = pem(&mut section, ["key", "key_file"], directory)?;
    let client_ca = pem(&mut section, ["client_ca", "client_ca_file"], directory)?;
    let client_auth = one_of(section.text("client_auth_type")?, &CLIENT_AUTH, |_| None)?.unwrap_or_default();
    let (names_sans, client_allowed_sans) = match section.take("client_allowed_sans") {
        Some(sans) => (true, sans.texts()?),
        None => (false, Vec::new()),
    };
    let client_allowed_sans = client_allowed_sans.iter().map(|text| text.value.expose().to_owned()).collect::<Vec<_>>();
    let min = one_of(section.text("min_version")?, &VERSIONS, version)?.unwrap_or(TlsVersion::Tls12);
    let max = one_of(section.text("max_version")?, &VERSIONS, version)?.unwrap_or(TlsVersion::Tls13);
    let (min, cipher_suites) = cipher_suites(&mut section, min, max)?;
    let prefer_server_cipher_suites = section.switch("prefer_server_cipher_suites")?.unwrap_or(true);
    let curves = all_of(texts(&mut section, "curve_preferences")?, &CURVES, curve)?;
    // A misspelt key explains what would seem to be missing.
    section.finish()?;
    let error = |key: &str, reason: &str| Err(section.error(key, reason));
    if min > max {
        return error("min_version", "is newer than max_version");
    }
    let verifies = matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
    if client_ca.is_some() && !verifies {
        return error(
            "client_ca_file",
            "client certificates would not be verified with it; set client_auth_type to RequireAndVerifyClientCert or \
             VerifyClientCertIfGiven, or remove the CA",
        );
    }
    if client_ca.is_none() && verifies {
        return error("client_auth_type", "needs client_ca_file (or client_ca) to verify client certificates with");
    }
    // Where a certificate may be left away, the list would be no obstacle.
    if names_sans && !matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify) {
        return error(
            "client_allowed_sans",
            "nothing would be checked; set client_auth_type to RequireAndVerifyClientCert",
        );
    }
    if names_sans && client_allowed_sans.is_empty() {
        return error("client_allowed_sans", "is empty: nobody would be let in; remove it, or name somebody");
    }
    let missing = "is missing (or its text as";
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, _) => return error("cert_file", &format!("{missing} `cert`); TLS needs a certificate and its key")),
        (_, None) => return error("key_file", &format!("{missing} `key`); TLS needs a certificate and its key")),
    };
    Ok(Some(TlsConfig {
        cert,
        key,
        client_ca,
        client_auth,
        client_allowed_sans,
        min_version: min,
        max_version: max,
        cipher_suites,
        prefer_server_cipher_suites,
        curves,
    }))
}

/// Where the PEM text is; of the two the file wins.
fn pem(
    section: &mut Section<'_>,
    [inline, file]: [&'static str; 2],
    directory: &Path,
) -> Result<Option<Pem>, WebConfigError> {
    let inline = section.text(inline)?.map(|text| Pem::Inline(text.value));
    let file = section.text(file)?.map(|text| Pem::File(directory.join(text.value.expose())));
    Ok(file.or(inline))
}

/// The suites of TLS 1.2. Those of TLS 1.3 are all offered, as in Go; naming no others means TLS 1.3 only.
fn cipher_suites(
    section: &mut Section<'_>,
    min: TlsVersion,
    max: TlsVersion,
) -> Result<(TlsVersion, Vec<CipherSuite>), WebConfigError> {
    let mut suites = all_of(texts(section, "cipher_suites")?, &SUITES, suite)?;
    let is_given = !suites.is_empty();
    suites.retain(|suite| !suite.as_str().is_some_and(|name| name.starts_with("TLS13_")));
    if !is_given || !suites.is_empty() {
        return Ok((min, suites));
    }
    if max == TlsVersion::Tls12 {
        return Err(section.error("cipher_suites", "has no suite of TLS 1.2, and max_version allows no TLS 1.3"));
    }
    Ok((TlsVersion::Tls13, suites))
}

fn texts<'a>(section: &mut Section<'a>, key: &'static str) -> Result<Vec<Text<'a>>, WebConfigError> {
    Ok(section.take(key).map(Entry::texts).transpose()?.unwrap_or_default())
}

/// What rustls has not, and what to use instead.
fn version(name: &str) -> Option<&'static str> {
    matches!(name, "TLS10" | "TLS11").then_some("is broken and not supported; use TLS12 or TLS13")
}

fn curve(name: &str) -> Option<&'static str> {
    (name == "CurveP521").then_some("is not supported; use CurveP384 or X25519")
}

fn suite(name: &str) -> Option<&'static str> {
    if name.starts_with("TLS_RSA_") {
        let reason = "exchanges keys by RSA, without forward secrecy, and is not supported; use \
                      TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
        return Some(reason);
    }
    let is_old = name.starts_with("TLS_ECDHE_") && (name.contains("_CBC_") || name.contains("_RC4_"));
    is_old
        .then_some("is not authenticated encryption and not supported; use the suite with _GCM_ or _CHACHA20_POLY1305_")
}

fn one_of<T: Copy>(
    text: Option<Text<'_>>,
    known: &[(&str, T)],
    replaced: fn(&str) -> Option<&'static str>,
) -> Result<Option<T>, WebConfigError> {
    let Some(text) = text else { return Ok(None) };
    let name = text.value.expose();
    if let Some((_, value)) = known.iter().find(|(known, _)| *known == name) {
        return Ok(Some(*value));
    }
    // A key pasted into the wrong line must not be shown; no name here has anything but these characters.
    let is_name = name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let name = if is_name { name } else { "this" };
    if let Some(reason) = replaced(name) {
        return Err(text.error(format!("{name} {reason}")));
    }
    let names: Vec<_> = known.iter().map(|(known, _)| *known).collect();
    Err(text.error(format!("{name} is not known; allowed are {}", names.join(", "))))
}

fn all_of<T: Copy>(
    texts: Vec<Text<'_>>,
    known: &[(&str, T)],
    replaced: fn(&str) -> Option<&'static str>,
) -> Result<Vec<T>, WebConfigError> {
    texts.into_iter().filter_map(|text| one_of(Some(text), known, replaced).transpose()).collect()
}
