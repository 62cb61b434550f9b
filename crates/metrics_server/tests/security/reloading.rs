//! Files that change under traffic.

use crate::certificates::Authority;
use crate::client::{DEADLINE, eventually};
use crate::fixture::Fixture;
use crate::running::{EVERY, Running, bcrypt};
use crate::scraper::Target;
use rcgen::SanType;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

fn users(alice: &str) -> String {
    format!("{TLS}basic_auth_users:\n  steady: {}\n  alice: {}\n", bcrypt("steady", 4), bcrypt(alice, 4))
}

/// Scrapes as somebody whose password stays, on a connection that is kept or on new ones, until it is dropped.
fn traffic(target: &Target, scrapes: &Arc<[AtomicUsize; 2]>) -> JoinSet<()> {
    let mut traffic = JoinSet::new();
    for place in 0..2 {
        let (target, scrapes) = (target.clone(), Arc::clone(scrapes));
        traffic.spawn(async move {
            let (mut scraper, mut pause) = (target.connect().await, interval(Duration::from_millis(2)));
            loop {
                assert_eq!(scraper.status("/metrics", "steady", "steady").await.0, 200);
                scrapes[place].fetch_add(1, Ordering::SeqCst);
                if place == 1 {
                    scraper = target.connect().await;
                }
                pause.tick().await;
            }
        });
    }
    traffic
}

/// Asks anew until the statuses of two passwords of alice are these.
async fn alice(target: &Target, passwords: [&str; 2], expected: [u16; 2]) {
    let (deadline, mut pause) = (Instant::now() + DEADLINE, interval(EVERY));
    loop {
        let mut scraper = target.connect().await;
        let mut statuses = [0; 2];
        for (status, password) in statuses.iter_mut().zip(passwords) {
            *status = scraper.status("/metrics", "alice", password).await.0;
        }
        if statuses == expected {
            return;
        }
        assert!(Instant::now() < deadline, "still {statuses:?}");
        pause.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_certificates_change_and_mistakes_do_not_count_while_scrapes_go_on() {
    let fixture = Fixture::new();
    let other = Authority::new();
    let running = fixture.start(&users("first")).await.unwrap();
    let target = Target::tls(running.address, &[fixture.authority.pem(), other.pem()]);
    let scrapes: Arc<[AtomicUsize; 2]> = Arc::default();
    let mut traffic = traffic(&target, &scrapes);
    let mut going_on = async || {
        let before: Vec<_> = scrapes.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        let (deadline, mut pause) = (Instant::now() + DEADLINE, interval(EVERY));
        while scrapes.iter().zip(&before).any(|(count, before)| count.load(Ordering::SeqCst) < before + 5) {
            if let Some(ended) = traffic.try_join_next() {
                ended.unwrap();
            }
            assert!(Instant::now() < deadline, "scrapes stopped");
            pause.tick().await;
        }
    };
    going_on().await;
    alice(&target, ["first", "second"], [200, 401]).await;

    fixture.write("web-config.yml", &users("second"));
    alice(&target, ["second", "first"], [200, 401]).await;
    assert_eq!(running.reloads(), [1.0, 1.0, 0.0]);
    going_on().await;

    let certificate = target.connect().await.certificate;
    let identity = other.server();
    // Key and certificate do not belong together for a moment, which is why a change has to come to rest.
    fixture.write("cert.pem", &identity.cert);
    fixture.write("key.pem", &identity.key);
    let (deadline, mut pause) = (Instant::now() + DEADLINE, interval(EVERY));
    while target.connect().await.certificate == certificate {
        assert!(Instant::now() < deadline, "the certificate stays");
        pause.tick().await;
    }
    eventually(1.0, || running.reloads()[0]).await;
    going_on().await;
    let [_, taken, refused] = running.reloads();

    for (name, broken) in [("web-config.yml", "basic_auth_user: {}\n"), ("key.pem", "no key\n")] {
        let path = fixture.path(name);
        let good = std::fs::read_to_string(&path).unwrap();
        let refused = running.reloads()[2];
        fixture.write(name, broken);
        eventually([0.0, taken, refused + 1.0], || running.reloads()).await;
        going_on().await;
        alice(&target, ["second", "first"], [200, 401]).await;
        fixture.write(name, &good);
        eventually(1.0, || running.reloads()[0]).await;
    }
    assert_eq!(running.reloads()[2], refused + 2.0);
    going_on().await;
}

async fn refused_and_in_force(running: &Running, fixture: &Fixture, config: &str) {
    let refused = running.reloads()[2];
    fixture.write("web-config.yml", config);
    eventually([0.0, refused + 1.0], || [running.reloads()[0], running.reloads()[2]]).await;
    // Nothing of the new file counts, which asks for nobody's password.
    assert_eq!(running.status("/metrics", &[]).await, 401);
    assert_eq!(running.status("/metrics", &["-u", "alice:secret"]).await, 200);
}

/// A file cut short by a full disk, or half-way through being written, must not open the endpoint to everybody.
#[tokio::test]
async fn credentials_are_not_removed_by_a_change() {
    let fixture = Fixture::new();
    let users = format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    let running = fixture.start(&users).await.unwrap();
    for cut in ["", "rate_limit: { interval: 1s, burst: 100 }\n"] {
        refused_and_in_force(&running, &fixture, cut).await;
        fixture.write("web-config.yml", &users);
        eventually(1.0, || running.reloads()[0]).await;
    }
}

/// Those that a change has added count like those of the start.
#[tokio::test]
async fn credentials_that_came_by_a_change_are_not_removed_by_another() {
    let fixture = Fixture::new();
    let running = fixture.start("rate_limit: { interval: 1s, burst: 100 }\n").await.unwrap();
    assert_eq!(running.status("/metrics", &[]).await, 200);
    fixture.write("web-config.yml", &format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4)));
    eventually([1.0, 1.0, 0.0], || running.reloads()).await;
    refused_and_in_force(&running, &fixture, "").await;
}

