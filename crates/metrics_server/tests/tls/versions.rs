//! Versions, suites and curves as configured, as foreign TLS libraries find them.

use crate::certificates::{Authority, config};
use crate::client::{eventually, get};
use crate::peers::start;
use metrics_server::web_config::TlsVersion;
use rustls::{CipherSuite, NamedGroup};
use std::io::Write as _;

const ANSWERED: &str = "HTTP/1.1 200 OK";

#[tokio::test]
async fn both_versions_are_spoken_and_http_1_without_alpn() {
    let running = start(&config(&Authority::new().server()), true).await;
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = running.s_client(&[version]).await;
        assert!(said.contains(ANSWERED) && said.contains(name), "{said}");
    }
    let said = running.s_client(&["-tls1_1"]).await;
    assert!(!said.contains(ANSWERED), "{said}");
    // Beside it, on the listener that is marked so.
    assert_eq!(get(running.plain, "/health").await.status, 200);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_over_http_2_either() {
    let running = start(&config(&Authority::new().server()), true).await;
    // curl ends with an error if it gets one.
    assert_eq!(running.curl(&["-k", "--head"]).await.unwrap(), "2 200");
    assert_eq!(running.curl(&["-k", "--head", "--http1.1"]).await.unwrap(), "1.1 200");
}

#[tokio::test]
async fn versions_outside_the_range_are_refused_and_counted() {
    let mut config = config(&Authority::new().server());
    config.min_version = TlsVersion::Tls13;
    let running = start(&config, true).await;
    let said = running.s_client(&["-tls1_2"]).await;
    assert!(!said.contains(ANSWERED) && said.contains("alert protocol version"), "{said}");
    let refused = || running.metric("metrics_server_tls_handshake_errors_total{reason=\"protocol\"}");
    eventually(1.0, refused).await;
    assert!(running.s_client(&["-tls1_3"]).await.contains(ANSWERED));

    config.min_version = TlsVersion::Tls12;
    config.max_version = TlsVersion::Tls12;
    let running = start(&config, true).await;
    assert!(!running.s_client(&["-tls1_3"]).await.contains(ANSWERED));
    assert!(running.s_client(&["-tls1_2"]).await.contains(ANSWERED));
}

#[tokio::test]
async fn a_single_suite_is_the_only_one() {
    let mut config = config(&Authority::new().server());
    config.cipher_suites = vec![CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384];
    let running = start(&config, true).await;
    let said = running.s_client(&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]).await;
    assert!(!said.contains(ANSWERED), "{said}");
    let said = running.s_client(&["-tls1_2"]).await;
    assert!(said.contains(ANSWERED) && said.contains("ECDHE-ECDSA-AES256-GCM-SHA384"), "{said}");
    assert!(running.s_client(&["-tls1_3"]).await.contains(ANSWERED), "suites of TLS 1.3 are not chosen");
}

#[tokio::test]
async fn the_order_of_suites_is_the_one_of_the_side_that_is_preferred() {
    let both = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
    for (prefer_server, chosen) in [(true, "AES256"), (false, "AES128")] {
        let mut config = config(&Authority::new().server());
        config.prefer_server_cipher_suites = prefer_server;
        config.cipher_suites = vec![
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ];
        let running = start(&config, true).await;
        let said = running.s_client(&["-tls1_2", "-cipher", both]).await;
        let cipher = said.lines().find(|line| line.contains("Cipher is")).unwrap();
        assert!(cipher.contains(chosen), "{cipher}");
    }
}

#[tokio::test]
async fn a_single_curve_is_the_only_one() {
    let mut config = config(&Authority::new().server());
    config.curves = vec![NamedGroup::secp384r1];
    let running = start(&config, true).await;
    assert!(!running.s_client(&["-groups", "X25519:P-256"]).await.contains(ANSWERED));
    let said = running.s_client(&["-groups", "X25519:P-384"]).await;
    assert!(said.contains(ANSWERED) && said.contains("secp384r1"), "{said}");
}

#[tokio::test]
async fn http2_is_chosen_by_alpn_and_can_be_off() {
    let authority = Authority::new();
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(authority.pem().as_bytes()).unwrap();
    let ca = ca.path().to_str().unwrap();
    let running = start(&config(&authority.server()), true).await;
    assert_eq!(running.curl(&["--cacert", ca]).await.unwrap(), "2 200");
    assert_eq!(running.curl(&["--cacert", ca, "--http1.1"]).await.unwrap(), "1.1 200");
    assert_eq!(running.curl(&["--cacert", ca, "--no-alpn"]).await.unwrap(), "1.1 200");
    running.curl(&[]).await.unwrap_err();
    let running = start(&config(&authority.server()), false).await;
    assert_eq!(running.curl(&["--cacert", ca]).await.unwrap(), "1.1 200");
}
