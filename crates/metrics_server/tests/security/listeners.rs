//! Listeners that are not encrypted still ask for credentials.

use crate::fixture::Fixture;
use crate::running::{bcrypt, curl, start_with, written};
use metrics_server::{Limits, Registry};

#[tokio::test]
async fn a_plain_listener_and_a_unix_socket_beside_tls_ask_for_credentials() {
    let fixture = Fixture::new();
    let tls = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
    let config = format!("{tls}basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    let sockets = ["plain.sock", "tls.sock"].map(|name| fixture.path(name));
    let addresses = [format!("unix:{},plain", sockets[0]), format!("unix:{}", sockets[1])];
    let addresses = addresses.map(|address| address.parse().unwrap());
    let source = written(fixture.directory.path(), &config);
    let running = start_with(source, Registry::new(), Limits::default(), &addresses).await.unwrap();
    for (url, socket) in [
        (format!("https://{}", running.address), None),
        (format!("http://{}", running.plain), None),
        ("http://localhost".to_owned(), Some(&sockets[0])),
        ("https://localhost".to_owned(), Some(&sockets[1])),
    ] {
        let ca = fixture.path("ca.pem");
        let mut arguments = vec!["--cacert", ca.as_str()];
        arguments.extend(socket.iter().flat_map(|socket| ["--unix-socket", socket.as_str()]));
        for (path, user, status) in [
            ("/metrics", None, 401),
            ("/metrics", Some("alice:wrong"), 401),
            ("/metrics", Some("alice:secret"), 200),
            ("/none", None, 401),
            ("/health", None, 200),
        ] {
            let user = user.iter().flat_map(|user| ["-u", user]);
            let arguments: Vec<&str> = arguments.iter().copied().chain(user).collect();
            let answer = curl(&format!("{url}{path}"), &arguments).await.unwrap();
            assert_eq!(answer.status, status, "{url}{path} {arguments:?}");
        }
    }
    // Neither speaks what it was not told to.
    curl(&format!("http://{}/health", running.address), &[]).await.unwrap_err();
    curl(&format!("https://{}/health", running.plain), &["-k"]).await.unwrap_err();
}
