//! What a venue says of its symbols: `{root}/{exchange}/instruments.json`, which the logger's discovery replaces as a
//! whole.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::Path,
    time::SystemTime,
};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use serde::Deserialize;

const FILE: &str = "instruments.json";
/// Bytes of a file at most; the largest venue has 3 MB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One symbol of a venue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Instrument {
    /// The venue's own name.
    pub(crate) symbol: String,
    /// Its directory.
    pub(crate) stored: String,
    /// What is traded.
    pub(crate) base: String,
    /// What it is paid with.
    pub(crate) quote: String,
}

#[derive(Deserialize)]
struct InstrumentFile {
    instruments: Vec<Instrument>,
}

/// When a file was written, and how long it is.
pub(crate) type Stamp = (SystemTime, u64);

/// Reads an exchange's file, unless it still bears the stamp `known`; `None` then, or if there is none.
///
/// # Errors
/// It cannot be read or understood, or is too long.
pub(crate) fn read(root: &Path, exchange: &str, known: Option<Stamp>) -> io::Result<Option<(Stamp, Vec<Instrument>)>> {
    let directory = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = Path::new(exchange).join(FILE);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat2(directory, path, flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(file) => File::from(file),
        Err(error) if io::Error::from(error).kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    let stamp = (metadata.modified()?, metadata.len());
    if known == Some(stamp) {
        return Ok(None);
    }
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is no file of at most 16 MiB"));
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    let parsed: InstrumentFile = serde_json::from_slice(&text)?;
    Ok(Some((stamp, parsed.instruments)))
}
