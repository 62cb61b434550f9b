//! The names that dashboards and alerts rely on, and whether Prometheus' own checker likes them.

use metrics_server::Registry;
use metrics_server::{Exposition, HttpMetrics};
use std::io::Write;
use std::process::{Command, Stdio};

/// Name and type of every family, as the exposition declares them: counters without `_total`, infos without `_info`.
const FAMILIES: &str = "\
gpu_charts_build info
gpu_charts_server_http_request_duration_seconds histogram
gpu_charts_server_http_request_panics counter
gpu_charts_server_http_requests counter
gpu_charts_server_http_requests_in_flight gauge
gpu_charts_server_http_response_size_bytes histogram
metrics_server_accept_errors counter
metrics_server_connection_panics counter
metrics_server_connection_timeouts counter
metrics_server_connections gauge
metrics_server_connections_refused counter
metrics_server_families_invalid counter
metrics_server_scrape_duration_seconds histogram
metrics_server_scrape_errors counter
metrics_server_scrape_size_bytes gauge
metrics_server_scrapes counter
metrics_server_scrapes_cut counter
metrics_server_scrapes_in_flight gauge
metrics_server_scrapes_refused counter
metrics_server_scrapes_shared counter
metrics_server_tls_handshake_errors counter
process_cpu_seconds counter
process_max_fds gauge
process_network_receive_bytes counter
process_network_transmit_bytes counter
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_threads gauge
process_virtual_memory_bytes gauge
process_virtual_memory_max_bytes gauge";

fn exposition() -> String {
    let mut registry = Registry::default();
    metrics_server::process::register(&mut registry);
    metrics_server::build_info!("gpu_charts").register(&mut registry);
    HttpMetrics::register(&mut registry, "gpu_charts_server", &["/api/data"]);
    Exposition::new(registry).encode().unwrap()
}

#[test]
fn families_are_those_of_the_contract() {
    let text = exposition();
    let mut families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    families.sort_unstable();
    assert_eq!(families.join("\n"), FAMILIES);
}

#[test]
fn counters_and_infos_get_their_suffix_once() {
    let text = exposition();
    for family in FAMILIES.lines() {
        let (name, kind) = family.split_once(' ').unwrap();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            "histogram" => "_bucket",
            _ => "",
        };
        let is_sample = |line: &str| {
            let rest = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(suffix));
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        assert!(text.lines().any(is_sample), "no sample {name}{suffix}");
    }
    assert!(!text.contains("# UNIT") && !text.contains("_total_total"), "{text}");
}

#[test]
fn build_info_tells_version_revision_and_compiler() {
    let text = exposition();
    let line = text.lines().find(|line| line.starts_with("gpu_charts_build_info{")).unwrap();
    let (revision, rustc) = (metrics_server::build_info::REVISION, metrics_server::build_info::RUSTC);
    let version = env!("CARGO_PKG_VERSION");
    let expected =
        format!("gpu_charts_build_info{{version=\"{version}\",revision=\"{revision}\",rustc=\"{rustc}\"}} 1");
    assert_eq!(line, expected);
    assert!(rustc.split('.').count() >= 3, "{rustc}");
    assert!(!revision.is_empty());
}

/// promtool reads the older text format: there a family has the name of its samples, and an info is a gauge.
fn as_text_format(openmetrics: &str) -> String {
    let families: Vec<_> = FAMILIES.lines().filter_map(|family| family.split_once(' ')).collect();
    let declared = |line: &str| -> Option<String> {
        let (keyword, rest) = line.strip_prefix("# ")?.split_once(' ')?;
        let (name, text) = rest.split_once(' ')?;
        let (_, kind) = families.iter().find(|(family, _)| *family == name)?;
        let (suffix, kind) = match *kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            kind => ("", kind),
        };
        Some(format!("# {keyword} {name}{suffix} {}", if keyword == "TYPE" { kind } else { text }))
    };
    openmetrics.lines().map(|line| declared(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let promtool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let spawned = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("promtool is not installed: its opinion was not asked");
            return;
        }
        spawned => spawned.unwrap(),
    };
    let text = as_text_format(&exposition());
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}
