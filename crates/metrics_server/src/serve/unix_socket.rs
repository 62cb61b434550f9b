//! Unix sockets in the file system: made with the permissions asked for, replaced when stale, removed at the end.

use super::bind_error::BindError;
use crate::listen_addr::ListenAddr;
use rustix::fs::{Gid, chown};
use rustix::net::SocketAddrUnix;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixSocket};

/// Connections that wait to be accepted; what tokio takes for TCP, and the kernel's own limit may be lower.
const BACKLOG: u32 = 1024;

/// Listens on `path` with exactly `mode`.
///
/// The socket is made under another name in the same directory and moved to its own once all is as asked for. Nobody
/// can connect earlier under either name, because it does not listen: the umask, which belongs to all threads of the
/// process, stays as it is.
pub(super) fn bind(
    address: &ListenAddr,
    path: &Path,
    mode: u32,
    group: Option<&str>,
) -> Result<(UnixListener, SocketFile), BindError> {
    let failed = |source| BindError::Listen { address: address.clone(), source };
    // The temporary name is shorter, and nobody could connect to a name that is too long.
    SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
    let group = group.map(|name| group_id(address, name)).transpose()?;
    make_way(address, path)?;

    let socket = UnixSocket::new_stream().map_err(failed)?;
    let temporary = Temporary(temporary_name(path).map_err(failed)?);
    socket.bind(&temporary.0).map_err(failed)?;
    if let Some(group) = group {
        let permissions = |source: rustix::io::Errno| permissions_error(address, "group", source.into());
        chown(&temporary.0, None, Some(group)).map_err(permissions)?;
    }
    fs::set_permissions(&temporary.0, Permissions::from_mode(mode))
        .map_err(|source| permissions_error(address, "mode", source))?;
    let file = SocketFile::new(path, &fs::symlink_metadata(&temporary.0).map_err(failed)?);
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    fs::rename(&temporary.0, path).map_err(failed)?;
    Ok((listener, file))
}

fn permissions_error(address: &ListenAddr, what: &'static str, source: io::Error) -> BindError {
    BindError::Permissions { address: address.clone(), what, source }
}

/// Sees that nothing stands at `path` but, perhaps, a socket that nobody accepts on, which is going to be replaced.
fn make_way(address: &ListenAddr, path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Listen { address: address.clone(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NoSocket { address: address.clone(), path: path.to_owned() });
        }
        Ok(_) => {}
    }
    // A full queue would make this wait in a blocking socket; whoever has one is alive.
    match connect_at_once(path) {
        Ok(()) => Err(BindError::InUse { address: address.clone() }),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::WouldBlock => Err(BindError::InUse { address: address.clone() }),
            _ => Err(failed(error)),
        },
    }
}

fn connect_at_once(path: &Path) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    drop(UnixStream::from(socket));
    Ok(())
}

/// A name beside `path` that no other program takes, and short: there is room for 107 bytes of path. It is random,
/// because in containers all programs have the same process number, and a killed one may have left its file.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 4];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(path.with_file_name(format!(".{:08x}", u32::from_ne_bytes(random))))
}

/// Removes a socket under its temporary name, unless it has been moved on.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Mostly there is nothing: what is left over then is only a file that nobody looks for.
        let _ = fs::remove_file(&self.0);
    }
}

/// The group of that number or name. Names are those of `/etc/group`: asking the system's other sources takes the C
/// library.
fn group_id(address: &ListenAddr, name: &str) -> Result<Gid, BindError> {
    let number = name.parse().ok().or_else(|| {
        let groups = fs::read_to_string("/etc/group").ok()?;
        groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    });
    // The greatest number is no group: chown takes it for "as it is".
    let number = number.filter(|number: &u32| *number != u32::MAX);
    number.map(Gid::from_raw).ok_or_else(|| BindError::Group { address: address.clone(), group: name.to_owned() })
}

/// The file of a socket that listens; removed with it, unless another one has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still = fs::symlink_metadata(&self.path);
        if still.is_ok_and(|still| (still.dev(), still.ino()) == (self.device, self.inode))
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket file cannot be removed");
        }
    }
}
