//! Whatever is registered reads back the same in every format, or was refused for a reason.

use crate::parse::{Document, parse};
use crate::proto::{self, Family};
use metrics_server::{CallbackKind, Exposition, Format, RegisterError, Registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as ClientFamily;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug)]
struct Asked {
    kind: u8,
    name: String,
    help: String,
    labels: [String; 2],
    series: BTreeMap<[String; 2], f64>,
}

fn name() -> impl Strategy<Value = String> {
    // A few names, so that some clash with each other's samples; and anything at all.
    prop_oneof![
        4 => "[ab](_[a-c]){0,2}(_total|_count|_sum|_info|_bucket)?",
        1 => "[a-zA-Z_:][a-zA-Z0-9_:]{0,10}",
        1 => any::<String>(),
    ]
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[a-z][a-z0-9_]{0,5}", 1 => Just("le".to_owned()), 1 => "__[a-z]", 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(0.0), (0_u32..100).prop_map(f64::from)]
}

fn asked() -> impl Strategy<Value = Asked> {
    let text = prop_oneof![any::<String>(), "[\\\\\"\n{}=, #a]{0,8}"];
    let series = proptest::collection::btree_map([text.clone(), text.clone()], value(), 1..5);
    (0_u8..7, name(), text, [label(), label()], series).prop_map(|(kind, name, help, labels, series)| Asked {
        kind,
        name,
        help,
        labels,
        series,
    })
}

/// Registers and updates; the values that must be read back.
fn register(registry: &mut Registry, asked: &Asked) -> Result<BTreeMap<[String; 2], f64>, RegisterError> {
    let [first, second] = asked.labels.each_ref().map(String::as_str);
    let (name, help, labels) = (asked.name.as_str(), asked.help.as_str(), [first, second]);
    let mut expected = asked.series.clone();
    match asked.kind {
        0 => {
            let family = registry.counter(name, help).labels(labels).register()?;
            for ([a, b], value) in &mut expected {
                family.with([a, b]).add(*value as u64);
                *value = family.with([a, b]).get() as f64;
            }
        }
        1 => {
            let family = registry.float_counter(name, help).labels(labels).register()?;
            for ([a, b], value) in &mut expected {
                family.with([a, b]).add(*value);
                *value = if value.is_finite() && *value >= 0.0 { *value } else { 0.0 };
            }
        }
        2 => {
            let family = registry.sharded_counter(name, help).labels(labels).register()?;
            for ([a, b], value) in &mut expected {
                family.with([a, b]).add(*value as u64);
                *value = *value as u64 as f64;
            }
        }
        3 => {
            let family = registry.gauge(name, help).labels(labels).register()?;
            for ([a, b], value) in &expected {
                family.with([a, b]).set(*value);
            }
        }
        4 => {
            let family = registry.int_gauge(name, help).labels(labels).register()?;
            for ([a, b], value) in &mut expected {
                family.with([a, b]).set(*value as i64);
                *value = *value as i64 as f64;
            }
        }
        5 => {
            let family = registry.histogram(name, help).labels(labels).buckets([-1.0, 0.5, 1.0, 1e9]).register()?;
            for ([a, b], value) in &expected {
                family.with([a, b]).observe(*value);
            }
        }
        _ => {
            let series = expected.clone();
            registry.callback(CallbackKind::Gauge, name, help, labels, move |samples| {
                for ([a, b], value) in &series {
                    samples.push([a, b], *value);
                }
            })?;
        }
    }
    Ok(expected)
}

fn same(left: f64, right: f64) -> bool {
    left == right || (left.is_nan() && right.is_nan())
}

fn check(asked: &Asked, expected: &BTreeMap<[String; 2], f64>, text: &Document, openmetrics: bool) {
    let suffix = if asked.kind < 3 { "_total" } else { "" };
    let family = if openmetrics { asked.name.clone() } else { format!("{}{suffix}", asked.name) };
    assert_eq!(text.help[&family], asked.help);
    for (values, value) in expected {
        let labels = [(asked.labels[0].as_str(), values[0].as_str()), (asked.labels[1].as_str(), values[1].as_str())];
        let read = |name: &str, labels: &[(&str, &str)]| {
            text.value(name, labels).unwrap_or_else(|| panic!("{name}{labels:?} is missing: {text:#?}"))
        };
        if asked.kind != 5 {
            assert!(same(read(&format!("{}{suffix}", asked.name), &labels), *value), "{asked:?} {text:?}");
            continue;
        }
        assert_eq!(read(&format!("{}_count", asked.name), &labels), 1.0);
        assert!(same(read(&format!("{}_sum", asked.name), &labels), *value));
        let bounds =
            [(-1.0, ["-1", "-1.0"]), (0.5, ["0.5", "0.5"]), (1.0, ["1", "1.0"]), (1e9, ["1000000000", "1000000000.0"])];
        for (bound, texts) in bounds {
            let labels = [labels[0], labels[1], ("le", texts[usize::from(openmetrics)])];
            assert_eq!(read(&format!("{}_bucket", asked.name), &labels), f64::from(*value <= bound), "{value} {bound}");
        }
        let labels = [labels[0], labels[1], ("le", "+Inf")];
        assert_eq!(read(&format!("{}_bucket", asked.name), &labels), 1.0);
    }
}

