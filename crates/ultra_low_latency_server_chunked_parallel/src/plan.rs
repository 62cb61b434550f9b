//! What an answer will be, decided before its first byte: which rows of which files, and the header line.

use std::{io, sync::Arc};

use column_store::{Access, Found, Index, IndexError, Selection, SeriesId, StoreError};
use http::HeaderValue;

use crate::{etag, header_line::header_line, limits::Limits, missing::Missing, query::DataQuery, rows::ColumnRows};

/// An answer to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Of which series.
    pub(crate) id: Arc<SeriesId>,
    /// The JSON line that describes the columns, with its newline.
    pub(crate) line: Vec<u8>,
    /// The rows that follow it, in order.
    pub(crate) columns: Vec<ColumnRows>,
    /// Bytes of the whole answer.
    pub(crate) length: u64,
    /// Rows of every column.
    pub(crate) rows: u64,
    /// What was asked for and is not there.
    pub(crate) missing: Option<Missing>,
    /// Of an answer that will always be the same.
    pub(crate) etag: Option<HeaderValue>,
    /// Days whose files had to be looked up.
    pub(crate) days_looked_up: usize,
}

/// Why there is no plan. The texts go to clients and hold no path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// Never told to a client: the plan is then made where waiting for a disk is no harm.
    #[error("The data is not in memory")]
    NotResident,
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

impl From<IndexError> for PlanError {
    fn from(error: IndexError) -> PlanError {
        match error {
            IndexError::NotResident => PlanError::NotResident,
            IndexError::Store(error) => error.into(),
            // Nothing else is known of errors that a later version may add.
            _ => PlanError::OpenFiles,
        }
    }
}

impl From<io::Error> for PlanError {
    fn from(error: io::Error) -> PlanError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => PlanError::Cut(error),
            io::ErrorKind::WouldBlock => PlanError::NotResident,
            _ => PlanError::Read(error),
        }
    }
}

impl Plan {
    /// Searches the files of `query`. With [`Access::Disk`] this belongs on a blocking thread.
    ///
    /// # Errors
    /// [`PlanError`]. A data directory, exchange, symbol, table or day that is not there is no error but
    /// [`Plan::missing`].
    pub(crate) fn make(index: &Index, query: &DataQuery, access: Access) -> Result<Plan, PlanError> {
        let Found { selection, validator, days_looked_up } = select(index, query, access)?;
        let Selection { columns, incomplete, any_day } = selection;
        let missing = if any_day {
            (!incomplete.is_empty()).then_some(Missing::Days(incomplete))
        } else if access == Access::Resident {
            // Which directory is absent takes looking at them.
            return Err(PlanError::NotResident);
        } else {
            Some(Missing::of_series(index.root(), &query.id, query.start, query.end))
        };
        // Every column of a selection has the same number of rows.
        let selected = columns.first().map_or(0, |column| column.rows);
        let stride = query.max_points.map_or(1, |points| selected.div_ceil(points));
        let columns: Vec<ColumnRows> =
            columns.into_iter().map(|selection| ColumnRows::new(selection, stride)).collect();
        let rows = columns.first().map_or(0, ColumnRows::rows);
        let line = header_line(&columns, rows);
        let length = line.len() as u64 + columns.iter().map(ColumnRows::bytes).sum::<u64>();
        let etag = validator.map(|validator| etag::of(validator, query));
        Ok(Plan { id: Arc::clone(&query.id), line, columns, length, rows, missing, etag, days_looked_up })
    }

    /// Whether the symbol is on disk, and so fit to be a label of a metric.
    pub(crate) fn has_symbol(&self) -> bool {
        self.missing.as_ref().is_none_or(Missing::has_symbol)
    }

    /// Whether the answer is best read at once: it is small, and little has to be read for it.
    pub(crate) fn is_small(&self, limits: &Limits) -> bool {
        let read_cost: u64 = self.columns.iter().map(ColumnRows::read_cost).sum();
        self.length <= limits.small_bytes as u64 && read_cost <= 8 * limits.small_bytes as u64
    }

    /// Whether the rows lie in the files as they are sent.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.columns.iter().all(ColumnRows::is_contiguous)
    }

    /// Appends the answer, or nothing if there is an error.
    ///
    /// # Errors
    /// [`PlanError::NotResident`] as `access` says, [`PlanError::Cut`], or [`PlanError::Read`].
    pub(crate) fn append_to(&self, answer: &mut Vec<u8>, access: Access) -> Result<(), PlanError> {
        let before = answer.len();
        answer.extend_from_slice(&self.line);
        for rows in &self.columns {
            let begin = answer.len();
            answer.resize(begin + usize::try_from(rows.bytes()).unwrap_or(0), 0);
            if let Err(error) = rows.read_with(0, answer.get_mut(begin..).unwrap_or_default(), access) {
                answer.truncate(before);
                return Err(error.into());
            }
        }
        Ok(())
    }
}

fn select(index: &Index, query: &DataQuery, access: Access) -> Result<Found, PlanError> {
    match index.select(&query.id, &query.columns, query.start, query.end, access) {
        // The logger may be started after the server: until then there is just nothing.
        Err(IndexError::Store(StoreError::Io { source, .. })) if source.kind() == io::ErrorKind::NotFound => {
            let nothing = |column| column_store::ColumnSelection { column, rows: 0, slices: Vec::new() };
            let columns = query.columns.iter().map(|column| nothing(*column)).collect();
            let selection = Selection { columns, incomplete: Vec::new(), any_day: false };
            Ok(Found { selection, validator: None, days_looked_up: 0 })
        }
        found => Ok(found?),
    }
}
