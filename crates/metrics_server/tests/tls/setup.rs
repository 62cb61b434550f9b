//! Certificates and keys as they come, and what is said of those that cannot be used.

use crate::certificates::{Authority, Identity, config, inline, stranger};
use crate::peers::{files, start, text};
use metrics_server::tls::server_config;
use metrics_server::web_config::{ClientAuth, Pem, TlsConfig, TlsVersion};
use rustls::{CipherSuite, NamedGroup};
use std::process::Command;

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(config: &TlsConfig, expected: &str) {
    let error = server_config(config, true).unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(error.to_string().contains(expected), "{error} without {expected:?}");
    for secret in [&config.key, &config.cert].into_iter().filter_map(|pem| match pem {
        Pem::Inline(secret) => Some(secret.expose()),
        Pem::File(_) => None,
    }) {
        let mut lines = secret.lines().filter(|line| line.len() > 8 && !line.starts_with("-----"));
        assert!(!lines.any(|line| said.contains(line)), "{said} tells of the key");
    }
}

#[tokio::test]
async fn keys_of_all_forms_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let key = text(&directory, "key.pem");
    let cert = text(&directory, "cert.pem");
    for (make, convert) in [
        (["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], Some(["rsa", "-traditional"])),
        (["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], None),
        (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], Some(["ec", "-no_public"])),
        (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], None),
        (["-algorithm", "ED25519", "-out", &key], None),
    ] {
        openssl(&[&["genpkey"], make.as_slice(), &["-out", &key]].concat());
        openssl(&["req", "-x509", "-new", "-key", &key, "-subj", "/CN=test", "-days", "2", "-out", &cert]);
        let mut identity =
            Identity { cert: std::fs::read_to_string(&cert).unwrap(), key: std::fs::read_to_string(&key).unwrap() };
        if let Some([kind, option]) = convert {
            let option = if kind == "rsa" { vec![option] } else { vec![] };
            identity.key = openssl(&[&[kind, "-in", &key], option.as_slice()].concat());
            assert!(
                identity.key.contains("-----BEGIN RSA PRIVATE KEY") || identity.key.contains("-----BEGIN EC PRIVATE")
            );
        }
        let running = start(&config(&identity), true).await;
        assert_eq!(running.curl(&["-k"]).await.unwrap(), "2 200", "{make:?}");
    }
}

#[tokio::test]
async fn files_are_read() {
    let directory = files(&Authority::new().server());
    let mut config = config(&stranger());
    config.cert = Pem::File(text(&directory, "cert.pem").into());
    config.key = Pem::File(text(&directory, "key.pem").into());
    let running = start(&config, true).await;
    assert_eq!(running.curl(&["-k"]).await.unwrap(), "2 200");
}

#[test]
fn what_is_wrong_with_certificate_and_key_is_said() {
    let good = Authority::new().server();
    let with = |cert: &str, key: &str| config(&Identity { cert: cert.to_owned(), key: key.to_owned() });
    fails(&with("", &good.key), "inline cert: no certificate in it");
    fails(&with(&good.key, &good.key), "inline cert: no certificate in it");
    fails(&with(&good.cert, ""), "inline key: no private key in it");
    fails(&with(&good.cert, &good.cert), "inline key: no private key in it");
    fails(
        &with(&good.cert, &stranger().key),
        "the private key of inline key does not belong to the certificate of inline",
    );
    fails(
        &with(&good.cert, &good.key.replace("-----END", "----END")),
        "inline key: not valid PEM: a section has no end",
    );
    fails(&with(&good.cert, &good.key.replacen('M', "!", 1)), "inline key: not valid PEM");
    let broken = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    fails(&with(&(good.cert.clone() + broken), &good.key), "inline cert: certificate number 2 is broken");
    let broken = "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n";
    fails(&with(&good.cert, broken), "inline key: the private key cannot be used");

    let directory = files(&good);
    let encrypt = ["pkey", "-aes128", "-passout", "pass:secret"];
    let key = text(&directory, "key.pem");
    fails(
        &with(&good.cert, &openssl(&[&encrypt[..], &["-in", &key]].concat())),
        "inline key: the private key is encrypted",
    );
    let legacy = openssl(&["ec", "-aes128", "-passout", "pass:secret", "-in", &key]);
    fails(&with(&good.cert, &legacy), "inline key: the private key is encrypted");

    let mut config = config(&good);
    let missing = text(&directory, "missing.pem");
    config.cert = Pem::File((&missing).into());
    fails(&config, &format!("cert {missing}: cannot be read: No such file or directory"));
    config.cert = Pem::File((&key).into());
    fails(&config, &format!("{key}: no certificate in it"));
}

#[test]
fn what_leaves_nothing_to_speak_is_said() {
    let mut config = config(&Authority::new().server());
    config.cipher_suites = vec![CipherSuite::TLS_RSA_WITH_AES_128_CBC_SHA];
    fails(&config, "cipher_suites holds no suite of TLS 1.2");
    config.cipher_suites.clear();
    config.curves = vec![NamedGroup::secp521r1];
    fails(&config, "curve_preferences holds no curve that is supported");
    config.curves.clear();
    (config.min_version, config.max_version) = (TlsVersion::Tls13, TlsVersion::Tls12);
    fails(&config, "min_version is above max_version");
}

#[test]
fn what_is_wrong_with_the_clients_authority_is_said() {
    let good = Authority::new().server();
    let with = |ca: Option<&str>| TlsConfig {
        client_auth: ClientAuth::RequireAndVerify,
        client_ca: ca.map(inline),
        ..config(&good)
    };
    fails(&with(None), "there is no client_ca_file");
    fails(&with(Some("")), "inline client_ca: no certificate in it");
    fails(&with(Some(&good.key)), "inline client_ca: no certificate in it");
    let broken = good.cert.clone() + "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    fails(&with(Some(&broken)), "inline client_ca: certificate number 2 is broken");
}
