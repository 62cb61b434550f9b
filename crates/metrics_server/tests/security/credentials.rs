//! `basic_auth_users`, `bearer_tokens_file`, `authenticate_health` and `rate_limit`.

use crate::fixture::Fixture;
use crate::running::{Running, bcrypt};

/// Of `password`; a test vector of the reference implementation.
const ARGON2: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
const PATHS: [&str; 6] = ["/", "/metrics", "/metrics?name[]=up", "/none", "/metrics/", "/health/"];

#[tokio::test]
async fn everything_but_health_needs_credentials() {
    let fixture = Fixture::new();
    for hash in [bcrypt("password", 4), ARGON2.to_owned()] {
        let config = format!("basic_auth_users:\n  alice: {hash}\n");
        let asks = async |running: &Running| {
            let mut refused = 0;
            for path in PATHS {
                let answer = running.curl(path, &["-g"]).await.unwrap();
                if answer.status == 401 {
                    assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "), "{answer:?}");
                    assert!(!answer.body.contains("metrics_server"), "{answer:?}");
                    refused += 1;
                }
            }
            for path in ["/health", "/ready"] {
                assert_eq!(running.status(path, &[]).await, 200, "{path}");
            }
            assert!([0, PATHS.len()].contains(&refused), "{refused} refused");
            refused > 0
        };
        fixture.check(&config, "basic_auth_users", None, asks).await;
        let running = fixture.start(&config).await.unwrap();
        let status = async |path, user| running.status(path, &["-u", user]).await;
        assert_eq!([status("/", "alice:password").await, status("/metrics", "alice:password").await], [200, 200]);
        assert_eq!(status("/none", "alice:password").await, 404);
        assert_eq!([status("/metrics", "alice:Password").await, status("/metrics", "bob:password").await], [401, 401]);
        assert_eq!(running.status("/metrics", &["-u", "alice:password", "-X", "POST"]).await, 405);
        assert_eq!(running.status("/metrics", &["-X", "POST"]).await, 401);
    }
}

#[tokio::test]
async fn a_user_who_is_not_there_is_not_let_in() {
    let fixture = Fixture::new();
    let config = format!("basic_auth_users:\n  alice: {}\n  bob: {ARGON2}\n", bcrypt("other", 4));
    for (user, password) in [("alice", "other"), ("bob", "password")] {
        let let_in =
            async |running: &Running| running.status("/metrics", &["-u", &format!("{user}:{password}")]).await == 200;
        fixture.check(&config, user, None, let_in).await;
    }
}

#[tokio::test]
async fn tokens_are_taken() {
    let fixture = Fixture::new();
    fixture.write("tokens", "0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210\n");
    let asks = async |running: &Running| {
        for token in ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"] {
            let header = format!("Authorization: Bearer {token}");
            assert_eq!(running.status("/metrics", &["-H", &header]).await, 200);
        }
        assert_eq!(running.status("/health", &[]).await, 200);
        let statuses = [
            running.status("/metrics", &["-H", "Authorization: Bearer 0123456789abcdef"]).await,
            running.status("/metrics", &[]).await,
        ];
        statuses == [401, 401]
    };
    fixture.check("bearer_tokens_file: tokens\n", "bearer_tokens_file", None, asks).await;
}

#[tokio::test]
async fn health_needs_credentials_where_that_is_written_down() {
    let fixture = Fixture::new();
    let config = format!("basic_auth_users:\n  alice: {}\nauthenticate_health: true\n", bcrypt("secret", 4));
    let asks = async |running: &Running| {
        let mut statuses = Vec::new();
        for path in ["/health", "/ready"] {
            assert_eq!(running.status(path, &["-u", "alice:secret"]).await, 200);
            statuses.push(running.status(path, &[]).await);
        }
        statuses == [401, 401]
    };
    fixture.check(&config, "authenticate_health", None, asks).await;
}

#[tokio::test]
async fn requests_are_limited() {
    let fixture = Fixture::new();
    let config = "rate_limit:\n  interval: 1h\n  burst: 2\n";
    let statuses = async |running: &Running| {
        [
            running.status("/metrics", &[]).await,
            running.status("/metrics", &[]).await,
            running.status("/metrics", &[]).await,
            running.status("/health", &[]).await,
        ]
    };
    let limited = async |running: &Running| statuses(running).await == [200, 200, 429, 200];
    for key in ["rate_limit", "interval", "burst"] {
        fixture.check(config, key, None, limited).await;
    }
    // Without `burst`: one at a time.
    let running = fixture.start("rate_limit:\n  interval: 1h\n").await.unwrap();
    assert_eq!(statuses(&running).await, [200, 429, 429, 200]);
    assert_eq!(running.metric("metrics_server_rate_limited_total"), 2.0);
}
