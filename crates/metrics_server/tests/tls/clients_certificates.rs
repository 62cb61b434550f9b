//! Who is let in under each `client_auth_type`.

use crate::certificates::{Authority, Identity, config, inline, stranger};
use crate::client::eventually;
use crate::peers::{Running, files, start, text};
use metrics_server::web_config::{ClientAuth, TlsConfig};
use rcgen::SanType;

const REFUSED: &str = "metrics_server_tls_handshake_errors_total{reason=\"client_certificate\"}";

async fn is_let_in(running: &Running, identity: Option<&Identity>) -> bool {
    let refused = running.metric(REFUSED);
    let directory = identity.map(files);
    let credentials = directory.as_ref().map(|directory| [text(directory, "cert.pem"), text(directory, "key.pem")]);
    let mut arguments = vec!["-k"];
    if let Some([cert, key]) = &credentials {
        arguments.extend(["--cert", cert, "--key", key]);
    }
    let answer = running.curl(&arguments).await;
    // Each refusal is counted as one, and nothing else is.
    let expected = if answer.is_ok() { refused } else { refused + 1.0 };
    eventually(expected, || running.metric(REFUSED)).await;
    answer.is_ok()
}

fn asking(authority: &Authority, client_auth: ClientAuth) -> TlsConfig {
    let needs_ca = matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
    let client_ca = needs_ca.then(|| inline(&authority.pem()));
    TlsConfig { client_auth, client_ca, ..config(&authority.server()) }
}

#[tokio::test]
async fn each_policy_lets_in_whom_it_says() {
    let authority = Authority::new();
    let (stranger, signed) = (stranger(), authority.identity(&[]));
    for (policy, expected) in [
        // No certificate, one signed by itself, one signed by the authority.
        (ClientAuth::None, [true, true, true]),
        (ClientAuth::Request, [true, true, true]),
        (ClientAuth::RequireAny, [false, true, true]),
        (ClientAuth::VerifyIfGiven, [true, false, true]),
        (ClientAuth::RequireAndVerify, [false, false, true]),
    ] {
        let running = start(&asking(&authority, policy), true).await;
        let clients = [None, Some(&stranger), Some(&signed)];
        let mut actual = Vec::new();
        for client in clients {
            actual.push(is_let_in(&running, client).await);
        }
        assert_eq!(actual, expected, "{policy:?}");
    }
}

#[tokio::test]
async fn names_are_compared_exactly() {
    let authority = Authority::new();
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let allowed = [
        dns("prometheus.internal"),
        SanType::IpAddress([192, 0, 2, 7].into()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
        SanType::Rfc822Name("scraper@example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/prometheus".try_into().unwrap()),
    ];
    let refused = [dns("evil.prometheus.internal"), dns("prometheus"), SanType::IpAddress([192, 0, 2, 70].into())];
    for policy in [ClientAuth::RequireAny, ClientAuth::VerifyIfGiven, ClientAuth::RequireAndVerify] {
        let mut config = asking(&authority, policy);
        let sans = "prometheus.internal 192.0.2.7 2001:DB8:0::1 scraper@example.com spiffe://example.com/prometheus";
        config.client_allowed_sans = sans.split(' ').map(str::to_owned).collect();
        let running = start(&config, true).await;
        for san in &allowed {
            let identity = authority.identity(&[dns("other.internal"), san.clone()]);
            assert!(is_let_in(&running, Some(&identity)).await, "{policy:?} {san:?}");
        }
        for san in &refused {
            let identity = authority.identity(std::slice::from_ref(san));
            assert!(!is_let_in(&running, Some(&identity)).await, "{policy:?} {san:?}");
        }
        assert!(!is_let_in(&running, Some(&authority.identity(&[]))).await, "{policy:?} without names");
        assert_eq!(is_let_in(&running, None).await, policy == ClientAuth::VerifyIfGiven, "{policy:?} none");
    }
}

#[tokio::test]
async fn whose_certificate_it_is_must_be_proven_even_if_any_will_do() {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, client::ResolvesClientCert, sign::CertifiedKey};
    let (authority, ours, theirs) = (Authority::new(), stranger(), stranger());
    let running = start(&asking(&authority, ClientAuth::RequireAny), true).await;

    /// Shows the certificate of one identity and signs with the key of another.
    #[derive(Debug)]
    struct Thief(std::sync::Arc<CertifiedKey>);
    impl ResolvesClientCert for Thief {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<std::sync::Arc<CertifiedKey>> {
            Some(std::sync::Arc::clone(&self.0))
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    use rustls_pki_types::pem::PemObject as _;
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(ours.key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let cert = rustls_pki_types::CertificateDer::from_pem_slice(theirs.cert.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let thief = Thief(std::sync::Arc::new(CertifiedKey::new(vec![cert.clone()], std::sync::Arc::clone(&key))));
        let client = ClientConfig::builder_with_provider(std::sync::Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_cert_resolver(std::sync::Arc::new(thief));
        let refused = running.metric(REFUSED);
        let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let _ = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client)).connect(name, stream).await;
        eventually(refused + 1.0, || running.metric(REFUSED)).await;
    }
}
