use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// A health on a clock that the test moves.
fn health() -> (Health, impl Fn(u64)) {
    let origin = Instant::now();
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&seconds);
    let health = Health::with_clock("svc", move || origin + Duration::from_secs(clock.load(Ordering::SeqCst)));
    (health, move |by| {
        seconds.fetch_add(by, Ordering::SeqCst);
    })
}

fn check(health: &Health, liveness: &str, readiness: &str) {
    let live = liveness_json(&health.liveness(), health.service());
    let ready = readiness_json(&health.readiness(), health.service());
    let text = |(status, body): (http::StatusCode, String)| format!("{} {}", status.as_u16(), body);
    assert_eq!((text(live).as_str(), text(ready).as_str()), (liveness, readiness));
}

const OK: &str = r#"200 {"status":"ok","service":"svc"}"#;
const READY: &str = r#"200 {"status":"ready","service":"svc"}"#;

#[test]
fn nothing_is_ready_before_a_component_said_so() {
    let (health, _) = health();
    check(&health, OK, r#"503 {"status":"not_ready","service":"svc","reasons":["no component has started yet"]}"#);
    let recorder = health.component("recorder", None);
    check(&health, OK, r#"503 {"status":"not_ready","service":"svc","reasons":["recorder: starting"]}"#);
    recorder.ready();
    check(&health, OK, READY);
    recorder.not_ready("recovering");
    check(&health, OK, r#"503 {"status":"not_ready","service":"svc","reasons":["recorder: recovering"]}"#);
}

#[test]
fn a_degraded_component_keeps_liveness_and_loses_readiness() {
    let (health, _) = health();
    let (recorder, feed) = (health.component("recorder", None), health.component("feed", None));
    recorder.ready();
    feed.ready();
    recorder.degraded("disk full");
    check(
        &health,
        r#"200 {"status":"degraded","service":"svc","reasons":["recorder: disk full"]}"#,
        r#"503 {"status":"not_ready","service":"svc","reasons":["recorder: disk full"]}"#,
    );
    recorder.recovered();
    check(&health, OK, READY);
}

#[test]
fn a_failed_component_fails_until_it_recovers_and_stands_before_complaints() {
    let (health, _) = health();
    let (recorder, feed) = (health.component("recorder", None), health.component("feed", None));
    recorder.ready();
    feed.ready();
    recorder.degraded("disk full");
    feed.failed("gave up");
    check(
        &health,
        r#"503 {"status":"failing","service":"svc","reasons":["feed: gave up","recorder: disk full"]}"#,
        r#"503 {"status":"not_ready","service":"svc","reasons":["recorder: disk full","feed: gave up"]}"#,
    );
    feed.recovered();
    recorder.recovered();
    check(&health, OK, READY);
}

#[test]
fn a_missed_deadline_fails_and_a_beat_heals_it() {
    let (health, advance) = health();
    let recorder = health.component("recorder", Some(Duration::from_secs(10)));
    recorder.ready();
    advance(10);
    check(&health, OK, READY);
    advance(1);
    let reasons = r#"["recorder: no sign of life for 11.0 s, deadline 10.0 s"]"#;
    check(
        &health,
        &format!(r#"503 {{"status":"failing","service":"svc","reasons":{reasons}}}"#),
        &format!(r#"503 {{"status":"not_ready","service":"svc","reasons":{reasons}}}"#),
    );
    recorder.beat();
    check(&health, OK, READY);
    // Every call is a sign of life, also the ones that report trouble.
    advance(8);
    recorder.degraded("disk full");
    advance(8);
    assert_eq!(health.liveness(), Liveness::Degraded(vec!["recorder: disk full".to_owned()]));
}

#[test]
fn a_component_that_never_started_misses_its_deadline_too() {
    let (health, advance) = health();
    let _recorder = health.component("recorder", Some(Duration::from_secs(10)));
    advance(11);
    assert!(matches!(health.liveness(), Liveness::Failing(_)));
}

#[test]
fn a_dropped_component_is_gone_and_a_restarted_one_heals() {
    let (health, _) = health();
    let recorder = health.component("recorder", None);
    recorder.ready();
    drop(recorder);
    check(
        &health,
        r#"503 {"status":"failing","service":"svc","reasons":["recorder: gone"]}"#,
        r#"503 {"status":"not_ready","service":"svc","reasons":["recorder: gone"]}"#,
    );
    health.component("recorder", None).finish();
    health.component("recorder", None).finish();
    assert_eq!(health.liveness(), Liveness::Ok);
    assert_eq!(health.components().len(), 1);
}

#[test]
fn a_component_whose_task_panicked_is_gone() {
    let (health, _) = health();
    let recorder = health.component("recorder", None);
    std::thread::spawn(move || {
        recorder.ready();
        panic!("the task dies");
    })
    .join()
    .unwrap_err();
    assert_eq!(health.liveness(), Liveness::Failing(vec!["recorder: gone".to_owned()]));
}

#[test]
fn a_finished_component_is_draining_and_not_missed() {
    let (health, advance) = health();
    let recorder = health.component("recorder", Some(Duration::from_secs(10)));
    recorder.ready();
    recorder.degraded("disk full");
    recorder.finish();
    recorder.failed("after the end nothing counts");
    drop(recorder);
    advance(60);
    check(&health, OK, r#"503 {"status":"not_ready","service":"svc","reasons":["recorder: draining"]}"#);
}

#[test]
fn two_held_components_of_one_name_both_count() {
    let (health, _) = health();
    let (first, second) = (health.component("feed", None), health.component("feed", None));
    first.ready();
    assert!(matches!(health.readiness(), Readiness::NotReady(_)));
    second.ready();
    assert_eq!(health.readiness(), Readiness::Ready);
}

#[test]
fn reasons_are_bounded_and_escaped() {
    let (health, _) = health();
    let recorder = health.component("recorder", None);
    recorder.degraded("ä".repeat(1000));
    let Liveness::Degraded(reasons) = health.liveness() else { panic!("not degraded") };
    assert!(reasons[0].len() < 600 && reasons[0].ends_with("ä…"), "{}", reasons[0].len());
    recorder.degraded("a \"quoted\"\nline");
    let (_, body) = liveness_json(&health.liveness(), "svc");
    assert!(body.contains(r#"a \"quoted\"\nline"#));
}
