//! The logger as a process on a core of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::LOGGER_CORE;

/// Clock ticks a second of the times in `/proc`: fixed for user space on Linux.
const TICKS: f64 = 100.0;

/// A running logger; killed when dropped.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts the logger with its defaults, on [`LOGGER_CORE`] only.
    pub(crate) fn start(directory: &Path, exchange: &str, symbols: &[String], address: SocketAddr) -> Program {
        let config = directory.join("logger.yaml");
        let text = format!(
            "data_path: {}\nmetrics_listen: [\"unix:{}\"]\nexchanges:\n  {}:\n    ws_url: ws://{address}\n    rest_url: http://{address}\n    symbols: {:?}\n",
            directory.join("data").display(),
            directory.join("metrics.sock").display(),
            exchange,
            symbols
        );
        fs::write(&config, text).unwrap();
        let logger = std::env::var_os("BENCH_LOGGER").unwrap_or_else(|| env!("CARGO_BIN_EXE_logger").into());
        let mut command = Command::new(logger);
        command.arg("--config").arg(&config);
        Program::spawn(&command, directory)
    }

    /// Starts a program on [`LOGGER_CORE`], with its log in the directory.
    pub(crate) fn spawn(command: &Command, directory: &Path) -> Program {
        let log = directory.join("log");
        let child = Command::new("taskset")
            .args(["-c", &LOGGER_CORE.to_string()])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Program { child, log }
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_else(|error| {
            panic!("the logger is gone ({error}):\n{}", fs::read_to_string(&self.log).unwrap_or_default())
        })
    }

    /// Processor time of the process, in its own code and in the kernel.
    pub(crate) fn cpu(&self) -> [Duration; 2] {
        let stat = self.proc("stat");
        // The name in parentheses may hold anything; fields 14 and 15 are counted from behind it.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let mut fields = fields.split(' ').skip(11).map(|ticks| ticks.parse::<f64>().unwrap() / TICKS);
        [(); 2].map(|()| Duration::from_secs_f64(fields.next().unwrap()))
    }

    /// The same together, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.cpu().iter().map(Duration::as_secs_f64).sum()
    }

    /// The most memory that was resident, MB.
    pub(crate) fn peak_mb(&self) -> f64 {
        self.memory_mb("VmHWM:")
    }

    /// The memory that is resident, MB.
    pub(crate) fn resident_mb(&self) -> f64 {
        self.memory_mb("VmRSS:")
    }

    fn memory_mb(&self, name: &str) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    }

    /// SIGTERM; returns after everything is synced, which exit code 0 says.
    pub(crate) fn finish(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}:\n{}", fs::read_to_string(&self.log).unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
