//! Tokens.

use crate::tried::{Tried, bcrypt};

const TOKENS: (&str, &str) = ("tokens", "# prometheus\nAAAAAAAAAAAAAAAAAAAAAAAA\nBBBBBBBBBBBBBBBBBBBBBBBB\n");

#[tokio::test]
async fn each_token_comes_in_and_no_other() {
    let tried = Tried::with_files("bearer_tokens_file: tokens\n", &[TOKENS]);
    for token in ["AAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBB"] {
        assert_eq!(tried.authorized(&format!("Bearer {token}")).await.status.as_u16(), 200);
    }
    for token in ["AAAAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAAA", "prometheus", "#"] {
        let answer = tried.authorized(&format!("Bearer {token}")).await;
        assert_eq!(answer.status.as_u16(), 401, "{token}");
        assert_eq!(answer.challenges, ["Bearer realm=\"gpu-charts\""]);
    }
    assert_eq!(tried.failures("wrong"), 4.0);
    assert_eq!(tried.basic("192.0.2.1", "a", "AAAAAAAAAAAAAAAAAAAAAAAA").await, 401);
    assert_eq!(tried.hashes(), [0.0; 3]);
}

#[tokio::test]
async fn users_and_tokens_go_together() {
    let config = format!("bearer_tokens_file: tokens\nbasic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    let tried = Tried::with_files(&config, &[TOKENS]);
    assert_eq!(tried.get("/metrics").await.challenges.len(), 2);
    assert_eq!(tried.basic("192.0.2.1", "alice", "secret").await, 200);
    assert_eq!(tried.authorized("bearer AAAAAAAAAAAAAAAAAAAAAAAA").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_right_token_passes_whatever_its_peer_did() {
    let tried = Tried::with_files("bearer_tokens_file: tokens\n", &[TOKENS]);
    for attempt in 0..10 {
        assert_eq!(tried.authorized(&format!("Bearer guess{attempt}")).await.status.as_u16(), 401);
    }
    assert_eq!(tried.authorized("Bearer AAAAAAAAAAAAAAAAAAAAAAAA").await.status.as_u16(), 200);
}
