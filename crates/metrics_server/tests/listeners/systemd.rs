//! Socket activation: a child process is started with open sockets, as systemd does it.

use crate::client::{get, within};
use crate::{bind, start};
use metrics_server::Limits;
use rustix::io::{FdFlags, fcntl_setfd};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};

/// Tells the child what to listen on; unset in the test run itself.
const ADDRESSES: &str = "TEST_SYSTEMD_ADDRESSES";

/// The child: this program again, with nothing but this test, which then is a service.
#[tokio::test]
async fn child() {
    let Ok(addresses) = std::env::var(ADDRESSES) else { return };
    let addresses: Vec<_> = addresses.split(' ').collect();
    let addresses: Vec<_> = addresses.iter().map(|address| address as &dyn std::fmt::Display).collect();
    if let Err(error) = bind(&addresses, Limits::default()).await.map(drop) {
        // Whatever was passed has been taken by this attempt; a second one must not take it again.
        println!("error: {error}");
        println!("again: {}", bind(&addresses, Limits::default()).await.unwrap_err());
        return;
    }
    println!("bound once");
    let error = bind(&addresses, Limits::default()).await.unwrap_err();
    println!("again: {error}");
}

/// The child that serves until it is killed.
#[tokio::test]
async fn serving_child() {
    let Ok(addresses) = std::env::var(ADDRESSES) else { return };
    let addresses: Vec<_> = addresses.split(' ').collect();
    let addresses: Vec<_> = addresses.iter().map(|address| address as &dyn std::fmt::Display).collect();
    let running = start(&addresses, Limits::default()).await;
    for address in &running.addresses {
        println!("listens: {address}");
    }
    let inherited = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let inherited = String::from_utf8(inherited.stdout).unwrap().replace('\n', " ");
    println!("open in a child of it: {inherited}");
    running.served.await.unwrap().unwrap();
}

struct Activated {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Activated {
    /// Starts `test` with `sockets` as its descriptors from 3 on. The shell puts them there, and its process becomes
    /// the child, so that `LISTEN_PID` is right.
    fn start(test: &str, addresses: &str, sockets: &[&dyn AsFd], variables: &str) -> Self {
        let mut redirections = String::new();
        for (number, socket) in (3..).zip(sockets) {
            let socket = socket.as_fd();
            fcntl_setfd(socket, FdFlags::empty()).unwrap();
            redirections += &format!(" {number}<&{0} {0}<&-", socket.as_raw_fd());
        }
        let script = format!(r#"export {variables}; exec "$0" --exact "systemd::{test}" --nocapture{redirections}"#);
        let mut child = Command::new("bash")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env(ADDRESSES, addresses)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { lines: BufReader::new(child.stdout.take().unwrap()).lines(), _child: child }
    }

    /// The rest of the first line that starts with `start`, wherever the test harness put it.
    async fn line(&mut self, start: &str) -> String {
        loop {
            let line = within(self.lines.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("the child ended without a line {start:?}"));
            if let Some((_, rest)) = line.split_once(start) {
                return rest.to_owned();
            }
        }
    }
}

/// Far above what is open here, so that the shell does not overwrite one that it is still to pass.
fn high(socket: impl AsFd) -> std::os::fd::OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(socket, 200).unwrap()
}

#[tokio::test]
async fn tcp_and_unix_sockets_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (tcp, unix) = (high(tcp), high(unix));
    let variables = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local";
    let mut child = Activated::start("serving_child", "systemd systemd:local,plain", &[&tcp, &unix], variables);
    // The named one first: the other takes what is left, wherever it stands.
    let listens = child.line("listens: ").await;
    assert!(listens.starts_with(&format!("unix:{}", path.display())) && listens.ends_with(",plain"), "{listens}");
    assert_eq!(child.line("listens: ").await, address.to_string());
    let inherited = child.line("open in a child of it: ").await;
    for passed in [tcp.as_raw_fd(), unix.as_raw_fd()] {
        let socket = std::fs::read_link(format!("/proc/self/fd/{passed}")).unwrap();
        assert!(inherited.contains("->") && !inherited.contains(socket.to_str().unwrap()), "{inherited}");
    }
    assert_eq!(get(address, "/health").await.status, 200);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut received = String::new();
    within(stream.read_to_string(&mut received)).await.unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
}

#[tokio::test]
async fn what_was_passed_is_taken_once() {
    let tcp = high(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let mut child = Activated::start("child", "systemd", &[&tcp], "LISTEN_PID=$$ LISTEN_FDS=1");
    child.line("bound once").await;
    assert!(child.line("again: ").await.contains("all sockets that systemd passed are in use"));
}

#[tokio::test]
async fn each_mistake_has_its_error() {
    let tcp = high(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let udp = high(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let file = high(std::fs::File::open("/dev/null").unwrap());
    let check = async |addresses: &str, socket: &dyn AsFd, variables: &str, expected: &str| {
        let mut child = Activated::start("child", addresses, &[socket], variables);
        let error = child.line("error: ").await;
        assert!(error.contains(expected), "{error:?} without {expected:?}");
    };
    let good = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web";
    check("systemd:metrics", &tcp, good, "no socket named \"metrics\" (left: web); set FileDescriptorName=").await;
    check("systemd", &tcp, "LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=1 is not this process").await;
    check("systemd", &tcp, "LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_FDS=\"x\" is not a number from 1").await;
    check("systemd", &file, good, "file descriptor 3 is no open socket").await;
    check("systemd", &udp, good, "not a stream socket, use ListenStream=").await;
}
