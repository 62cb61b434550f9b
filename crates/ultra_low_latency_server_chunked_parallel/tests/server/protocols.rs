//! The data port over TLS, HTTP/2 and unix sockets, with tokens and origins, as curl and openssl find it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use tempfile::TempDir;
use ultra_low_latency_server_chunked_parallel::{Config, DataTls, Limits};

use crate::{
    DAY,
    client::{connect, receive, request},
    running::{Running, config},
    wait_until,
    written::{quotes, seal_btc, write_btc, write_large_day},
};

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).env("no_proxy", "*").output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The answer's version and status, then its body.
fn curl(arguments: &[&str]) -> (String, Vec<u8>) {
    let body = TempDir::new().unwrap();
    let file = body.path().join("body");
    let common = ["-s", "--max-time", "30", "-w", "%{http_version} %{http_code}", "-o", file.to_str().unwrap()];
    let said = output("curl", &[&common, arguments].concat());
    (String::from_utf8(said).unwrap(), fs::read(file).unwrap_or_default())
}

fn target(columns: &str) -> String {
    format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns={columns}")
}

/// A data directory with a large day, and beside it what a server may be given.
fn recorded() -> TempDir {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 500_000);
    root
}

/// Makes a key and a certificate for `localhost` with this name.
fn certificate(directory: &Path, name: &str, key: &[&str]) -> (String, String) {
    let [key_path, cert_path] = ["key", "cert"].map(|kind| directory.join(kind).to_str().unwrap().to_owned());
    output("openssl", &[&["genpkey", "-out", &key_path], key].concat());
    let subject = format!("/CN={name}");
    let names = "subjectAltName=DNS:localhost";
    let request = ["req", "-x509", "-new", "-key", &key_path, "-subj", &subject, "-days", "2", "-addext", names];
    output("openssl", &[&request[..], &["-out", &cert_path]].concat());
    (cert_path, key_path)
}

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn over_tls(root: &Path, cert: &str, key: &str) -> Running {
    Running::with_config(Config { tls: DataTls::Files { cert: cert.into(), key: key.into() }, ..config(root) })
}

#[test]
fn tls_speaks_http_2_and_1_1_with_keys_of_all_forms() {
    let (root, files) = (recorded(), TempDir::new().unwrap());
    let plain = Running::start(root.path());
    let expected = request(plain.data, "GET", &target("time,price")).expect(200).body;
    for form in ["pkcs8", "sec1", "pkcs1"] {
        let algorithm =
            if form == "pkcs1" { &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..] } else { P256 };
        let (cert, key) = certificate(files.path(), "test", algorithm);
        match form {
            "sec1" => drop(output("openssl", &["ec", "-in", &key, "-out", &key])),
            "pkcs1" => drop(output("openssl", &["rsa", "-traditional", "-in", &key, "-out", &key])),
            _ => {}
        }
        let server = over_tls(root.path(), &cert, &key);
        let url = format!("https://localhost:{}{}", server.data.port(), target("time,price"));
        let resolve = format!("localhost:{}:127.0.0.1", server.data.port());
        for (version, options) in
            [("2", &["--http2"][..]), ("1.1", &["--http1.1"]), ("1.1", &["--no-alpn"]), ("2", &["--tls-max", "1.2"])]
        {
            let trusted = ["--cacert", &cert, "--resolve", &resolve, &url];
            let (said, body) = curl(&[options, &trusted].concat());
            assert_eq!(said, format!("{version} 200"), "{form} {options:?}");
            assert!(body == expected, "{form} {options:?}");
        }
        // curl ends with an error if an answer to HEAD has a body.
        assert_eq!(curl(&["-k", "--head", &url]).0, "2 200");
        let open =
            |protocol| server.sample(&format!("gpu_charts_server_concurrent_connections{{protocol=\"{protocol}\"}}"));
        wait_until("all connections are closed", || open("h2") + open("http/1.1") == 0.0);
    }
}

#[test]
fn a_certificate_made_at_the_start_serves() {
    let root = recorded();
    let server = Running::with_config(Config { tls: DataTls::SelfSigned, ..config(root.path()) });
    let url = format!("https://127.0.0.1:{}{}", server.data.port(), target("time"));
    assert_eq!(curl(&["-k", &url]).0, "2 200");
    // It is not plain HTTP in disguise.
    let mut stream = connect(server.data);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    _ = stream.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    let failed = || server.sample("gpu_charts_server_tls_handshake_errors_total{reason=\"protocol\"}");
    wait_until("the handshake is counted", || failed() == 1.0);
}

#[test]
fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let (root, files) = (recorded(), TempDir::new().unwrap());
    let (cert, key) = certificate(files.path(), "first", P256);
    let server = over_tls(root.path(), &cert, &key);
    let connect = format!("127.0.0.1:{}", server.data.port());
    let subject = || {
        let shown = Command::new("sh")
            .args([
                "-c",
                &format!("echo | openssl s_client -connect {connect} 2>/dev/null | openssl x509 -noout -subject"),
            ])
            .output()
            .unwrap();
        String::from_utf8(shown.stdout).unwrap()
    };
    assert!(subject().contains("first"), "{}", subject());
    certificate(files.path(), "second", P256);
    wait_until("the new one is shown", || subject().contains("second"));
    fs::write(&cert, "no certificate").unwrap();
    let failures = || server.sample("gpu_charts_server_data_config_reloads_total{result=\"failure\"}");
    wait_until("the broken one is refused", || failures() >= 1.0);
    assert!(subject().contains("second"), "{}", subject());
}

