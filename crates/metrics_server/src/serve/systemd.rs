//! Sockets that systemd opened and passed on: `sd_listen_fds(3)`.

use super::bind_error::BindError;
use super::listener::{Accepting, Listener};
use crate::listen_addr::{ListenAddr, ListenSocket};
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use tokio::net::{TcpListener, UnixListener};

/// The first descriptor that systemd passes.
const FIRST: u32 = 3;

/// The most sockets that are taken over; a unit has a handful.
const SOCKETS_MAX: u32 = 64;

/// A passed socket that nobody listens on yet, and its name.
struct Passed {
    name: Option<String>,
    socket: OwnedFd,
}

/// What systemd passed and no listener has taken. The descriptors are the process's, and can be taken once only: this
/// is the one place that remembers it.
static PASSED: Mutex<Option<Vec<Passed>>> = Mutex::new(None);

/// Takes the sockets of that name, or all that are left.
pub(super) fn take(address: &ListenAddr, name: Option<&str>) -> Result<Vec<Listener>, BindError> {
    let failed = |problem| BindError::Systemd { address: address.clone(), problem };
    let taken = take_passed(name).map_err(failed)?;
    taken.into_iter().map(|passed| listener(address, passed)).collect()
}

fn take_passed(name: Option<&str>) -> Result<Vec<Passed>, String> {
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    if passed.is_none() {
        *passed = Some(take_over()?);
    }
    let left = passed.get_or_insert_default();
    let wanted = |one: &Passed| name.is_none_or(|name| one.name.as_deref() == Some(name));
    let (taken, rest): (Vec<_>, Vec<_>) = left.drain(..).partition(wanted);
    *left = rest;
    match (taken.is_empty(), name) {
        (false, _) => Ok(taken),
        (true, None) => Err("all sockets that systemd passed are in use by other listeners".to_owned()),
        (true, Some(name)) => {
            let names: Vec<_> = left.iter().map(|one| one.name.as_deref().unwrap_or("unnamed")).collect();
            Err(format!(
                "systemd passed no socket named {name:?} (left: {}); set FileDescriptorName= in the socket unit",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            ))
        }
    }
}

/// Takes the descriptors over from the environment, after making sure that they are what it says.
fn take_over() -> Result<Vec<Passed>, String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(pid) = variable("LISTEN_PID") else {
        return Err("LISTEN_PID is not set: start the program by a systemd socket unit".to_owned());
    };
    if pid.parse() != Ok(std::process::id()) {
        let own = std::process::id();
        return Err(format!("LISTEN_PID={pid} is not this process ({own}): systemd must start it without a wrapper"));
    }
    let count = variable("LISTEN_FDS").unwrap_or_default();
    let number = count.parse::<u32>().ok().filter(|number| (1..=SOCKETS_MAX).contains(number));
    let Some(number) = number else {
        return Err(format!("LISTEN_FDS={count:?} is not a number from 1 to {SOCKETS_MAX}"));
    };
    for descriptor in FIRST..FIRST + number {
        // A descriptor that is none, or one of our own, must not be taken over: it would be closed at the end.
        let target = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        if !target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:")) {
            return Err(format!("LISTEN_FDS={number}, but file descriptor {descriptor} is no open socket"));
        }
    }
    let sockets = sd_listen_fds::get().map_err(|error| format!("LISTEN_FDS={number}: {error}"))?;
    let sockets = sockets.into_iter().map(|(name, socket)| Passed { name, socket: socket.into_std() });
    let sockets: Vec<_> = sockets.collect();
    for passed in &sockets {
        // systemd leaves them open for children, which are none of their business.
        rustix::io::fcntl_setfd(&passed.socket, rustix::io::FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    }
    Ok(sockets)
}

/// Listens on a passed socket, whose address is told in place of `systemd`.
fn listener(address: &ListenAddr, Passed { name, socket }: Passed) -> Result<Listener, BindError> {
    let name = name.unwrap_or_else(|| "unnamed".to_owned());
    let kind = kind(&socket).map_err(|error| error.to_string()).and_then(|kind| kind.map_err(str::to_owned));
    let listener = kind.and_then(|kind| open(kind, socket, address).map_err(|error| error.to_string()));
    listener.map_err(|problem| BindError::Systemd {
        address: address.clone(),
        problem: format!("the socket {name:?} that systemd passed: {problem}"),
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Unix,
}

fn kind(socket: &OwnedFd) -> io::Result<Result<Kind, &'static str>> {
    if socket_type(socket)? != SocketType::STREAM {
        return Ok(Err("not a stream socket, use ListenStream= in the socket unit"));
    }
    if !socket_acceptconn(socket)? {
        return Ok(Err("does not listen, set Accept=no in the socket unit"));
    }
    Ok(match socket_domain(socket)? {
        AddressFamily::INET | AddressFamily::INET6 => Ok(Kind::Tcp),
        AddressFamily::UNIX => Ok(Kind::Unix),
        _ => Err("neither a TCP nor a unix socket"),
    })
}

fn open(kind: Kind, socket: OwnedFd, address: &ListenAddr) -> io::Result<Listener> {
    let plain = address.plain;
    match kind {
        Kind::Tcp => {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            let local = ListenAddr { plain, ..listener.local_addr()?.into() };
            Ok(Listener::new(Accepting::Tcp(listener), local))
        }
        Kind::Unix => {
            let listener = std::os::unix::net::UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            let local = listener.local_addr()?;
            // An abstract socket has no path; then it goes by the name that it was asked for.
            let local = local.as_pathname().map(|path| unix_address(address, path));
            // The file is systemd's, and stays.
            Ok(Listener::new(Accepting::Unix(listener), local.unwrap_or_else(|| address.clone())))
        }
    }
}

fn unix_address(address: &ListenAddr, path: &std::path::Path) -> ListenAddr {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    let socket = ListenSocket::Unix { path: path.to_owned(), mode, group: None };
    ListenAddr { socket, plain: address.plain }
}
