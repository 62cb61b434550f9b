//! `web-config.yml`: every key in a file that is right and in files that are wrong.
//!
//! The first line of a file in `bad` says what its error must contain. Of a file in `good` every key is removed once,
//! and what is loaded then must be another configuration, or none: a key that is read and forgotten fails here.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

use metrics_server::web_config::{Pem, WebConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures(kind: &str) -> BTreeMap<String, PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_config").join(kind);
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

/// All that a configuration says, secrets included, which its `Debug` rightly leaves out; paths without `directory`.
fn describe(config: &WebConfig, directory: &Path) -> String {
    let mut lines = Vec::new();
    let pem = |name: &str, pem: &Pem| match pem {
        Pem::File(path) => format!("{name} file {}", path.strip_prefix(directory).unwrap_or(path).display()),
        Pem::Inline(text) => format!("{name} {}", text.expose().lines().nth(1).unwrap_or("?")),
    };
    if let Some(tls) = &config.tls {
        lines.push(pem("cert", &tls.cert));
        lines.push(pem("key", &tls.key));
        lines.extend(tls.client_ca.as_ref().map(|ca| pem("ca", ca)));
        lines.push(format!(
            "{:?} {:?} {:?}-{:?}",
            tls.client_auth, tls.client_allowed_sans, tls.min_version, tls.max_version
        ));
        lines.push(format!("{:?} {:?} {}", tls.cipher_suites, tls.curves, tls.prefer_server_cipher_suites));
    }
    lines.extend(config.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    lines.extend(config.basic_auth_users.iter().map(|(name, hash)| format!("{name} {}", &hash.expose()[..8])));
    let tokens = config.bearer_tokens_file.iter();
    lines.extend(tokens.map(|path| format!("tokens {}", path.strip_prefix(directory).unwrap().display())));
    lines.extend(config.rate_limit.map(|limit| format!("{:?} {}", limit.interval, limit.burst)));
    lines.push(format!("http2 {} health {}", config.http2, config.authenticate_health));
    lines.join("\n")
}

fn load(text: &str) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web-config.yml");
    fs::write(&path, text).unwrap();
    let config = WebConfig::load(&path).map_err(|error| error.to_string())?;
    Ok(describe(&config, directory.path()))
}

const PLAIN: &str = "http2 false health false";
const TLS_FILES: &str = "cert file server.crt\nkey file server.key\n";
const TLS_DEFAULT: &str = "[] [] true\nhttp2 true health false";

fn expected(name: &str) -> String {
    let tls = |middle: &str| format!("{TLS_FILES}{middle}\n{TLS_DEFAULT}");
    let suites = |versions: &str, rest: &str| format!("{TLS_FILES}None [] {versions}\n{rest}\nhttp2 true health false");
    match name {
        "empty" | "comments_only" | "null_values" | "empty_tls" | "rate_limit_off" => PLAIN.to_owned(),
        "cert_file" => tls("None [] Tls12-Tls13"),
        "cert_inline" => format!("cert c2VjcmV0LWNlcnQ=\nkey c2VjcmV0LWtleQ==\nNone [] Tls12-Tls13\n{TLS_DEFAULT}"),
        "client_ca_inline" => tls("ca c2VjcmV0LWNh\nVerifyIfGiven [] Tls12-Tls13"),
        "client_ca_file" => tls("ca file /etc/ca.crt\nRequireAndVerify [] Tls12-Tls13"),
        "file_wins" => tls("ca file ca.crt\nRequireAndVerify [] Tls12-Tls13"),
        "client_auth_request" => tls("Request [] Tls12-Tls13"),
        "client_auth_any" | "client_auth_alias" => tls("RequireAny [] Tls12-Tls13"),
        "client_allowed_sans" => {
            tls("ca file ca.crt\nRequireAndVerify [\"prometheus.example.org\", \"10.0.0.1\"] Tls12-Tls13")
        }
        "min_version" => tls("None [] Tls13-Tls13"),
        "max_version" => tls("None [] Tls12-Tls12"),
        "cipher_suites" => suites(
            "Tls12-Tls13",
            "[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256] [] true",
        ),
        "cipher_suites_of_tls13" => suites("Tls13-Tls13", "[] [] true"),
        "prefer_server_cipher_suites" => suites("Tls12-Tls13", "[] [] false"),
        "curve_preferences" => suites("Tls12-Tls13", "[] [secp384r1, X25519, secp256r1] true"),
        "http2" => tls("None [] Tls12-Tls13").replace("http2 true", "http2 false"),
        "headers" => format!(
            "content-security-policy: default-src 'none'\nx-frame-options: DENY\nx-content-type-options: nosniff\n\
             x-xss-protection: 1; mode=block\nstrict-transport-security: max-age=31536000\n{PLAIN}"
        ),
        "basic_auth_users" => format!("alice $2a$05$C\nbob $2b$05$C\ncarol $2y$05$C\ndora $argon2i\n{PLAIN}"),
        "rate_limit" => format!("100ms 20\n{PLAIN}"),
        "bearer_tokens_file" => format!("tokens tokens.txt\n{PLAIN}"),
        "authenticate_health" => "alice $2a$05$C\nhttp2 false health true".to_owned(),
        other => panic!("good/{other}.yml: nothing says what it means"),
    }
}

#[test]
fn good_files_mean_what_they_say() {
    for (name, path) in fixtures("good") {
        let loaded = load(&fs::read_to_string(path).unwrap());
        assert_eq!(loaded.as_deref(), Ok(expected(&name).as_str()), "good/{name}.yml");
    }
}

/// The file without the key in `line` and all that stands under it.
fn without(lines: &[&str], line: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let under = lines[line + 1..].iter().take_while(|under| indent(under) > indent(lines[line])).count();
    [&lines[..line], &lines[line + 1 + under..]].concat().join("\n")
}

#[test]
fn every_key_of_a_good_file_matters() {
    // The file wins over the text beside it, so the text does not count; the others say nothing on purpose.
    let idle = BTreeSet::from([
        "file_wins: cert",
        "file_wins: key",
        "file_wins: client_ca",
        "null_values: tls_server_config",
        "null_values: http_server_config",
        "null_values: headers",
        "null_values: basic_auth_users",
        "null_values: rate_limit",
        "empty_tls: tls_server_config",
        "rate_limit_off: rate_limit",
        "rate_limit_off: interval",
        "rate_limit_off: burst",
    ]);
    let mut removed = BTreeSet::new();
    for (name, path) in fixtures("good") {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some((key, _)) = line.trim().split_once(':').filter(|(key, _)| !key.contains(['#', '-', ' '])) else {
                continue;
            };
            removed.insert(key.to_owned());
            let remaining = load(&without(&lines, number));
            let is_idle = idle.contains(format!("{name}: {key}").as_str());
            assert_eq!(remaining.as_deref() == Ok(&expected(&name)), is_idle, "good/{name}.yml without {key}");
        }
    }
    let documented = [
        "tls_server_config",
        "cert",
        "cert_file",
        "key",
        "key_file",
        "client_ca",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "prefer_server_cipher_suites",
        "curve_preferences",
        "http_server_config",
        "http2",
        "headers",
        "basic_auth_users",
        "rate_limit",
        "interval",
        "burst",
        "bearer_tokens_file",
        "authenticate_health",
    ];
    let missing: Vec<_> = documented.iter().filter(|key| !removed.contains(**key)).collect();
    assert!(missing.is_empty(), "no good file has {missing:?}");
}

