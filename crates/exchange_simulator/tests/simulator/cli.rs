//! The program.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use exchange_simulator::{ControlMessage, read_ledger};

use crate::client::DEADLINE;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_exchange_simulator"))
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn exit_code(child: &mut Child) -> Option<i32> {
    wait_for("the program ends", || child.try_wait().unwrap().is_some());
    child.try_wait().unwrap().unwrap().code()
}

#[test]
fn bad_arguments_name_the_flag_and_exit_with_64() {
    for (arguments, words) in [
        (&["--rate", "many"][..], "--rate"),
        (&["--rate", "-1"], "--rate"),
        (&["--symbols", "65"], "--symbols"),
        (&["run", "--symbols", "0"], "--symbols"),
        (&["--exchanges", "coinbase,krakatoa"], "krakatoa"),
        (&["--exchanges", "binance,binance"], "--exchanges"),
        (&["--start-time", "noon"], "--start-time"),
        (&["--duration", "x"], "--duration"),
        (&["--clock-speed", "0"], "--clock-speed"),
        (&["--tls-cert", "a.pem"], "--tls-key"),
        (&["--ledger", "/nowhere/at/all"], "--ledger"),
        (&["--unknown"], "--unknown"),
        (&["--fault", "gasp"], "--fault"),
        (&["--fault", "gap@okx"], "no running venue has such a thing"),
        (&["--fault", "stall:symbol=NOPE-USD"], "no running venue has such a thing"),
        (&["--fault", "gap:rest=perhaps"], "rest=perhaps"),
        (&["--idle-timeout", "0s"], "--idle-timeout"),
        (&["replay"], "FILE"),
        (&["replay", "/dev/null"], "/dev/null:1"),
        (&["replay", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["replay", "/dev/null", "--speed", "-2"], "--speed"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn help_has_examples_and_succeeds() {
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!(run(arguments).status.code(), Some(0), "{arguments:?}");
    }
    let help = String::from_utf8(run(&["run", "--help"]).stdout).unwrap();
    for words in ["Examples:", "reset@binance:after=5s", "bad-symbol:batch=no", "bitfinex"] {
        assert!(help.contains(words), "{words}");
    }
}

#[test]
fn announces_itself_moves_and_ends_in_order_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let [config, ledger] = ["simulator.yaml", "ledger.jsonl"].map(|name| directory.path().join(name));
    let mut child = program()
        .args(["--rate", "2000", "--symbols", "3", "--max-events", "500", "--start-time", "2026-03-01T23:59:50Z"])
        .arg("--ledger")
        .arg(&ledger)
        .arg("--logger-config")
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it listens", || config.exists());
    let yaml = std::fs::read_to_string(&config).unwrap();
    assert!(yaml.starts_with("exchanges:\n  coinbase:\n    ws_url: \"ws://127.0.0.1:"), "{yaml}");
    assert!(yaml.contains(r#"    symbols: ["BTCUSDT", "ETHUSDT", "SOLUSDT"]"#), "{yaml}");
    let matches = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().filter(|line| line.contains(r#""message":"match""#)).count()
    };
    wait_for("the market has ended and the ledger is flushed", || matches(&ledger) == 500);
    let killed = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status().unwrap();
    assert!(killed.success());
    assert_eq!(exit_code(&mut child), Some(0));
    let entries = read_ledger(&ledger).unwrap();
    let times = entries.iter().filter_map(|entry| entry.message()).filter_map(|entry| entry.event_ns);
    let start_ns = 1_772_409_590_000_000_000_u64;
    assert!(times.into_iter().all(|time| (start_ns - 1_000_000_000..start_ns + 30_000_000_000).contains(&time)));
}

#[test]
fn prints_the_configuration_and_ends_by_itself() {
    let output = run(&["--exchanges", "binance", "--symbols", "1", "--duration", "50ms", "--logger-config", "-"]);
    assert_eq!(output.status.code(), Some(0));
    let yaml = String::from_utf8(output.stdout).unwrap();
    assert!(yaml.starts_with("exchanges:\n  binance:\n    ws_url: \"ws://127.0.0.1:"), "{yaml}");
    assert!(!yaml.contains("coinbase"));
}

#[test]
fn faults_of_the_command_line_happen_at_their_time_and_stand_in_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger.jsonl");
    let venues = "coinbase,binance,kraken,okx,bitfinex";
    let faults = ["reset@binance:after=50ms", "clock-skew@okx:by=-3s,at=5,for=100ms", "slow-rest"];
    let mut arguments = vec!["run", "--exchanges", venues, "--duration", "600ms", "--ledger", ledger.to_str().unwrap()];
    faults.iter().for_each(|fault| arguments.extend(["--fault", fault]));
    assert_eq!(run(&arguments).status.code(), Some(0));
    let entries = read_ledger(&ledger).unwrap();
    let told = |message: ControlMessage, reason: &str| {
        let controls = entries.iter().filter_map(|entry| entry.control());
        controls.filter(|entry| entry.message == message && entry.reason.as_deref() == Some(reason)).count()
    };
    assert_eq!(told(ControlMessage::Fault, "reset@binance:refuse=0s,after=50ms"), 1);
    assert_eq!(told(ControlMessage::Fault, "slow-rest:delay=1s"), 5, "at every venue");
    for message in [ControlMessage::Fault, ControlMessage::FaultEnd] {
        assert_eq!(told(message, "clock-skew@okx:by=-3s,at=5,for=100ms"), 1);
    }
    let venues: std::collections::BTreeSet<_> =
        entries.iter().filter_map(|entry| entry.message()).map(|entry| entry.venue).collect();
    assert_eq!(venues.len(), 5);
}

#[test]
fn a_taken_port_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["--binance-rest-port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&port));
}
