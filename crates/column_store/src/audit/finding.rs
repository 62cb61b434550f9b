//! What an audit can find.

use serde::Serialize;

use crate::Day;

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, nothing is wrong.
    Note,
    /// Events are missing; the files are sound.
    Missing,
    /// The files are not as the format wants them.
    Damage,
}

/// Something that an audit found on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Columns without `time`: no reader sees them.
    NoTime,
    /// A column's last cell is incomplete.
    TornCell {
        /// The column.
        column: &'static str,
        /// Bytes beyond its whole cells.
        bytes: u64,
    },
    /// A column has fewer rows than `time`: the day is read only as far as it goes.
    ShortColumn {
        /// The column.
        column: &'static str,
        /// Its rows.
        rows: u64,
        /// Rows of `time`.
        time_rows: u64,
    },
    /// A column has more rows than `time`.
    LongColumn {
        /// The column.
        column: &'static str,
        /// Its rows.
        rows: u64,
        /// Rows of `time`.
        time_rows: u64,
    },
    /// The search key falls: a search by time may miss rows.
    KeyFalls {
        /// How often.
        count: u64,
        /// The first row that is before the one above it; 0 is the first of the day.
        row: u64,
    },
    /// `time` is of another day.
    OtherDay {
        /// Rows.
        count: u64,
        /// The first of them.
        row: u64,
    },
    /// `nanos` is a second or more.
    NanosTooLarge {
        /// Rows.
        count: u64,
        /// The first of them.
        row: u64,
    },
    /// Ids that were seen before in this series.
    DuplicateIds {
        /// Rows.
        count: u64,
        /// The first such id.
        id: u64,
    },
    /// Ids that the venue must have given, and that are nowhere in the series.
    MissingIds {
        /// How many.
        count: u64,
        /// Of these, the ones that no open or lost gap records.
        unrecorded: u64,
        /// First and last missing id of the first 16 holes.
        first: Vec<(u64, u64)>,
    },
    /// Rows whose id is not known where ids should prove that nothing is missing.
    UnknownIds {
        /// Rows.
        count: u64,
    },
    /// More holes or unique ids than are remembered: these ids could not be judged.
    UnjudgedIds {
        /// Rows.
        count: u64,
    },
    /// A gap of which nothing says how much is missing, or that lies where ids cannot tell.
    Gap {
        /// Its id.
        id: String,
        /// The day in which it begins, whose file records it.
        begins: Day,
        /// `true` if the venue cannot deliver it any more, else it is open.
        lost: bool,
        /// Events that are missing, if that is known.
        missing: Option<u64>,
        /// Why, as recorded.
        reason: String,
    },
    /// The record ends here: the subscription was given up, and not taken up since.
    Ended {
        /// When it was last proven to be live, ns since the Unix epoch.
        at_ns: u64,
        /// Why, as recorded.
        reason: String,
    },
    /// A gap recorded as filled, of which ids are missing.
    NotFilled {
        /// The gap's id.
        id: String,
        /// How many.
        missing: u64,
    },
    /// A gap recorded as open or lost, all of whose ids are there: such as filled, and the process ended before it was
    /// recorded.
    WrongGap {
        /// The gap's id.
        id: String,
    },
    /// Ids recorded as proven whole that are missing.
    WrongCoverage {
        /// How many.
        missing: u64,
    },
    /// Lines of a record file that nobody understands, or too many of them.
    DamagedLines {
        /// The file's name.
        file: String,
        /// How many.
        count: u64,
    },
    /// A record file's last line is incomplete.
    TornLine {
        /// The file's name.
        file: String,
        /// Its bytes.
        bytes: u64,
    },
    /// The marker of a sealed day cannot be understood.
    DamagedSeal {
        /// Why not.
        reason: String,
    },
    /// A sealed day has another number of rows than it was sealed with.
    SealedRows {
        /// Rows sealed.
        sealed: u64,
        /// Rows found.
        found: u64,
    },
    /// A sealed column is gone, or one appeared that was not there.
    SealedColumns {
        /// The column.
        column: String,
    },
    /// A sealed column has other bytes.
    SealedBytes {
        /// The column.
        column: &'static str,
    },
    /// Files that recovery or a repair kept when it cut rows.
    TornFiles {
        /// How many.
        count: u64,
    },
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Finding::TornFiles { .. }
            | Finding::UnknownIds { .. }
            | Finding::WrongGap { .. }
            | Finding::Ended { .. } => Severity::Note,
            Finding::MissingIds { .. } | Finding::Gap { .. } | Finding::UnjudgedIds { .. } => Severity::Missing,
            _ => Severity::Damage,
        }
    }
}
