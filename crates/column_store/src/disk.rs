//! The operations on the disk that a test must be able to make fail.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// What the store asks of the disk when it writes. Production uses [`OsDisk`]; a test wraps it to fail or write short.
pub trait Disk: Send {
    /// Writes at an offset and says how many bytes it wrote, which may be fewer than asked.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&mut self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes everything written so far to the file system of `root` durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync(&mut self, root: &File) -> io::Result<()>;
}

/// The operating system's disk: `pwrite` and `syncfs`.
#[derive(Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn write_at(&mut self, file: &File, _: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync(&mut self, root: &File) -> io::Result<()> {
        Ok(rustix::fs::syncfs(root)?)
    }
}

/// Writes all of `bytes` at `offset`, taking up short writes.
pub(crate) fn write_all_at(
    disk: &mut dyn Disk,
    file: &File,
    path: &Path,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write_at(file, path, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
