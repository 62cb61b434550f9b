//! A document in pieces: the same as in one, bounded, and what is filtered.

use crate::parse::parse;
use crate::proto::decode;
use metrics_server::{EncodeError, Exposition, Format, NameFilter, Registry};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

fn exposition() -> Exposition {
    let mut registry = Registry::new();
    let counters = registry.counter("a", "A").labels(["x"]).cap(usize::MAX).register().unwrap();
    let histograms = registry.histogram("h", "H").labels(["x"]).cap(usize::MAX).register().unwrap();
    let client = prometheus_client::metrics::family::Family::<
        Vec<(String, String)>,
        prometheus_client::metrics::gauge::Gauge,
    >::default();
    for index in 0..20_000_u64 {
        counters.with([&index.to_string()]).add(index);
        client.get_or_create(&vec![("x".to_owned(), index.to_string())]).set(1);
        if index % 10 == 0 {
            histograms.with([&index.to_string()]).observe(0.2);
        }
    }
    registry.client().register("c", "C", client);
    Exposition::new(registry)
}

#[test]
fn pieces_are_bounded_and_make_the_whole() {
    let exposition = exposition();
    for format in [Format::Text, Format::OpenMetrics] {
        let (mut whole, mut pieces) = (Vec::new(), 0);
        let mut encoder = exposition.encoder(format, None);
        loop {
            let mut piece = Vec::new();
            let more = encoder.encode_chunk(&mut piece).unwrap();
            assert!(piece.len() < 66 * 1024, "{}", piece.len());
            assert!(!more || piece.len() >= 64 * 1024);
            whole.extend(piece);
            pieces += 1;
            if !more {
                break;
            }
        }
        assert!(pieces > 10);
        assert!(!encoder.encode_chunk(&mut whole).unwrap());
        let document = parse(std::str::from_utf8(&whole).unwrap(), format == Format::OpenMetrics);
        assert_eq!(document.samples.keys().filter(|(name, _)| name == "a_total").count(), 20_000);
        assert_eq!(document.samples.keys().filter(|(name, _)| name == "c").count(), 20_000);
        assert_eq!(document.samples.keys().filter(|(name, _)| name == "h_count").count(), 2_000);
        assert_eq!(document.value("a_total", &[("x", "1234")]), Some(1234.0));
    }
    let families = decode(&exposition.encode_as(Format::Protobuf).unwrap());
    assert_eq!(families.iter().find(|family| family.name == "a_total").unwrap().metric.len(), 20_000);
}

/// What is created after the document was begun is not in it: it would stand in a family that is done.
#[test]
fn a_document_has_the_series_of_its_beginning() {
    let mut registry = Registry::new();
    let family = registry.gauge("a", "A").labels(["x"]).register().unwrap();
    family.with(["before"]).set(1.0);
    let exposition = Exposition::new(registry);
    let mut encoder = exposition.encoder(Format::Text, None);
    family.with(["after"]).set(1.0);
    let mut out = Vec::new();
    while encoder.encode_chunk(&mut out).unwrap() {}
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("before") && !text.contains("after"));
}

#[test]
fn a_filter_keeps_families_by_any_of_their_names() {
    let exposition = exposition();
    let kept = |names: &[&str], format| {
        let mut out = Vec::new();
        let mut encoder = exposition.encoder(format, Some(NameFilter::new(names.iter().copied())));
        while encoder.encode_chunk(&mut out).unwrap() {}
        parse(std::str::from_utf8(&out).unwrap(), format == Format::OpenMetrics).types.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(kept(&["a"], Format::OpenMetrics), ["a"]);
    assert_eq!(kept(&["a_total", "h_bucket"], Format::Text), ["a_total", "h"]);
    assert_eq!(kept(&["c", "nothing"], Format::Text), ["c"]);
    assert!(kept(&["a_tot", "le"], Format::OpenMetrics).is_empty());
}

#[derive(Debug)]
struct Fails(bool);

impl Collector for Fails {
    fn encode(&self, _: DescriptorEncoder) -> std::fmt::Result {
        assert!(!self.0, "a collector panics");
        Err(std::fmt::Error)
    }
}

#[test]
fn a_collector_that_fails_or_panics_is_an_error_before_anything_is_written() {
    for panics in [false, true] {
        let mut registry = Registry::new();
        registry.client().register_collector(Box::new(Fails(panics)));
        let exposition = Exposition::new(registry);
        let (mut out, mut encoder) = (Vec::new(), exposition.encoder(Format::Text, None));
        let error = encoder.encode_chunk(&mut out).unwrap_err();
        assert_eq!(matches!(error, EncodeError::Panicked), panics);
        assert!(out.is_empty() && !encoder.encode_chunk(&mut out).unwrap() && out.is_empty());
    }
}
