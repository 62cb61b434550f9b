//! `scripts/demo.sh` as a newcomer starts it, and what people run against it. Needs the contract's ports.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use end_to_end::{program::Program, project};

/// The check script that people have from the first monitoring guide, to the letter.
const QUICK_TEST_SCRIPT: &str = r#"#!/bin/bash
# test-pull-metrics.sh

echo "Testing Pull-Based Metrics"

# Test logger metrics
echo -n "Logger metrics: "
curl -s http://localhost:9090/metrics | grep -c "gpu_charts_exchange"

# Test server metrics
echo -n "Server metrics: "
curl -s http://localhost:9091/metrics | grep -c "gpu_charts_server"

# Test Prometheus scraping
echo -n "Prometheus targets: "
curl -s http://localhost:9092/api/v1/targets | jq '.data.activeTargets | length'

echo "Done!"
"#;

/// Processes whose command line names `directory`.
fn processes_of(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let command_lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    command_lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(directory) && !line.contains("demo.sh"))
        .collect()
}

#[test]
fn the_demo_runs_answers_the_old_check_script_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().join("demo");
    let args = ["--dir", work.to_str().unwrap()];
    let mut demo = Program::start(&project().join("scripts/demo.sh"), &args, &directory.path().join("demo.log"));
    let deadline = Instant::now() + Duration::from_secs(900);
    while !demo.log().contains("Ctrl-C stops it") {
        assert!(demo.is_running(), "the demo ended:\n{}", demo.log());
        assert!(Instant::now() < deadline, "the demo does not come up:\n{}", demo.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(demo.log().contains(r#"{"columns":[{"data_length":"#), "it shows an answer of the data API");
    let running = processes_of(&work);
    assert!(running.len() >= 3, "simulator, logger and Prometheus name the directory: {running:?}");

    let script = directory.path().join("test-pull-metrics.sh");
    fs::write(&script, QUICK_TEST_SCRIPT).unwrap();
    let output = Command::new("bash").arg(&script).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let count = |line: &str| text.lines().find_map(|text| text.strip_prefix(line)?.parse::<u32>().ok());
    for line in ["Logger metrics: ", "Server metrics: ", "Prometheus targets: "] {
        assert!(count(line).is_some_and(|count| count > 0), "{text}");
    }
    assert_eq!(count("Prometheus targets: "), Some(3));

    demo.terminate();
    assert_eq!(processes_of(&work), [""; 0], "everything it started ended with it");
}
