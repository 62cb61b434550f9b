//! Opens files so that no name, link or race leads out of the data directory.

use std::{fs::File, io, path::Path};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

/// Opens `path`, relative to the directory `root`, for reading; the kernel refuses to leave `root` by `..` or a link.
pub(crate) fn open(root: &File, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    loop {
        match openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS) {
            Ok(file) => return Ok(File::from(file)),
            // EAGAIN: a rename raced with the lookup, the kernel could not decide.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
