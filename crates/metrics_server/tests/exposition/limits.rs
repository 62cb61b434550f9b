//! The cap, expiry, removal: what keeps the number of series bounded.

use crate::parse::parse;
use crate::proto::{Histogram, decode};
use metrics_server::{CallbackKind, Exposition, Format, NativeBuckets, RegisterError, Registry};
use prometheus_client::metrics::gauge::Gauge;
use std::time::{Duration, Instant};

#[test]
fn what_is_beyond_the_cap_is_counted_under_other() {
    let mut registry = Registry::new();
    let family = registry.counter("a", "A").labels(["x", "y"]).cap(3).register().unwrap();
    for index in 0..10 {
        family.with([&index.to_string(), "z"]).add(2);
    }
    family.with(["1", "z"]).inc();
    assert_eq!(family.len(), 4);
    let document = parse(&Exposition::new(registry).encode().unwrap(), true);
    assert_eq!(document.value("a_total", &[("x", "1"), ("y", "z")]), Some(3.0));
    assert_eq!(document.value("a_total", &[("x", "other"), ("y", "other")]), Some(14.0));
    assert_eq!(document.value("metrics_server_series_overflowed_total", &[("family", "a")]), Some(7.0));
    assert_eq!(document.samples.keys().filter(|(name, _)| name == "a_total").count(), 4);
}

#[test]
fn a_removed_series_is_gone_makes_room_and_starts_from_zero() {
    let mut registry = Registry::new();
    let family = registry.counter("a", "A").labels(["x"]).cap(2).register().unwrap();
    family.with(["1"]).add(5);
    family.with(["2"]).inc();
    assert!(family.remove(["1"]));
    assert!(!family.remove(["1"]) && !family.remove(["9"]));
    family.with(["3"]).inc();
    assert_eq!((family.len(), family.with(["3"]).get()), (2, 1));
    assert!(family.remove(["3"]));
    assert_eq!(family.with(["1"]).get(), 0);
    family.with(["1"]).inc();
    let document = parse(&Exposition::new(registry).encode().unwrap(), true);
    assert_eq!(document.value("a_total", &[("x", "1")]), Some(1.0));
    assert_eq!(document.value("a_total", &[("x", "3")]), None);
}

#[test]
fn idle_series_expire_unless_a_handle_is_kept() {
    let mut registry = Registry::new();
    let idle = Duration::from_millis(20);
    let family = registry.counter("a", "A").labels(["x"]).expire_after(idle).register().unwrap();
    let kept = family.handle(["kept"]);
    family.with(["idle"]).inc();
    let exposition = Exposition::new(registry);
    let deadline = Instant::now() + Duration::from_secs(30);
    while exposition.encode().unwrap().contains("a_total{x=\"idle\"}") {
        assert!(Instant::now() < deadline, "it does not expire");
        kept.inc();
    }
    assert_eq!(family.len(), 1);
    family.with(["idle"]).inc();
    assert_eq!(family.with(["idle"]).get(), 1);
    drop(kept);
    while exposition.encode().unwrap().contains("a_total{x=\"kept\"}") {
        assert!(Instant::now() < deadline, "a dropped handle keeps it");
    }
}

#[test]
fn a_series_in_use_does_not_expire() {
    let mut registry = Registry::new();
    let idle = Duration::from_secs(2);
    let family = registry.counter("a", "A").labels(["x"]).expire_after(idle).register().unwrap();
    let exposition = Exposition::new(registry);
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(3) {
        family.with(["x"]).inc();
        count += 1;
        exposition.encode_as(Format::Text).unwrap();
    }
    assert_eq!(family.with(["x"]).get(), count);
}

/// Resident memory in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_million_series_that_pass_leave_no_memory_behind() {
    let mut registry = Registry::new();
    let family = registry.counter("a", "A").labels(["x", "y"]).register().unwrap();
    let pass = |from: u32, to: u32| {
        for index in from..to {
            let label = format!("{index:0>100}");
            family.with([&label, "y"]).inc();
            assert!(family.remove([&label, "y"]));
        }
    };
    pass(0, 100_000);
    let before = resident();
    pass(100_000, 1_000_000);
    assert_eq!(family.len(), 0);
    // Were they kept, they would take at least 300 bytes each: 270 MB. Other tests run at the same time.
    assert!(resident() < before + (100 << 20), "{before} {}", resident());
}

