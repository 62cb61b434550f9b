//! Reads captures.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Entry, Header, header::VERSION, line::Lines};

/// Bytes of a line at most: the largest frame that the logger takes, escaped.
const LINE_LIMIT: u64 = 128 << 20;

/// Why a capture cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is no capture of this logger: {reason}")]
    NoCapture { path: PathBuf, reason: String },
    #[error("{path} is a capture of version {found}, this program knows up to {VERSION}: use a newer version")]
    Newer { path: PathBuf, found: u32 },
    #[error("{path}, line {line}: {reason}")]
    Line { path: PathBuf, line: u64, reason: String },
}

/// One file of a capture: an iterator over its entries. What a kill -9 cut off at its end is left out.
pub(crate) struct CaptureFile {
    path: PathBuf,
    header: Option<Header>,
    input: Option<Box<dyn io::BufRead>>,
    lines: Lines,
    line: u64,
    /// The newest line.
    text: Vec<u8>,
    is_torn: bool,
    /// Bytes of the file.
    length: u64,
    /// Of these, the ones that were read.
    position: Rc<Cell<u64>>,
}

/// Counts what is read.
struct Counted {
    file: File,
    position: Rc<Cell<u64>>,
}

impl io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

impl CaptureFile {
    /// Opens a file, compressed or not, and reads its header.
    pub(crate) fn open(path: &Path) -> Result<CaptureFile, ReadError> {
        let io_error = |source| ReadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error)?;
        let length = file.metadata().map_err(io_error)?.len();
        let position = Rc::new(Cell::new(0));
        let mut file = BufReader::with_capacity(1 << 16, Counted { file, position: Rc::clone(&position) });
        let is_compressed = file.fill_buf().map_err(io_error)?.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        let input: Box<dyn io::BufRead> = match is_compressed {
            true => {
                let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(io_error)?;
                Box::new(BufReader::with_capacity(1 << 16, decoder))
            }
            false => Box::new(file),
        };
        let mut capture = CaptureFile {
            path: path.to_owned(),
            header: None,
            input: Some(input),
            lines: Lines::default(),
            line: 0,
            text: Vec::new(),
            is_torn: false,
            length,
            position,
        };
        capture.read_header()?;
        Ok(capture)
    }

    /// What the file is of; none if it was torn before that was written.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Whether its end was cut off; known when all of it was read.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Bytes of the file that were read.
    pub(crate) fn position(&self) -> u64 {
        self.position.get()
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn read_header(&mut self) -> Result<(), ReadError> {
        if !self.next_line()? {
            return Ok(());
        }
        let no_capture = |reason: String| ReadError::NoCapture { path: self.path.clone(), reason };
        let value: serde_json::Value =
            serde_json::from_slice(&self.text).map_err(|error| no_capture(error.to_string()))?;
        let version = value.get("capture").and_then(serde_json::Value::as_u64);
        let version = version.ok_or_else(|| no_capture("its first line does not say so".to_owned()))?;
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        if found > VERSION {
            return Err(ReadError::Newer { path: self.path.clone(), found });
        }
        self.header = Some(serde_json::from_value(value).map_err(|error| no_capture(error.to_string()))?);
        Ok(())
    }

    /// Reads a line into `text`; `false` if there is none any more.
    fn next_line(&mut self) -> Result<bool, ReadError> {
        self.text.clear();
        let Some(input) = &mut self.input else { return Ok(false) };
        match input.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut self.text) {
            Ok(0) => {}
            Ok(_) if self.text.ends_with(b"\n") => {
                self.text.pop();
                self.line += 1;
                return Ok(true);
            }
            Ok(read) if read as u64 == LINE_LIMIT => {
                let reason = format!("it is longer than {LINE_LIMIT} bytes");
                return Err(ReadError::Line { path: self.path.clone(), line: self.line + 1, reason });
            }
            Ok(_) => self.is_torn = true,
            // The newest block was not written whole.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.is_torn = true,
            Err(source) => {
                self.input = None;
                return Err(ReadError::Io { path: self.path.clone(), source });
            }
        }
        self.input = None;
        self.is_torn |= self.lines.is_within_batch();
        Ok(false)
    }
}

impl Iterator for CaptureFile {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Result<Entry, ReadError>> {
        loop {
            match self.next_line() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            let understood = match std::str::from_utf8(&self.text) {
                Ok(text) => self.lines.take(text),
                Err(error) => Err(error.to_string()),
            };
            match understood {
                Ok(Some(entry)) => return Some(Ok(entry)),
                Ok(None) => {}
                Err(reason) => {
                    self.input = None;
                    return Some(Err(ReadError::Line { path: self.path.clone(), line: self.line, reason }));
                }
            }
        }
    }
}
