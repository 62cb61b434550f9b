//! What the example does with signals, and what it says.

use crate::fixture::Fixture;
use crate::program::Program;
use crate::running::bcrypt;

const LISTENS: &str = "metrics endpoint listens";
const REFUSED: &str = "the security configuration cannot be used";

/// Changes the web config and sees that the program says so.
pub(crate) async fn is_told(fixture: &Fixture, first: &str, next: &str, message: &str) {
    fixture.write("web-config.yml", first);
    let program = Program::start(fixture, "info", first.len());
    program.says(LISTENS).await;
    fixture.write("web-config.yml", next);
    program.says(message).await;
}

#[tokio::test]
async fn sighup_reloads_without_waiting_for_the_next_look() {
    let fixture = Fixture::new();
    let config = |password: &str| format!("basic_auth_users:\n  alice: {}\n", bcrypt(password, 4));
    fixture.write("web-config.yml", &config("first"));
    let mut program = Program::start(&fixture, "info", 0);
    program.says(LISTENS).await;
    assert_eq!(program.curl("/metrics", &["-u", "alice:first"]).await.status, 200);
    // What is the same is read again as well; only a signal does that.
    program.signal("-HUP").await;
    program.says("SIGHUP: reloading").await;
    program.says("the security configuration was reloaded").await;
    fixture.write("web-config.yml", &config("second"));
    program.signal("-HUP").await;
    let reloaded = "metrics_server_config_reloads_total{result=\"success\"} 2";
    let (deadline, mut answer) = (tokio::time::Instant::now() + crate::client::DEADLINE, String::new());
    while !answer.contains(reloaded) {
        answer = program.curl("/metrics", &["-u", "alice:second"]).await.body;
        assert!(tokio::time::Instant::now() < deadline, "{answer}");
    }
    assert_eq!(program.curl("/metrics", &["-u", "alice:first"]).await.status, 401);
    program.signal("-INT").await;
    assert!(program.ended().await);
}

#[tokio::test]
async fn nothing_secret_is_said() {
    let fixture = Fixture::new();
    let hash = bcrypt("right-password", 4);
    let token = "0123456789abcdef-token-of-a-test";
    fixture.write("tokens", token);
    let tls = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
    let good = format!("{tls}basic_auth_users:\n  alice: {hash}\nbearer_tokens_file: tokens\n");
    fixture.write("web-config.yml", &good);
    let mut program = Program::start(&fixture, "trace", 0);
    program.says(LISTENS).await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    for (arguments, status) in [
        (["-u", "alice:right-password"], 200),
        (["-u", "alice:wrong-password"], 401),
        (["-u", "nobody:wrong-password"], 401),
        (["-H", &bearer(token)], 200),
        (["-H", &bearer("another-wrong-token")], 401),
        (["-H", "Authorization: Basic wrong-password"], 401),
        (["-H", "Authorization: wrong-password"], 401),
    ] {
        assert_eq!(program.curl("/metrics", &arguments).await.status, status, "{arguments:?}");
    }
    // Each mistake has a secret in its line.
    let bad = [
        format!("{tls}basic_auth_users:\n  alice: {}\n", &hash[..hash.len() - 1]),
        format!("{tls}basic_auth_users: {hash}\n"),
        format!("{tls}bearer_tokens_file: tokens\nrate_limit: {token}\n"),
        format!("{tls}  min_version: {token}\n"),
        format!("{tls}basic_auth_users:\n  alice: right-password\n"),
        format!("{good}{hash}\n"),
    ];
    for (number, config) in bad.iter().enumerate() {
        fixture.write("web-config.yml", config);
        program.signal("-HUP").await;
        let (deadline, mut count) = (tokio::time::Instant::now() + crate::client::DEADLINE, 0);
        while count <= number {
            count = program.output().matches(REFUSED).count();
            assert!(tokio::time::Instant::now() < deadline, "{config} in {}", program.output());
            tokio::task::yield_now().await;
        }
    }
    fixture.write("web-config.yml", &good);
    fixture.write("tokens", "short-token\n");
    program.signal("-HUP").await;
    program.says("tokens:1:").await;
    fixture.write("tokens", token);
    fixture.write("key.pem", &fixture.server.key.replace("-----END", "----END"));
    program.signal("-HUP").await;
    program.says("key.pem").await;
    program.signal("-INT").await;
    assert!(program.ended().await);

    let output = program.output();
    assert!(output.contains("TRACE"), "nothing is traced: {output}");
    let key = fixture.server.key.lines().filter(|line| !line.starts_with("-----"));
    let encoded = ["right-password", "wrong-password"].map(|password| {
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("alice:{password}"))
    });
    let secrets =
        ["right-password", "wrong-password", "another-wrong-token", "short-token", token, &hash[..], &hash[30..50]];
    for secret in secrets.into_iter().chain(encoded.iter().map(String::as_str)).chain(key) {
        let line = output.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is shown");
    }
}