#[test]
fn clashing_names_are_refused() {
    let mut registry = Registry::new();
    registry.histogram("foo", "").register().unwrap();
    for name in ["foo_bucket", "foo_count", "foo_sum", "foo"] {
        let refused = registry.gauge(name, "").register().unwrap_err();
        assert!(matches!(refused, RegisterError::Taken { ref by, .. } if by == "foo"), "{refused}");
    }
    registry.gauge("bar_total", "").register().unwrap();
    let refused = registry.counter("bar", "").register().unwrap_err();
    assert_eq!(refused.to_string(), "bar needs the name bar_total, which bar_total uses already");
    let impossible = registry.histogram("baz", "").buckets([2.0, 1.0]).register().unwrap_err();
    assert!(matches!(impossible, RegisterError::Buckets { .. }));
    // What was refused takes no name.
    registry.histogram("baz", "").buckets([1.0, 2.0]).register().unwrap();
}

#[test]
fn bad_families_of_the_client_library_are_left_out_and_counted() {
    let mut registry = Registry::new();
    registry.gauge("ours", "").register().unwrap();
    for name in ["ours", "good", "good", "bad name"] {
        let gauge: Gauge = Gauge::default();
        gauge.set(if name == "good" { 1 } else { 2 });
        registry.client().register(name, "Help", gauge);
    }
    let document = parse(&Exposition::new(registry).encode().unwrap(), true);
    assert_eq!(document.value("good", &[]), Some(1.0));
    assert_eq!(document.value("ours", &[]), Some(0.0));
    assert_eq!(document.value("metrics_server_families_invalid_total", &[]), Some(3.0));
}

#[test]
fn a_callback_that_panics_takes_only_its_family_along() {
    let mut registry = Registry::new();
    registry.callback(CallbackKind::Gauge, "bad", "", [], |_| panic!("a callback panics")).unwrap();
    let twice = |samples: &mut metrics_server::Samples<1>| {
        samples.push(["a"], 1.0);
        samples.push(["a"], 2.0);
    };
    registry.callback(CallbackKind::Counter, "good", "", ["x"], twice).unwrap();
    registry.info("build", "", [("version", "1")]).unwrap();
    let exposition = Exposition::new(registry);
    exposition.encode().unwrap();
    let document = parse(&exposition.encode().unwrap(), true);
    assert_eq!(document.value("good_total", &[("x", "a")]), Some(1.0));
    assert_eq!(document.value("build_info", &[("version", "1")]), Some(1.0));
    assert!(!document.types.contains_key("bad"));
    assert_eq!(document.value("metrics_server_families_invalid_total", &[]), Some(1.0));
}

#[test]
fn native_buckets_are_where_prometheus_has_them_and_stay_bounded() {
    let mut registry = Registry::new();
    let native = |schema, max_buckets| NativeBuckets { schema, max_buckets, ..NativeBuckets::default() };
    let fine = registry.histogram("fine", "").native(native(1, 160)).register().unwrap();
    let coarse = registry.histogram("coarse", "").native(native(8, 20)).register().unwrap();
    // Bounds of schema 1: …, 0.707, 1, 1.414, 2, 2.828, 4; the upper one is part of its bucket.
    for value in [1.0, 1.1, 1.5, 2.0, 2.1, 4.0, 0.5, -2.0, 0.0, f64::NAN, f64::INFINITY] {
        fine.observe(value);
    }
    (0..3000).for_each(|exponent| coarse.observe(1.2_f64.powi(exponent)));
    let families = decode(&Exposition::new(registry).encode_as(Format::Protobuf).unwrap());
    let read = |name| families.iter().find(|family| family.name == name).unwrap().metric[0].histogram.clone().unwrap();
    let fine = read("fine");
    assert_eq!((fine.schema, fine.zero_count, fine.sample_count), (1, 1, 11));
    assert!(fine.sample_sum.is_nan());
    let positive = Histogram::native(&fine.positive_span, &fine.positive_delta);
    assert_eq!(positive, [(-2, 1), (0, 1), (1, 1), (2, 2), (3, 1), (4, 1), (2049, 1)]);
    assert_eq!(Histogram::native(&fine.negative_span, &fine.negative_delta), [(2, 1)]);
    let coarse = read("coarse");
    let buckets = Histogram::native(&coarse.positive_span, &coarse.positive_delta);
    // 1.2^3000 is near 2^789: 50 buckets of 16 powers each, and no schema is coarser.
    assert_eq!((coarse.schema, coarse.sample_count), (-4, 3000));
    assert!((45..=66).contains(&buckets.len()), "{buckets:?}");
    assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 3000);
}
