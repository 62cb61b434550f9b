//! The example program in a process of its own.

use crate::client::{DEADLINE, within};
use crate::fixture::Fixture;
use crate::running::{Answer, curl};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval};

/// Killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    output: PathBuf,
    socket: String,
    tls: bool,
}

impl Program {
    /// Starts it with the fixture's web config, on a unix socket.
    pub(crate) fn start(fixture: &Fixture, log: &str, number: usize) -> Self {
        let test = std::env::current_exe().unwrap();
        let program = test.parent().and_then(Path::parent).unwrap().join("examples/minimal");
        assert!(program.exists(), "not built: cargo build -p metrics_server --examples");
        let output = fixture.directory.path().join(format!("output{number}"));
        let (file, socket) = (File::create(&output).unwrap(), fixture.path(&format!("socket{number}")));
        let child = Command::new(program)
            .args(["--metrics-listen", &format!("unix:{socket}"), "--web-config", &fixture.path("web-config.yml")])
            .env_clear()
            .envs([("RUST_LOG", log), ("NO_COLOR", "1")])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let tls = fs::read_to_string(fixture.path("web-config.yml")).unwrap().contains("tls_server_config");
        Self { child, output, socket, tls }
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Waits until it printed this.
    pub(crate) async fn says(&self, text: &str) {
        let (deadline, mut pause) = (Instant::now() + DEADLINE, interval(Duration::from_millis(10)));
        while !self.output().contains(text) {
            assert!(Instant::now() < deadline, "never said {text:?}: {}", self.output());
            pause.tick().await;
        }
    }

    pub(crate) async fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let scheme = if self.tls { "https" } else { "http" };
        let socket = ["-k", "--unix-socket", self.socket.as_str()];
        curl(&format!("{scheme}://localhost{path}"), &[&socket, arguments].concat()).await.unwrap()
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }

    /// Its exit.
    pub(crate) async fn ended(&mut self) -> bool {
        within(self.child.wait()).await.unwrap().success()
    }
}
