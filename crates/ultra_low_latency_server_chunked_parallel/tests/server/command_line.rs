//! The program: exit codes, what it prints, signals.

use std::{
    io::{BufRead as _, BufReader, Lines},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{
    DAY,
    client::{Answer, connect, get, receive_head, send},
    wait_until,
    written::{quotes, write_btc, write_large_day},
};

pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ultra_low_latency_server_chunked_parallel"));
    program.env_clear().stdin(Stdio::null());
    program
}

fn output(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        program().args(arguments).envs(environment.iter().copied()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn bad_configurations_exit_with_64() {
    let check = |arguments: &[&str], environment: &[(&str, &str)], expected: &str| {
        let (code, stdout, stderr) = output(arguments, environment);
        assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    check(&["--nope"], &[], "--nope");
    check(&["--port", "x"], &[], "--port");
    check(&["--port"], &[], "--port");
    check(&[], &[("PORT", "70000")], "PORT: \"70000\"");
    check(&[], &[("METRICS_PORT", "x")], "METRICS_PORT");
    check(&[], &[("USE_TLS", "true")], "USE_TLS: TLS needs a certificate");
    check(&["--ssl-cert-path", "x.crt"], &[], "--ssl-cert-path");
    check(&["--ssl-cert-path", "/nowhere.crt", "--ssl-private-file", "/nowhere.key"], &[], "/nowhere.crt");
    check(&["--metrics-listen", "nowhere"], &[], "--metrics-listen");
    check(&["--print-config"], &[("RUST_LOG", "==")], "RUST_LOG");
    check(&["--web-config", "/nowhere.yml"], &[], "/nowhere.yml");
    check(&[], &[("WEB_CONFIG_FILE", "/nowhere.yml")], "/nowhere.yml");
}

#[test]
fn help_version_and_configuration_are_printed() {
    let (code, help, stderr) = output(&["--help"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(help.contains("Examples:") && help.contains("[env: PORT] [default: 8443]"), "{help}");
    assert_eq!(output(&["--version"], &[]).0, 0);
    let (code, printed, _) = output(&["--print-config", "--port", "1"], &[("PORT", "2"), ("USE_TLS", "false")]);
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, printed["listen"][0].as_str()), (0, Some("0.0.0.0:1")));
}

#[test]
fn a_taken_port_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, stderr) = output(&["--listen", "127.0.0.1", "--port", &port, "--metrics-listen", "127.0.0.1:0"], &[]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("127.0.0.1:{port}")), "{stderr}");
}

/// The program, serving on ports that its log tells; killed when it is dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: String,
}

impl Serving {
    pub(crate) fn start(mut program: Command, root: &Path) -> Serving {
        let ports = ["--listen", "127.0.0.1", "--port", "0", "--metrics-listen", "127.0.0.1:0"];
        let mut child = program.args(ports).env("DATA_PATH", root).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Serving { child, lines, log: String::new() }
    }

    /// Reads the log up to the line with `what` and returns the address in it.
    pub(crate) fn address(&mut self, what: &str) -> SocketAddr {
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("the log ended: {}", self.log)).unwrap();
            self.log.push_str(&line);
            if line.contains(what) {
                let (_, rest) = line.split_once("address=").unwrap();
                return rest.split(' ').next().unwrap().parse().unwrap();
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn serves_until_a_signal() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(program(), root.path());
        let metrics = serving.address("metrics endpoint listens");
        let data = serving.address("data port listens");
        assert!(serving.log.contains("plain HTTP"), "{}", serving.log);
        let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time");
        assert_eq!(get(data, &target).expect(200).u32s(), [DAY]);
        assert!(get(metrics, "/metrics").expect(200).text().contains("gpu_charts_build_info"));
        let process = serving.child.id().to_string();
        let send = |signal: &str| Command::new("kill").args([&format!("-{signal}"), &process]).status().unwrap();
        // What reloads everything on a host does not end what has nothing to reload.
        assert!(send("HUP").success());
        while !serving.log.contains("nothing to reload") {
            serving.log += &serving.lines.next().unwrap().unwrap();
        }
        assert!(send(signal).success());
        wait_until("the program's end", || serving.child.try_wait().unwrap().is_some());
        let rest: Vec<_> = serving.lines.by_ref().map(Result::unwrap).collect();
        assert!(serving.child.wait().unwrap().success(), "{signal}: {rest:?}");
        assert!(rest.iter().any(|line| line.contains(&format!("SIG{signal}"))), "{rest:?}");
    }
}

#[test]
fn answers_that_are_held_cannot_take_all_open_files() {
    let root = TempDir::new().unwrap();
    write_large_day(root.path(), DAY, "18.11.26", 8 << 20);
    let days: Vec<u32> = (1..25).map(|day| DAY + day * 86_400).collect();
    write_btc(root.path(), &quotes(&days));
    // 30 of 60 files are for answers. The shell sets the limit, since a process cannot do it for its child alone.
    let mut limited = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_ultra_low_latency_server_chunked_parallel");
    limited.args(["-c", "ulimit -n 60 && exec \"$@\"", "sh", binary]).env_clear().env("PATH", "/usr/bin:/bin");
    let mut serving = Serving::start(limited, root.path());
    let metrics = serving.address("metrics endpoint listens");
    let data = serving.address("data port listens");
    let end = DAY + 25 * 86_400 - 1;
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={end}&columns=time");
    let mut held = connect(data);
    send(&mut held, "GET", &target);
    receive_head(&mut held).unwrap().expect(200);

    // The same files are shared. Further ones are not there to be had while they are held.
    let mut shares = connect(data);
    send(&mut shares, "GET", &target);
    receive_head(&mut shares).unwrap().expect(200);
    let refused = get(data, &target.replace("columns=time", "columns=time,event_id")).expect(503);
    assert_eq!(refused.text(), "Too many files are open, please ask again");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // What needs few is served, and so are those who watch.
    let small = format!("/api/data?symbol=BTC-USD&type=MD&start={end}&end={end}&columns=time");
    get(data, &small).expect(200);
    let text = get(metrics, "/metrics").expect(200);
    assert!(text.text().contains("gpu_charts_server_requests_refused_total{reason=\"open_files\"} 1"));
    drop((held, shares));
    let whole = |answer: Answer| answer.status == 200 && answer.u32s().len() == (8 << 20) + 24;
    wait_until("the files are free again", || whole(get(data, &target)));
}

#[test]
fn s4_out_of_descriptors_the_server_goes_on() {
    let root = TempDir::new().unwrap();
    write_btc(root.path(), &quotes(&[DAY]));
    let mut limited = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_ultra_low_latency_server_chunked_parallel");
    limited.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh", binary]).env_clear().env("PATH", "/usr/bin:/bin");
    let mut serving = Serving::start(limited, root.path());
    let metrics = serving.address("metrics endpoint listens");
    let data = serving.address("data port listens");
    // More than there are descriptors, on both ports; those beyond the cap are closed at once.
    let idle: Vec<_> = (0..100).map(|number| connect(if number % 2 == 0 { data } else { metrics })).collect();
    let target = format!("/api/data?symbol=BTC-USD&type=MD&start={DAY}&end={DAY}&columns=time");
    assert!(serving.child.try_wait().unwrap().is_none(), "it goes on");
    drop(idle);
    let mut answered = None;
    wait_until("it answers again", || {
        let mut stream = connect(data);
        send(&mut stream, "GET", &target);
        answered = crate::client::receive(&mut stream, false).ok();
        answered.is_some()
    });
    assert_eq!(answered.unwrap().expect(200).u32s(), [DAY]);
    assert!(serving.child.try_wait().unwrap().is_none());
}
