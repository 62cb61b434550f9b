//! `rate_limit` and the headers of every answer.

use crate::tried::{Tried, bcrypt};

#[tokio::test]
async fn requests_beyond_the_burst_are_refused() {
    let tried = Tried::new("rate_limit:\n  interval: 1h\n  burst: 3\n");
    for _ in 0..3 {
        assert_eq!(tried.get("/metrics").await.status.as_u16(), 200);
    }
    let refused = tried.get("/metrics").await;
    assert_eq!((refused.status.as_u16(), refused.body.as_str()), (429, "too many requests\n"));
    assert!(refused.retry_after.is_some_and(|seconds| (3500..=3600).contains(&seconds)));
    assert_eq!(tried.metric("metrics_server_rate_limited_total"), 1.0);
    assert_eq!(tried.get("/health").await.status.as_u16(), 200);

    tried.apply(
        "rate_limit:\n  interval: 1h\n  burst: 3\nhttp_server_config:\n  headers:\n    X-XSS-Protection: \"0\"\n",
    );
    assert_eq!(tried.get("/metrics").await.status.as_u16(), 429, "a reload does not reset a limit that is the same");
    tried.apply("rate_limit:\n  interval: 0s\n  burst: 3\n");
    for _ in 0..10 {
        assert_eq!(tried.get("/metrics").await.status.as_u16(), 200);
    }
}

#[tokio::test]
async fn wrong_credentials_do_not_use_up_the_limit() {
    let users = format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    let tried = Tried::new(&format!("rate_limit:\n  interval: 1h\n{users}"));
    for _ in 0..4 {
        assert_eq!(tried.basic("192.0.2.1", "alice", "wrong").await, 401);
        assert_eq!(tried.get("/metrics").await.status.as_u16(), 401);
    }
    assert_eq!(tried.basic("192.0.2.1", "alice", "secret").await, 200);
    assert_eq!(tried.basic("192.0.2.1", "alice", "secret").await, 429);
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let users = format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    let headers = "http_server_config:\n  headers:\n    X-Content-Type-Options: nosniff\n    X-Frame-Options: deny\n";
    let tried = Tried::new(&format!("rate_limit:\n  interval: 1h\n{users}{headers}"));
    let answers = [
        (200, tried.get("/health").await),
        (401, tried.get("/metrics").await),
        (200, tried.answer("192.0.2.1", "alice", "secret").await),
        (429, tried.answer("192.0.2.1", "alice", "secret").await),
    ];
    for (status, answer) in answers {
        assert_eq!(
            (answer.status.as_u16(), answer.headers["x-content-type-options"].as_bytes()),
            (status, &b"nosniff"[..])
        );
        let frame = if status == 200 { "service" } else { "deny" };
        assert_eq!(answer.headers["x-frame-options"], frame, "what the service says itself stays");
    }
}
