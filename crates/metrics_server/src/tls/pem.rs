//! Certificates and keys, from files or from the configuration itself.

use super::error::TlsError;
use crate::web_config::Pem;
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::borrow::Cow;
use std::io::Read as _;

/// The most that is read of a file, in bytes: all the authorities a browser trusts are a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A text of PEM and where it is from.
pub(super) struct PemText<'a> {
    pub(super) origin: String,
    text: Cow<'a, [u8]>,
}

impl<'a> PemText<'a> {
    /// Opens what the configuration names `what`: `cert`, `key` or `client_ca`.
    pub(super) fn open(pem: &'a Pem, what: &'static str) -> Result<Self, TlsError> {
        match pem {
            Pem::Inline(text) => {
                Ok(Self { origin: format!("inline {what}"), text: Cow::Borrowed(text.expose().as_bytes()) })
            }
            Pem::File(path) => {
                let failed = |error| TlsError::Read { what, path: path.display().to_string(), error };
                let mut text = Vec::new();
                // Opening a FIFO would wait for whoever writes into it.
                if !std::fs::metadata(path).map_err(failed)?.is_file() {
                    return Err(failed(std::io::Error::other("not a regular file")));
                }
                let file = std::fs::File::open(path).map_err(failed)?;
                file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
                let origin = path.display().to_string();
                if text.len() as u64 > FILE_BYTES_MAX {
                    return Err(TlsError::Pem { origin, problem: "larger than 1 MiB" });
                }
                Ok(Self { origin, text: Cow::Owned(text) })
            }
        }
    }

    fn sections(&self) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), TlsError>> {
        <(SectionKind, Vec<u8>)>::pem_slice_iter(&self.text).map(|section| {
            section.map_err(|error| TlsError::Pem { origin: self.origin.clone(), problem: problem(&error) })
        })
    }

    /// The certificates in it, at least one, each of which can be read.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let mut certificates = Vec::new();
        for section in self.sections() {
            let (kind, der) = section?;
            if kind == SectionKind::Certificate {
                certificates.push(CertificateDer::from(der));
            }
        }
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate { origin: self.origin.clone() });
        }
        for (index, certificate) in certificates.iter().enumerate() {
            if let Err(error) = x509_parser::parse_x509_certificate(certificate) {
                let (origin, problem) = (self.origin.clone(), error.to_string());
                return Err(TlsError::BadCertificate { origin, number: index + 1, problem });
            }
        }
        Ok(certificates)
    }

    /// The first private key in it.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        if contains(&self.text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || contains(&self.text, b"\nProc-Type: 4,ENCRYPTED")
        {
            return Err(TlsError::EncryptedKey { origin: self.origin.clone() });
        }
        for section in self.sections() {
            match section? {
                (SectionKind::PrivateKey, der) => return Ok(PrivateKeyDer::Pkcs8(der.into())),
                (SectionKind::RsaPrivateKey, der) => return Ok(PrivateKeyDer::Pkcs1(der.into())),
                (SectionKind::EcPrivateKey, der) => return Ok(PrivateKeyDer::Sec1(der.into())),
                _ => {}
            }
        }
        Err(TlsError::NoKey { origin: self.origin.clone() })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What is wrong, without the line that it is wrong in: that could be a part of a key.
fn problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end line",
        pem::Error::IllegalSectionStart { .. } => "a begin line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it cannot be read",
    }
}
