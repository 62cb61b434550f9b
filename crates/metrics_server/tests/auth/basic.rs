//! Users and passwords.

use crate::tried::{Tried, bcrypt};
use tokio::task::JoinSet;

const PEER: &str = "192.0.2.1";
const ARGON2: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn users(users: &[(&str, &str)]) -> String {
    let lines = users.iter().map(|(user, password)| format!("  {user}: {}\n", bcrypt(password, 4)));
    format!("basic_auth_users:\n{}", lines.collect::<String>())
}

#[tokio::test]
async fn without_users_everybody_comes_in() {
    let tried = Tried::new("");
    let answer = tried.get("/metrics").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "inner"));
}

#[tokio::test]
async fn with_users_only_they_come_in() {
    let tried = Tried::new(&(users(&[("alice", "secret")]) + "  dora: " + ARGON2));
    for path in ["/metrics", "/", "/health/x", "/readyz", "//health"] {
        let answer = tried.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (401, "credentials needed\n"), "{path}");
        assert_eq!(answer.challenges, ["Basic realm=\"gpu-charts\", charset=\"UTF-8\""]);
    }
    assert_eq!(tried.failures("missing"), 5.0);
    for path in ["/health", "/ready"] {
        assert_eq!(tried.get(path).await.status.as_u16(), 200, "{path}");
    }
    assert_eq!(tried.basic(PEER, "alice", "secret").await, 200);
    assert_eq!(tried.basic(PEER, "dora", "password").await, 200);
    for (user, password) in [("alice", "Secret"), ("alice", ""), ("dora", "secret"), ("bob", "secret"), ("", "")] {
        assert_eq!(tried.basic(PEER, user, password).await, 401, "{user} {password}");
    }
    assert_eq!(tried.failures("wrong"), 5.0);
    for value in ["Basic", "Basic ?", "Digest username=\"alice\"", "alice:secret"] {
        let answer = tried.authorized(value).await;
        assert_eq!((answer.status.as_u16(), answer.challenges.len()), (401, 1), "{value}");
    }
    assert_eq!(tried.authorized("Bearer secret").await.status.as_u16(), 401);
    assert_eq!(tried.failures("malformed"), 4.0);
}

#[tokio::test]
async fn health_is_authenticated_when_asked_for() {
    let tried = Tried::new(&(users(&[("alice", "secret")]) + "authenticate_health: true\n"));
    for path in ["/health", "/ready"] {
        assert_eq!(tried.get(path).await.status.as_u16(), 401, "{path}");
    }
}

#[tokio::test]
async fn a_verdict_is_reached_once() {
    let tried = Tried::new(&users(&[("alice", "secret")]));
    for _ in 0..20 {
        assert_eq!(tried.basic(PEER, "alice", "secret").await, 200);
    }
    assert_eq!(tried.hashes(), [1.0, 0.0, 0.0]);
    for _ in 0..3 {
        assert_eq!(tried.basic(PEER, "alice", "wrong").await, 401);
    }
    assert_eq!(tried.hashes(), [1.0, 1.0, 0.0]);
    assert_eq!(tried.metric("metrics_server_auth_pinned_credentials"), 1.0);
    assert_eq!(tried.metric("metrics_server_auth_rejected_credentials"), 1.0);
    assert_eq!(tried.metric("metrics_server_auth_failing_peers"), 1.0);
}

#[tokio::test]
async fn an_unknown_user_costs_what_a_known_one_does() {
    let tried = Tried::new(&users(&[("alice", "secret")]));
    for (number, (user, password)) in [("eve", "secret"), ("eve", "other"), ("", "x")].into_iter().enumerate() {
        assert_eq!(tried.basic(PEER, user, password).await, 401);
        assert_eq!(tried.hashes(), [0.0, 0.0, number as f64 + 1.0]);
    }
    assert_eq!(tried.basic(PEER, "eve", "other").await, 401);
    assert_eq!(tried.hashes(), [0.0, 0.0, 3.0], "remembered like that of a known user");
}

