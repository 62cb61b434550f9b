//! What an answer will be, decided before its first byte: which rows of which files, and the header line.

use std::{collections::BTreeMap, io, path::Path};

use bytes::{BufMut as _, Bytes, BytesMut};
use column_store::{Reader, Selection, SeriesId, StoreError};
use serde::Serialize;

use crate::{budget::Files, limits::Limits, missing::Missing, query::DataQuery, rows::ColumnRows};

/// An answer to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Of which series.
    pub(crate) id: SeriesId,
    /// The JSON line and its newline; if `columns` is empty, everything.
    pub(crate) head: Bytes,
    /// What follows `head`, in order; empty if `head` holds it all.
    pub(crate) columns: Vec<ColumnRows>,
    /// Bytes of the whole answer.
    pub(crate) length: u64,
    /// Rows of every column.
    pub(crate) rows: u64,
    /// What was asked for and is not there.
    pub(crate) missing: Option<Missing>,
    /// The answer's share of the open files, for as long as it needs them.
    pub(crate) files: Files,
}

/// Why there is no plan. The texts go to clients and hold no path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("Too many files are open, please ask again")]
    OpenFiles,
    #[error("The data is behind a link that leads out of the data directory, which the server does not follow")]
    LeadsOut(#[source] StoreError),
    #[error("The data directory is of a newer format than this server knows")]
    NewerFormat(#[source] StoreError),
    #[error("The data was cut while it was read, please ask again")]
    Cut(#[source] io::Error),
    #[error("The data cannot be read; the server's log says why")]
    Store(#[source] StoreError),
    #[error("The data cannot be read; the server's log says why")]
    Read(#[source] io::Error),
}

impl From<StoreError> for PlanError {
    fn from(error: StoreError) -> PlanError {
        use rustix::io::Errno;
        match &error {
            StoreError::NewerFormat { .. } => PlanError::NewerFormat(error),
            StoreError::Io { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::MFILE | Errno::NFILE) => PlanError::OpenFiles,
                Some(Errno::XDEV | Errno::LOOP) => PlanError::LeadsOut(error),
                _ => PlanError::Store(error),
            },
            _ => PlanError::Store(error),
        }
    }
}

impl From<io::Error> for PlanError {
    fn from(error: io::Error) -> PlanError {
        if error.kind() == io::ErrorKind::UnexpectedEof { PlanError::Cut(error) } else { PlanError::Read(error) }
    }
}

/// The header line; the order of the fields is the order of the keys, which clients may rely on.
#[derive(Serialize)]
struct HeaderLine {
    columns: Vec<HeaderColumn>,
}

#[derive(Serialize)]
struct HeaderColumn {
    data_length: u64,
    name: &'static str,
    num_records: u64,
    record_size: usize,
}

impl Plan {
    /// Opens and searches the files of `query`. Small answers are read here too, which saves them the way through the
    /// chunk reader. Belongs on a blocking thread.
    ///
    /// # Errors
    /// [`PlanError`]. A data directory, exchange, symbol, table or day that is not there is no error but
    /// [`Plan::missing`].
    pub(crate) fn make(root: &Path, query: DataQuery, mut files: Files, limits: &Limits) -> Result<Plan, PlanError> {
        let Selection { columns, incomplete, any_day } = select(root, &query)?;
        let missing = if !any_day {
            Some(Missing::of_series(root, &query.id, query.start, query.end))
        } else {
            (!incomplete.is_empty()).then_some(Missing::Days(incomplete))
        };
        // Every column of a selection has the same number of rows.
        let selected = columns.first().map_or(0, |column| column.rows);
        let stride = query.max_points.map_or(1, |points| selected.div_ceil(points));
        let columns: Vec<ColumnRows> =
            columns.into_iter().map(|selection| ColumnRows::new(selection, stride)).collect();
        let rows = columns.first().map_or(0, ColumnRows::rows);
        let line = header_line(&columns)?;
        let data_bytes: u64 = columns.iter().map(ColumnRows::bytes).sum();
        let length = line.len() as u64 + data_bytes;
        // Planning must stay short, so what takes much reading is left to the chunks also if little comes of it.
        let read_cost: u64 = columns.iter().map(ColumnRows::read_cost).sum();
        let is_quick = read_cost <= 4 * limits.chunk_bytes as u64;
        let (head, columns) = match usize::try_from(data_bytes) {
            Ok(data_bytes) if is_quick && data_bytes <= limits.chunk_bytes => {
                (read_all(&line, &columns, data_bytes)?, Vec::new())
            }
            _ => (Bytes::from(line), columns),
        };
        files.keep(open_files(&columns));
        Ok(Plan { id: query.id, head, columns, length, rows, missing, files })
    }

    /// Whether the symbol is on disk, and so fit to be a label of a metric.
    pub(crate) fn has_symbol(&self) -> bool {
        self.missing.as_ref().is_none_or(Missing::has_symbol)
    }
}

fn select(root: &Path, query: &DataQuery) -> Result<Selection, PlanError> {
    match Reader::open(root) {
        Ok(reader) => Ok(reader.select(&query.id, &query.columns, query.start, query.end)?),
        // The logger may be started after the server: until then there is just nothing.
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let nothing = |column| column_store::ColumnSelection { column, rows: 0, slices: Vec::new() };
            let columns = query.columns.iter().map(|column| nothing(*column)).collect();
            Ok(Selection { columns, incomplete: Vec::new(), any_day: false })
        }
        Err(error) => Err(error.into()),
    }
}

/// Files that the columns hold open; a column that is asked for twice shares its files.
fn open_files(columns: &[ColumnRows]) -> usize {
    let by_name: BTreeMap<&str, usize> = columns.iter().map(|rows| (rows.column().name, rows.files())).collect();
    by_name.values().sum()
}

fn header_line(columns: &[ColumnRows]) -> Result<Vec<u8>, PlanError> {
    let columns = columns.iter().map(|rows| HeaderColumn {
        data_length: rows.bytes(),
        name: rows.column().name,
        num_records: rows.rows(),
        record_size: rows.width(),
    });
    let mut line = serde_json::to_vec(&HeaderLine { columns: columns.collect() }).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

fn read_all(line: &[u8], columns: &[ColumnRows], data_bytes: usize) -> Result<Bytes, PlanError> {
    let mut answer = BytesMut::with_capacity(line.len() + data_bytes);
    answer.put_slice(line);
    for rows in columns {
        let begin = answer.len();
        answer.put_bytes(0, usize::try_from(rows.bytes()).unwrap_or(0));
        rows.read(0, answer.get_mut(begin..).unwrap_or_default())?;
    }
    Ok(answer.freeze())
}