#[test]
fn http_2_without_tls_and_many_streams_of_it() {
    let root = recorded();
    let server = Running::start(root.path());
    let base = format!("http://127.0.0.1:{}", server.data.port());
    let url = format!("{base}{}", target("time,price"));
    let expected = request(server.data, "GET", &target("time,price")).expect(200).body;
    let (said, body) = curl(&["--http2-prior-knowledge", &url]);
    assert_eq!(said, "2 200");
    assert!(body == expected);
    // Asked to upgrade, it may stay with HTTP/1.1.
    assert!(curl(&["--http2", &url]).0.ends_with(" 200"));
}

#[test]
fn large_answers_come_whole_however_little_room_they_have() {
    let root = recorded();
    let little = Limits { answer_bytes: 1, ..Limits::default() };
    let (roomy, cramped) = (Running::start(root.path()), Running::with_limits(root.path(), little));
    for format in ["", "&format=arrow", "&format=csv"] {
        let target = target("time,price") + format;
        let expected = request(roomy.data, "GET", &target).expect(200).body;
        assert!(request(cramped.data, "GET", &target).expect(200).body == expected, "{format}");
        let (said, body) = curl(&["--http2-prior-knowledge", &format!("http://{}{target}", cramped.data)]);
        assert_eq!(said, "2 200", "{format}");
        assert!(body == expected, "{format}");
    }
}

#[test]
fn an_answer_that_the_client_has_serves_no_bytes() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    seal_btc(root.path(), "18.11.26");
    let server = Running::start(root.path());
    let url = format!("http://{}{}", server.data, target("time"));
    let served = || server.sample("gpu_charts_server_data_bytes_served_total{symbol=\"BTC-USD\",type=\"MD\"}");
    let (said, body) = curl(&["--http2-prior-knowledge", &url]);
    assert_eq!((said.as_str(), served()), ("2 200", body.len() as f64));
    let etag = request(server.data, "HEAD", &target("time")).expect(200).header("etag").unwrap().to_owned();
    let (said, none) = curl(&["--http2-prior-knowledge", "-H", &format!("If-None-Match: {etag}"), &url]);
    assert_eq!((said.as_str(), none.len(), served()), ("2 304", 0, body.len() as f64));
}

#[test]
fn many_streams_of_one_connection() {
    let root = recorded();
    let plain = Running::start(root.path());
    let expected = request(plain.data, "GET", &target("time,price")).expect(200).body;
    let server = Running::with_config(Config { tls: DataTls::SelfSigned, ..config(root.path()) });
    let url = format!("https://127.0.0.1:{}{}", server.data.port(), target("time,price"));
    let options =
        ["-s", "-k", "--http2", "--parallel", "--parallel-max", "40", "-w", "%{http_code} ", "--max-time", "60"];
    let said = output("curl", &[&options[..], &[url.as_str(); 40]].concat());
    assert_eq!(said.len(), 40 * (expected.len() + 4));
}

#[test]
fn a_unix_socket_serves_as_a_port_does() {
    let (root, directory) = (recorded(), TempDir::new().unwrap());
    let path = directory.path().join("data.sock");
    let listen = vec![format!("unix:{}", path.display()).parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    let server = Running::with_config(Config { listen, ..config(root.path()) });
    for columns in ["time", "time,price"] {
        let expected = request(server.data, "GET", &target(columns)).expect(200).body;
        let mut stream = UnixStream::connect(&path).unwrap();
        for _ in 0..2 {
            stream.write_all(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(columns)).as_bytes()).unwrap();
            assert!(receive(&mut stream, false).unwrap().expect(200).body == expected, "{columns}");
        }
        stream.write_all(b"GET /api/symbols HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(receive(&mut stream, false).unwrap().expect(200).text().contains("BTC-USD"));
    }
}

#[test]
fn without_a_token_there_is_no_data() {
    let (root, files) = (recorded(), TempDir::new().unwrap());
    let tokens = files.path().join("tokens");
    fs::write(&tokens, "a-token-of-some-length-0123456789\n").unwrap();
    let server = Running::with_config(Config { bearer_tokens_file: Some(tokens), ..config(root.path()) });
    let ask = |method: &str, lines: &str| {
        let mut stream = connect(server.data);
        stream.write_all(format!("{method} {} HTTP/1.1\r\nHost: a\r\n{lines}\r\n", target("time")).as_bytes()).unwrap();
        receive(&mut stream, method == "HEAD").unwrap()
    };
    let refused = ask("GET", "").expect(401);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "pages may read why");
    ask("GET", "Authorization: Bearer another\r\n").expect(401);
    assert_eq!(
        ask("GET", "Authorization: Bearer a-token-of-some-length-0123456789\r\n").expect(200).u32s().len(),
        500_000
    );
    // Browsers ask without it whether they may send it.
    let preflight = ask("OPTIONS", "Origin: http://a\r\nAccess-Control-Request-Headers: authorization\r\n").expect(200);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    assert_eq!(server.sample("gpu_charts_server_data_auth_failures_total{reason=\"missing\"}"), 1.0);
}

#[test]
fn only_named_sites_may_read() {
    let root = recorded();
    let cors_origins = vec!["https://charts.example".to_owned()];
    let server = Running::with_config(Config { cors_origins, ..config(root.path()) });
    for path in ["/api/symbols", &target("time")] {
        for (origin, allowed) in
            [("https://charts.example", Some("https://charts.example")), ("https://evil.example", None)]
        {
            for method in ["GET", "OPTIONS"] {
                let mut stream = connect(server.data);
                stream
                    .write_all(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n").as_bytes())
                    .unwrap();
                let answer = receive(&mut stream, false).unwrap().expect(200);
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{method} {path} {origin}");
                assert_eq!(answer.header("vary"), Some("origin"));
            }
        }
        let answer = server.get(path).expect(200);
        assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (None, Some("origin")));
    }
}