#[test]
fn bad_files_say_what_is_wrong_and_show_no_secret() {
    for (name, path) in fixtures("bad") {
        let text = fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).unwrap();
        let message = match WebConfig::load(&path) {
            Err(error) => error.to_string(),
            Ok(config) => panic!("bad/{name}.yml was taken: {config:?}"),
        };
        assert!(message.contains(expected), "bad/{name}.yml\nexpected {expected}\n     got {message}");
        assert!(message.starts_with(&format!("{}:", path.display())), "{message}");
        for secret in ["CCCC", "hunter2", "nf65EOg"] {
            assert!(!message.contains(secret), "bad/{name}.yml: {message}");
        }
    }
}

#[test]
fn no_broken_file_shows_its_secrets() {
    let secret = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let key = "tls_server_config:\n  cert_file: a\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    CCCCCCCCCCCC\n";
    let whole = format!("{key}basic_auth_users:\n  alice: {secret}\n  bob: \"{secret}\"\n");
    let mut errors = 0;
    let mut check = |text: &str| {
        if let Err(message) = load(text) {
            errors += 1;
            assert!(!message.contains("CCCCC") && !message.contains("E5YPO"), "{text}\n{message}");
        }
    };
    for (at, _) in whole.char_indices() {
        check(&whole[..at]);
        for insert in [":", "\"", "{", "\t", "\n", "- ", "&", "*", "!", "%", "}", "- "] {
            check(&format!("{}{insert}{}", &whole[..at], &whole[at..]));
        }
    }
    assert!(errors > 1000, "only {errors} of the texts were refused");
}

#[test]
fn a_missing_file_is_named() {
    let message = WebConfig::load("/nowhere/web-config.yml").unwrap_err().to_string();
    assert_eq!(message, "cannot read /nowhere/web-config.yml: No such file or directory (os error 2)");
}

#[test]
fn an_endless_file_is_refused() {
    assert!(WebConfig::load("/dev/zero").unwrap_err().to_string().contains("not a regular file"));
    let long = format!("# {}\n", "a".repeat(2 << 20));
    assert!(load(&long).unwrap_err().contains("longer than 1048576 bytes"));
}

#[test]
fn all_files_that_a_configuration_names_are_listed() {
    let text = "tls_server_config:\n  cert_file: a\n  key_file: b\n  client_ca_file: c\n  \
                client_auth_type: RequireAndVerifyClientCert\nbearer_tokens_file: d\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web-config.yml");
    fs::write(&path, text).unwrap();
    let config = WebConfig::load(&path).unwrap();
    assert_eq!(config.files(), ["a", "b", "c", "d"].map(|name| directory.path().join(name)));
}

#[test]
fn a_configuration_shows_no_secrets() {
    for path in fixtures("good").into_values() {
        let shown = format!("{:?}", WebConfig::load(&path).unwrap());
        for secret in ["$2a$", "argon2id$", "CCCCC", "c2VjcmV0", "BEGIN"] {
            assert!(!shown.contains(secret), "{}: {shown}", path.display());
        }
    }
}