fn check_proto(asked: &Asked, expected: &BTreeMap<[String; 2], f64>, families: &[Family]) {
    let suffix = if asked.kind < 3 { "_total" } else { "" };
    let family = families.iter().find(|family| family.name == format!("{}{suffix}", asked.name)).unwrap();
    assert_eq!(family.help, asked.help);
    assert_eq!(
        family.kind,
        if asked.kind < 3 {
            0
        } else if asked.kind == 5 {
            4
        } else {
            1
        }
    );
    assert_eq!(family.metric.len(), expected.len());
    for metric in &family.metric {
        assert_eq!([&metric.label[0].name, &metric.label[1].name], [&asked.labels[0], &asked.labels[1]]);
        let value = expected[&[metric.label[0].value.clone(), metric.label[1].value.clone()]];
        if let Some(histogram) = &metric.histogram {
            assert_eq!(histogram.sample_count, 1);
            assert!(same(histogram.sample_sum, value));
            for bucket in &histogram.bucket {
                assert_eq!(bucket.cumulative_count, u64::from(value <= bucket.upper_bound));
            }
        } else {
            let number = if asked.kind < 3 { &metric.counter } else { &metric.gauge };
            assert!(same(number.as_ref().unwrap().value, value), "{asked:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_registered_reads_back_or_is_refused(all in proptest::collection::vec(asked(), 1..6)) {
        let mut registry = Registry::new();
        let mut good = Vec::new();
        for asked in &all {
            match register(&mut registry, asked) {
                Ok(expected) => good.push((asked, expected)),
                Err(error) => prop_assert!(refusal_is_right(asked, &error), "{error} {asked:?}"),
            }
        }
        let exposition = Exposition::new(registry);
        let openmetrics = parse(&exposition.encode().unwrap(), true);
        let text = parse(std::str::from_utf8(&exposition.encode_as(Format::Text).unwrap()).unwrap(), false);
        let families = proto::decode(&exposition.encode_as(Format::Protobuf).unwrap());
        for (asked, expected) in &good {
            check(asked, expected, &openmetrics, true);
            check(asked, expected, &text, false);
            check_proto(asked, expected, &families);
        }
    }

    #[test]
    fn the_client_library_cannot_break_a_document(all in proptest::collection::vec(asked(), 1..6)) {
        let mut registry = Registry::new();
        let mut names = BTreeSet::new();
        for asked in &all {
            names.insert(asked.name.clone());
            if asked.kind < 5 {
                let family = ClientFamily::<Vec<(String, String)>, Counter<f64, AtomicU64>>::default();
                for (values, value) in &asked.series {
                    let labels = asked.labels.iter().cloned().zip(values.iter().cloned()).collect();
                    family.get_or_create(&labels).inc_by(value.abs());
                }
                registry.client().register(asked.name.clone(), asked.help.clone(), family);
            } else {
                let histogram = ClientHistogram::new([0.5, 1.0]);
                asked.series.values().for_each(|value| histogram.observe(*value));
                registry.client().register(asked.name.clone(), asked.help.clone(), histogram);
            }
        }
        let exposition = Exposition::new(registry);
        let text = parse(std::str::from_utf8(&exposition.encode_as(Format::Text).unwrap()).unwrap(), false);
        let openmetrics = parse(&exposition.encode().unwrap(), true);
        let families = proto::decode(&exposition.encode_as(Format::Protobuf).unwrap());
        prop_assert_eq!(families.len(), text.types.len());
        prop_assert_eq!(families.len(), openmetrics.types.len());
        let read = all.iter().filter(|asked| openmetrics.types.contains_key(&asked.name)).count();
        let left_out = openmetrics.value("metrics_server_families_invalid_total", &[]).unwrap();
        // Each of the two scrapes so far counted what it left out.
        prop_assert!(read == all.len() || left_out >= 2.0, "{} of {}, {left_out}", read, all.len());
        for asked in all.iter().filter(|asked| asked.kind < 5 && harmless(asked) && names_once(&all, asked)) {
            for (values, value) in &asked.series {
                let labels = [(asked.labels[0].as_str(), values[0].as_str()), (asked.labels[1].as_str(), values[1].as_str())];
                let read = text.value(&format!("{}_total", asked.name), &labels).unwrap();
                prop_assert!(same(read, value.abs()));
            }
        }
    }
}

fn good_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || first == ':')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_' || other == ':')
}

fn harmless(asked: &Asked) -> bool {
    let good = |label: &String| good_name(label) && !label.contains(':') && !label.starts_with("__");
    good_name(&asked.name) && asked.labels.iter().all(good) && asked.labels[0] != asked.labels[1]
}

/// No other name begins with this one, or the other way round, so that there is nothing to clash.
fn names_once(all: &[Asked], asked: &Asked) -> bool {
    let related = |other: &&Asked| other.name.starts_with(&asked.name) || asked.name.starts_with(&other.name);
    all.iter().filter(related).count() == 1 && !asked.name.starts_with("metrics_server")
}

fn refusal_is_right(asked: &Asked, error: &RegisterError) -> bool {
    match error {
        RegisterError::Name(name) => name == &asked.name && !good_name(name),
        RegisterError::Suffix { suffix, .. } => asked.kind < 3 && asked.name.ends_with(suffix),
        RegisterError::Label { label, .. } => {
            asked.labels.contains(label) && (!good_name(label) || label.contains(':'))
        }
        RegisterError::Reserved { label, .. } => label.starts_with("__") || (label == "le" && asked.kind == 5),
        RegisterError::LabelTwice { .. } => asked.labels[0] == asked.labels[1],
        RegisterError::Taken { sample, by, .. } => sample.starts_with(&asked.name) && sample.starts_with(by.as_str()),
        RegisterError::Buckets { .. } => false,
    }
}
