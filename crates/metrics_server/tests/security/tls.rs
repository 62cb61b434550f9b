//! Each key of `tls_server_config`, and `http2`.

use crate::fixture::{Fixture, indented};
use crate::peers::s_client;
use crate::running::Running;
use rcgen::SanType;

const FILES: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
const ANSWERED: &str = "HTTP/1.1 200 OK";

async fn is_answered(running: &Running, arguments: &[&str]) -> bool {
    s_client(running.address, arguments).await.contains(ANSWERED)
}

/// curl with the test's authority and nothing of `-k`.
async fn is_trusted(fixture: &Fixture, running: &Running) -> bool {
    let url = format!("https://{}/health", running.address);
    let answer = crate::running::curl(&url, &["--cacert", &fixture.path("ca.pem")]).await;
    answer.is_ok_and(|answer| answer.status == 200)
}

async fn is_let_in(running: &Running, identity: &[String]) -> bool {
    let arguments: Vec<&str> = identity.iter().map(String::as_str).collect();
    running.curl("/metrics", &arguments).await.is_ok_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn certificate_and_key_come_from_files() {
    let fixture = Fixture::new();
    let trusted = async |running: &Running| is_trusted(&fixture, running).await;
    fixture.check(FILES, "tls_server_config", None, trusted).await;
    fixture.check(FILES, "cert_file", Some("cert_file"), trusted).await;
    fixture.check(FILES, "key_file", Some("key_file"), trusted).await;
}

#[tokio::test]
async fn certificate_and_key_come_from_the_file_itself() {
    let fixture = Fixture::new();
    let [cert, key] = [&fixture.server.cert, &fixture.server.key].map(|pem| indented(pem));
    let config = format!("tls_server_config:\n  cert: |\n{cert}  key: |\n{key}");
    let trusted = async |running: &Running| is_trusted(&fixture, running).await;
    fixture.check(&config, "tls_server_config", None, trusted).await;
    fixture.check(&config, "cert", Some("cert_file"), trusted).await;
    fixture.check(&config, "key", Some("key_file"), trusted).await;
}

#[tokio::test]
async fn each_client_auth_type_lets_in_whom_it_says() {
    let fixture = Fixture::new();
    let signed = fixture.client("signed", &fixture.authority.identity(&[]));
    let clients: [Vec<String>; 3] = [Vec::new(), fixture.stranger().into(), signed.into()];
    let let_in = async |running: &Running| {
        let mut actual = [false; 3];
        for (actual, client) in actual.iter_mut().zip(&clients) {
            *actual = is_let_in(running, client).await;
        }
        actual
    };
    let inline = format!("  client_ca: |\n{}", indented(&fixture.authority.pem()));
    let file = "  client_ca_file: ca.pem\n";
    let without_key = fixture.start(FILES).await.unwrap();
    assert_eq!(let_in(&without_key).await, [true; 3]);
    // No certificate, one that nobody signed, one that the authority signed.
    for (name, ca, expected) in [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("RequireClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", file, [true, false, true]),
        ("RequireAndVerifyClientCert", file, [false, false, true]),
        ("RequireAndVerifyClientCert", inline.as_str(), [false, false, true]),
    ] {
        let running = fixture.start(&format!("{FILES}  client_auth_type: {name}\n{ca}")).await.unwrap();
        assert_eq!(let_in(&running).await, expected, "{name}");
        if !ca.is_empty() {
            let error = fixture.start(&format!("{FILES}  client_auth_type: {name}\n")).await.err().unwrap();
            assert!(error.contains("client_auth_type: needs client_ca_file"), "{error}");
            let error = fixture.start(&format!("{FILES}{ca}")).await.err().unwrap();
            assert!(error.contains("set client_auth_type"), "{error}");
        }
    }
}

/// With and without it a client sees no difference but in the handshake.
#[tokio::test]
async fn a_certificate_is_asked_for_where_one_is_requested() {
    let fixture = Fixture::new();
    let config = format!("{FILES}  client_auth_type: RequestClientCert\n");
    let asked = async |running: &Running| {
        let said = s_client(running.address, &["-tls1_2"]).await;
        said.contains("Client Certificate Types")
    };
    fixture.check(&config, "client_auth_type", None, asked).await;
}

#[tokio::test]
async fn only_allowed_names_are_let_in() {
    let fixture = Fixture::new();
    let named = |name: &str| fixture.authority.identity(&[SanType::DnsName(name.try_into().unwrap())]);
    let [good, other] = ["prometheus.internal", "grafana.internal"].map(|name| fixture.client(name, &named(name)));
    let ca = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let config = format!("{FILES}{ca}  client_allowed_sans:\n    - prometheus.internal\n");
    let tells_apart = async |running: &Running| {
        assert!(is_let_in(running, &good).await);
        !is_let_in(running, &other).await
    };
    fixture.check(&config, "client_allowed_sans", None, tells_apart).await;
}

#[tokio::test]
async fn versions_are_limited() {
    let fixture = Fixture::new();
    for (key, value, refused, spoken) in
        [("min_version", "TLS13", "-tls1_2", "-tls1_3"), ("max_version", "TLS12", "-tls1_3", "-tls1_2")]
    {
        let limited = async |running: &Running| {
            assert!(is_answered(running, &[spoken]).await, "{spoken}");
            !is_answered(running, &[refused]).await
        };
        fixture.check(&format!("{FILES}  {key}: {value}\n"), key, None, limited).await;
    }
}

#[tokio::test]
async fn suites_and_curves_are_limited() {
    let fixture = Fixture::new();
    let suites = "  cipher_suites:\n    - TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n";
    let limited = async |running: &Running| {
        assert!(is_answered(running, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"]).await);
        !is_answered(running, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]).await
    };
    fixture.check(&format!("{FILES}{suites}"), "cipher_suites", None, limited).await;
    let limited = async |running: &Running| {
        assert!(is_answered(running, &["-groups", "P-384"]).await);
        !is_answered(running, &["-groups", "X25519:P-256"]).await
    };
    fixture.check(&format!("{FILES}  curve_preferences: [CurveP384]\n"), "curve_preferences", None, limited).await;
}

#[tokio::test]
async fn the_clients_order_of_suites_counts_where_the_servers_is_not_preferred() {
    let fixture = Fixture::new();
    let suites = "  cipher_suites:\n    - TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n    - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n";
    let config = format!("{FILES}{suites}  prefer_server_cipher_suites: false\n");
    let clients_first = async |running: &Running| {
        let both = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
        let said = s_client(running.address, &["-tls1_2", "-cipher", both]).await;
        assert!(said.contains(ANSWERED), "{said}");
        said.lines().any(|line| line.contains("Cipher is") && line.contains("AES128"))
    };
    fixture.check(&config, "prefer_server_cipher_suites", None, clients_first).await;
}

#[tokio::test]
async fn http2_can_be_off() {
    let fixture = Fixture::new();
    let config = format!("{FILES}http_server_config:\n  http2: false\n");
    let is_http1 = async |running: &Running| {
        let answer = running.curl("/metrics", &[]).await.unwrap();
        assert_eq!(answer.status, 200);
        answer.version == "1.1"
    };
    fixture.check(&config, "http2", None, is_http1).await;
    let running = fixture.start(FILES).await.unwrap();
    assert_eq!(running.curl("/metrics", &[]).await.unwrap().version, "2");
}
