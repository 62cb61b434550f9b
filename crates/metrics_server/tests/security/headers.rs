//! `http_server_config.headers`.

use crate::fixture::Fixture;
use crate::running::Running;

const HEADERS: [(&str, &str); 5] = [
    ("Content-Security-Policy", "frame-ancestors 'self'"),
    ("X-Frame-Options", "deny"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "0"),
    ("Strict-Transport-Security", "max-age=31536000"),
];

#[tokio::test]
async fn each_header_is_on_every_answer() {
    let fixture = Fixture::new();
    let lines: String = HEADERS.iter().map(|(name, value)| format!("    {name}: \"{value}\"\n")).collect();
    let hash = crate::running::bcrypt("secret", 4);
    let config = format!("http_server_config:\n  headers:\n{lines}basic_auth_users:\n  alice: {hash}\n");
    for (name, value) in HEADERS {
        let shown = async |running: &Running| {
            let mut shown = 0;
            // Let through, let through without credentials, refused, not there.
            for (path, user, status) in [
                ("/metrics", "secret", 200),
                ("/health", "", 200),
                ("/metrics", "wrong", 401),
                ("/none", "secret", 404),
            ] {
                let answer = running.curl(path, &["-u", &format!("alice:{user}")]).await.unwrap();
                assert_eq!(answer.status, status, "{path}");
                shown += usize::from(answer.header(name) == Some(value));
            }
            assert!([0, 4].contains(&shown), "{name} on {shown} of 4");
            shown == 4
        };
        // The landing page has headers of its own, so it is not among them.
        fixture.check(&config, name, None, shown).await;
    }
}