#[tokio::test]
async fn health_is_not_opened_by_a_change() {
    let fixture = Fixture::new();
    let users = format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    let running = fixture.start(&format!("{users}authenticate_health: true\n")).await.unwrap();
    refused_and_in_force(&running, &fixture, &users).await;
    assert_eq!(running.status("/health", &[]).await, 401);
}

/// The file is cut after a line: what is left is valid, and asks less of clients.
#[tokio::test]
async fn client_certificates_are_not_asked_for_less_by_a_change() {
    let fixture = Fixture::new();
    let named = |name: &str| fixture.authority.identity(&[SanType::DnsName(name.try_into().unwrap())]);
    let [good, other] = ["prometheus.internal", "grafana.internal"].map(|name| fixture.client(name, &named(name)));
    let lets_in = async |running: &Running, identity: &[String]| {
        let arguments: Vec<&str> = identity.iter().map(String::as_str).collect();
        running.curl("/metrics", &arguments).await.is_ok_and(|answer| answer.status == 200)
    };
    let auth = |name: &str| format!("{TLS}  client_auth_type: {name}\n");
    let (plain, any) = (TLS.to_owned(), auth("RequireAnyClientCert"));
    let verified = format!("{}  client_ca_file: ca.pem\n", auth("RequireAndVerifyClientCert"));
    let if_given = format!("{}  client_ca_file: ca.pem\n", auth("VerifyClientCertIfGiven"));
    let listed = format!("{verified}  client_allowed_sans: [prometheus.internal]\n");
    for (first, next, shut_out) in [
        (&verified, &plain, Vec::new()),
        (&verified, &any, fixture.stranger().to_vec()),
        (&verified, &if_given, Vec::new()),
        (&if_given, &any, fixture.stranger().to_vec()),
        (&any, &plain, Vec::new()),
        (&listed, &verified, other.to_vec()),
    ] {
        let running = fixture.start(first).await.unwrap();
        fixture.write("web-config.yml", next);
        eventually([0.0, 0.0, 1.0], || running.reloads()).await;
        assert!(!lets_in(&running, &shut_out).await, "{first} and then {next}");
        assert!(lets_in(&running, &good).await, "{first} and then {next}");
        fixture.write("web-config.yml", &listed);
        // What is in force already is no change.
        let changes = if *first == listed { 0.0 } else { 1.0 };
        eventually([1.0, changes, 1.0], || running.reloads()).await;
        assert!(!lets_in(&running, &other).await, "more may be asked");
    }
}

#[tokio::test]
async fn tls_is_neither_added_nor_removed_by_a_change() {
    let fixture = Fixture::new();
    let users = format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4));
    for (first, next, message) in [
        (users.clone(), TLS.to_owned(), "tls_server_config was added; that takes a restart"),
        (format!("{TLS}{users}"), String::new(), "tls_server_config was removed; that takes a restart"),
    ] {
        let running = fixture.start(&first).await.unwrap();
        refused_and_in_force(&running, &fixture, &next).await;
        // What an operator is told is seen with the program itself.
        crate::child::is_told(&fixture, &first, &next, message).await;
    }
}
