//! An authority and certificates for each test, as PEM.

use metrics_server::web_config::{ClientAuth, Pem, Secret, TlsConfig, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate for self-signed if its subject and its issuer have the same name.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server on the loopback interface.
    pub(crate) fn server(&self) -> Identity {
        self.identity(&[SanType::IpAddress([127, 0, 0, 1].into()), SanType::DnsName("localhost".try_into().unwrap())])
    }

    pub(crate) fn identity(&self, sans: &[SanType]) -> Identity {
        let (params, key) = (named(sans), KeyPair::generate().unwrap());
        Identity { cert: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// Signed by nobody else.
pub(crate) fn stranger() -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { cert: named(&[]).self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn named(sans: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = sans.to_vec();
    params
}

pub(crate) fn inline(text: &str) -> Pem {
    Pem::Inline(Secret::new(text))
}

/// What a file with nothing but a certificate and a key says.
pub(crate) fn config(identity: &Identity) -> TlsConfig {
    TlsConfig {
        cert: inline(&identity.cert),
        key: inline(&identity.key),
        client_ca: None,
        client_auth: ClientAuth::None,
        client_allowed_sans: Vec::new(),
        min_version: TlsVersion::Tls12,
        max_version: TlsVersion::Tls13,
        cipher_suites: Vec::new(),
        prefer_server_cipher_suites: true,
        curves: Vec::new(),
    }
}
