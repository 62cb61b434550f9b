//! Append-only files of JSON lines. A line counts once its newline is there: what follows the last newline was torn by a
//! crash.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use crate::{Cut, Disk, StoreError, disk::write_all_at, recovery::move_tail};

/// Bytes of a line at most, its newline among them; none that we write comes near.
pub(crate) const LINE_LIMIT: usize = 4_096;
/// Bytes of a file that are read at most: far beyond a day of gaps, and no more than that is trusted to be ours.
pub(crate) const FILE_LIMIT: u64 = 256 << 20;

/// What a look at all lines found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Lines that are too long, or that the caller did not understand.
    pub(crate) damaged: u64,
    /// Bytes behind the last newline.
    pub(crate) torn: u64,
    /// Whether the file is longer than what was read.
    pub(crate) truncated: bool,
}

/// Hands every whole line to `on_line`, which says whether it understood it. Holds one line in memory.
pub(crate) fn scan(file: &File, mut on_line: impl FnMut(&[u8]) -> bool) -> io::Result<Scanned> {
    let mut scanned = Scanned::default();
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file.take(FILE_LIMIT));
    let (mut line, mut read, mut too_long) = (Vec::new(), 0_u64, 0_u64);
    loop {
        line.clear();
        let count = (&mut reader).take(LINE_LIMIT as u64).read_until(b'\n', &mut line)? as u64;
        read += count;
        match line.split_last() {
            None => break,
            // The end of a line that was too long.
            Some((b'\n', _)) if too_long > 0 => {
                scanned.damaged += 1;
                too_long = 0;
            }
            Some((b'\n', text)) => scanned.damaged += u64::from(!on_line(text)),
            Some(_) => too_long += count,
        }
    }
    scanned.truncated = length > FILE_LIMIT && read == FILE_LIMIT;
    scanned.torn = if scanned.truncated { 0 } else { too_long };
    Ok(scanned)
}

/// Appends whole lines. After a failed or short write the file is as it was, so the caller may try again; a torn line that
/// an earlier process left is moved away first.
pub(crate) fn append(path: &Path, lines: &[u8], disk: &dyn Disk) -> Result<(), StoreError> {
    cut_torn(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).map_err(StoreError::io("open", path))?;
    let length = file.metadata().map_err(StoreError::io("look at", path))?.len();
    if let Err(error) = write_all_at(disk, &file, path, lines, length) {
        // Best effort: readers leave out a torn line, and the next append cuts it.
        _ = file.set_len(length);
        return Err(StoreError::io("write", path)(error));
    }
    Ok(())
}

/// Moves what follows the last newline into a `*.torn` file, as recovery does with torn rows.
pub(crate) fn cut_torn(path: &Path) -> Result<Option<Cut>, StoreError> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("look at", path)(error)),
    };
    let keep = File::open(path).and_then(|file| whole_bytes(&file, length)).map_err(StoreError::io("read", path))?;
    if keep == length {
        return Ok(None);
    }
    let kept_in = move_tail(path, keep, keep)?;
    Ok(Some(Cut { file: path.to_owned(), kept_in, bytes: length - keep, rows: keep }))
}

/// Bytes up to the last newline, that one included.
fn whole_bytes(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = [0; LINE_LIMIT];
    while end > 0 {
        let start = end.saturating_sub(LINE_LIMIT as u64);
        let Some(part) = usize::try_from(end - start).ok().and_then(|bytes| block.get_mut(..bytes)) else { break };
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
