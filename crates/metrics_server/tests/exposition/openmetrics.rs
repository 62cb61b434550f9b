//! What the two text formats have of their own, and Prometheus' opinion.

use crate::parse::parse;
use metrics_server::{Exposition, Format, Registry};
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;
use std::io::Write;
use std::process::{Command, Stdio};

fn exposition() -> Exposition {
    let mut registry = Registry::new();
    let counter = registry.counter("our_messages", "Messages \"received\"\\").labels(["x"]).register().unwrap();
    counter.with(["a\"b\\c\nd"]).add(3);
    registry.histogram("our_seconds", "Seconds.").buckets([0.5, 1.0]).register().unwrap().observe(0.7);
    registry.gauge("our_level", "Level.").register().unwrap().set(0.1);
    registry.info("our_build", "Build.", [("version", "1")]).unwrap();
    let exemplar = CounterWithExemplar::<Vec<(&str, &str)>, f64>::default();
    exemplar.inc_by(2.0, Some(vec![("trace", "abc")]), None);
    registry.client().register("their_things", "Things", exemplar);
    registry.client().register_with_unit(
        "their",
        "Waiting",
        Unit::Seconds,
        prometheus_client::metrics::gauge::Gauge::<i64>::default(),
    );
    registry.client().register("their_build", "Build", Info::new(vec![("version", "2")]));
    Exposition::new(registry)
}

#[test]
fn the_formats_differ_where_they_must() {
    let exposition = exposition();
    let openmetrics = exposition.encode().unwrap();
    let text = String::from_utf8(exposition.encode_as(Format::Text).unwrap()).unwrap();
    let check = |document: &str, lines: &[&str]| {
        for line in lines {
            assert_eq!(document.lines().filter(|other| other == line).count(), 1, "{line}\n{document}");
        }
    };
    let sample = "our_messages_total{x=\"a\\\"b\\\\c\\nd\"} 3";
    check(
        &openmetrics,
        &[
            "# HELP our_messages Messages \\\"received\\\"\\\\",
            "# TYPE our_messages counter",
            sample,
            "our_seconds_bucket{le=\"1.0\"} 1",
            "# TYPE our_build info",
            "# TYPE their_build info",
            "their_things_total 2 # {trace=\"abc\"} 2",
            "# UNIT their_seconds seconds",
        ],
    );
    check(
        &text,
        &[
            "# HELP our_messages_total Messages \"received\"\\\\",
            "# TYPE our_messages_total counter",
            sample,
            "our_seconds_bucket{le=\"1\"} 1",
            "# TYPE our_build_info gauge",
            "their_build_info{version=\"2\"} 1",
            "their_things_total 2",
        ],
    );
    assert!(!text.contains("# UNIT") && !text.contains("EOF"));
    assert_eq!(parse(&openmetrics, true).exemplars, ["{trace=\"abc\"} 2"]);
    parse(&text, false);
}

#[test]
fn promtool_reads_the_text_format() {
    let promtool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let spawned = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: promtool is not installed: its opinion was not asked");
            return;
        }
        spawned => spawned.unwrap(),
    };
    child.stdin.take().unwrap().write_all(&exposition().encode_as(Format::Text).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
