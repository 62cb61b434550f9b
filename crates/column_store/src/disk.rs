//! The operations on the disk that a test must be able to make fail.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::StoreError;

/// What the store asks of the disk when it writes. Production uses [`OsDisk`]; a test wraps it to fail or write short.
pub trait Disk: Send + Sync {
    /// Writes at an offset and says how many bytes it wrote, which may be fewer than asked.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts a file to a length.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        let _ = path;
        file.set_len(length)
    }

    /// Makes everything written so far to the file system of `root` durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync(&self, root: &File) -> io::Result<()>;

    /// Makes one file, or one directory's entries, durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        let _ = path;
        file.sync_all()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Gives a file another name in its directory, replacing what had that name.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

/// The operating system's disk: `pwrite` and `syncfs`.
#[derive(Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn write_at(&self, file: &File, _: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync(&self, root: &File) -> io::Result<()> {
        Ok(rustix::fs::syncfs(root)?)
    }
}

/// Durably replaces a small file: written beside it, synced, renamed, and the rename synced.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary(path);
    let file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
    write_all_at(disk, &file, &temporary, content, 0).map_err(StoreError::io("write", &temporary))?;
    disk.sync_file(&file, &temporary).map_err(StoreError::io("sync", &temporary))?;
    disk.rename(&temporary, path).map_err(StoreError::io("replace", path))?;
    sync_directory(disk, path)
}

/// Where a file is made before it gets its name.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_directory(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let file = File::open(directory).map_err(StoreError::io("open", directory))?;
    disk.sync_file(&file, directory).map_err(StoreError::io("sync", directory))
}

/// Writes all of `bytes` at `offset`, taking up short writes.
pub(crate) fn write_all_at(
    disk: &dyn Disk,
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