#[tokio::test]
async fn what_is_known_ends_with_the_hash() {
    let tried = Tried::new(&users(&[("alice", "one"), ("bob", "two")]));
    for (user, password, status) in [("alice", "one", 200), ("bob", "two", 200), ("alice", "new", 401)] {
        assert_eq!(tried.basic(PEER, user, password).await, status);
    }
    assert_eq!(tried.hashes(), [2.0, 1.0, 0.0]);
    tried.apply(&users(&[("alice", "new"), ("bob", "two")]));
    assert_eq!(tried.metric("metrics_server_auth_pinned_credentials"), 1.0);
    assert_eq!(tried.basic(PEER, "bob", "two").await, 200);
    assert_eq!(tried.hashes(), [2.0, 1.0, 0.0], "bob is known still");
    assert_eq!(tried.basic(PEER, "alice", "one").await, 401);
    assert_eq!(tried.basic(PEER, "alice", "new").await, 200);
    assert_eq!(tried.hashes(), [3.0, 2.0, 0.0]);
    tried.apply(&users(&[("alice", "new")]));
    assert_eq!(tried.basic(PEER, "bob", "two").await, 401);
    tried.apply("");
    assert_eq!(tried.get("/metrics").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_peer_that_fails_again_and_again_has_to_wait() {
    let tried = Tried::new(&users(&[("alice", "secret"), ("bob", "other")]));
    assert_eq!(tried.basic(PEER, "bob", "other").await, 200);
    let mut attempt = 0;
    let throttled = loop {
        let answer = tried.answer(PEER, "alice", &format!("guess {attempt}")).await;
        attempt += 1;
        match answer.status.as_u16() {
            401 => assert!(attempt < 50, "never throttled"),
            _ => break answer,
        }
    };
    assert!(attempt > 3, "typing errors are free, not {attempt}");
    assert_eq!((throttled.status.as_u16(), throttled.body.contains("too many")), (429, true));
    assert!(throttled.retry_after.is_some_and(|seconds| (1..=30).contains(&seconds)));
    assert_eq!(tried.failures("throttled"), 1.0);

    let hashes = tried.hashes();
    assert_eq!(tried.basic(PEER, "bob", "other").await, 200, "a pinned password always passes");
    assert_eq!(tried.hashes(), hashes);
    assert_eq!(tried.basic("192.0.2.2", "alice", "guess").await, 401, "others are not throttled");
    let first = tried.basic(PEER, "alice", "secret").await;
    let second = tried.basic(PEER, "alice", "secret").await;
    assert!(first == 429 || first == 200, "{first}");
    assert_eq!(second, 200, "who comes again is looked at");
}

#[tokio::test]
async fn a_guard_shows_no_secrets() {
    let tried = Tried::new(&users(&[("alice", "secret")]));
    let shown = format!("{:?}", tried.guard);
    assert!(shown.contains("1 users") && !shown.contains("$2b$") && !shown.contains("alice"), "{shown}");
}

#[tokio::test]
async fn a_password_from_a_file_needs_no_hashing() {
    let tried = Tried::with_flags("alice", "se:cret\n");
    assert_eq!(tried.get("/metrics").await.status.as_u16(), 401);
    assert_eq!(tried.basic(PEER, "alice", "se:cret").await, 200);
    for (user, password) in [("alice", "se:cret\n"), ("alice", "se"), ("alice", ""), ("bob", "se:cret")] {
        assert_eq!(tried.basic(PEER, user, password).await, 401, "{user} {password}");
    }
    assert_eq!((tried.failures("wrong"), tried.hashes()), (4.0, [0.0; 3]));
}

/// Guesses at it wait like those at a hash, and names that exist cannot be told from others.
#[tokio::test]
async fn a_password_from_a_file_is_not_guessed_any_faster() {
    let tried = Tried::with_flags("alice", "secret\n");
    assert_eq!(tried.basic("192.0.2.9", "alice", "secret").await, 200);
    for (peer, user) in [(PEER, "alice"), ("192.0.2.2", "nobody")] {
        let mut attempt = 0;
        let throttled = loop {
            let answer = tried.answer(peer, user, &format!("guess {attempt}")).await;
            attempt += 1;
            match answer.status.as_u16() {
                401 => assert!(attempt < 50, "never throttled"),
                _ => break answer,
            }
        };
        assert!(attempt > 3, "typing errors are free, not {attempt}");
        assert_eq!(throttled.status.as_u16(), 429, "{user}");
        assert!(throttled.retry_after.is_some_and(|seconds| (1..=30).contains(&seconds)));
    }
    assert_eq!(tried.basic(PEER, "alice", "secret").await, 200, "one that was right always passes");
    assert_eq!(tried.basic("192.0.2.3", "alice", "guess").await, 401, "others are not throttled");
    // One that comes again is looked at, though not as fast as it could be.
    let answers = async || {
        let guesses = (0..40).map(|guess| (tried.clone(), format!("second {guess}")));
        let asked = guesses.map(|(tried, guess)| async move { tried.basic(PEER, "alice", &guess).await });
        asked.collect::<JoinSet<_>>().join_all().await
    };
    assert!(answers().await.contains(&429));
    let again = answers().await;
    assert!(again.contains(&401) && again.contains(&503), "{again:?}");
    assert_eq!(tried.hashes(), [0.0; 3]);
}
