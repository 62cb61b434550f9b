//! The column store: market data as fixed-width little-endian files, one per column and UTC day.
//!
//! Both sides live here: [`Store`] appends rows and survives crashes and power loss, [`Reader`] finds committed rows by time
//! while they grow. The rules are written down in `docs/format.md`; [`schema`] is the one list of columns.
//!
//! Beside the rows stand the records of a day: what is missing ([`Gap`]), what is proven to be whole ([`Covered`]), and that the
//! day is over ([`Seal`]). [`verify`] audits a directory, [`repair`] cuts what is torn, [`migrate`] brings the ancestor's
//! directories under this format, [`Store::remove_day`] makes room.
//!
//! The crate knows files and nothing else: no async runtime, no HTTP, no metrics, no exchanges.

mod audit;
mod beneath;
mod blocks;
mod checkpoint;
mod column_file;
mod coverage;
mod day;
mod day_buffer;
mod disk;
mod error;
mod gap;
mod history;
mod index;
mod journal;
pub mod layout;
mod line_file;
mod migration;
mod open_files;
mod reader;
mod recovery;
mod repair;
mod retention;
mod row_time;
pub mod schema;
mod seal;
mod series;
mod store;
mod syncing;

pub use audit::{
    Audit, DayAudit, Finding, GapCount, IdRule, Progress, Rules, Scope, SealState, SeriesAudit, Severity, Totals,
    verify,
};
pub use column_file::Access;
pub use coverage::{Coverage, Covered, Proof};
pub use day::Day;
pub use disk::{Disk, OsDisk};
pub use error::StoreError;
pub use gap::{Gap, GapState, Stream};
pub use history::{Gaps, History};
pub use index::{Found, Index, IndexError};
pub use layout::SeriesId;
pub use migration::{MigratedDay, Outcome, migrate};
pub use open_files::raise_open_files_limit;
pub use reader::{ColumnSelection, Reader, Selection, Slice};
pub use recovery::Cut;
pub use repair::{Repair, Repaired, repair};
pub use retention::{DiskUse, RemovedDay, days_to_remove};
pub use row_time::{RowTime, TimeRule};
pub use schema::{Column, Kind, MdKind, MdRow, Row, Side, Table, TradeRow};
pub use seal::{SEAL_DELAY_NS, Seal, SealDraft, Sealing};
pub use series::Written;
pub use store::{Options, SeriesHandle, Store, is_recording};
