//! The column store: market data as fixed-width little-endian files, one per column and UTC day.
//!
//! Both sides live here: [`Store`] appends rows and survives crashes and power loss, [`Reader`] finds committed rows by time
//! while they grow. The rules are written down in `docs/format.md`; [`schema`] is the one list of columns.
//!
//! The crate knows files and nothing else: no async runtime, no HTTP, no metrics, no exchanges.

mod beneath;
mod checkpoint;
mod day;
mod disk;
mod error;
pub mod layout;
mod open_files;
mod reader;
mod recovery;
mod row_time;
pub mod schema;
mod series;
mod store;

pub use day::Day;
pub use disk::{Disk, OsDisk};
pub use error::StoreError;
pub use layout::SeriesId;
pub use open_files::raise_open_files_limit;
pub use reader::{ColumnSelection, Reader, Selection, Slice};
pub use recovery::Cut;
pub use row_time::{RowTime, TimeRule};
pub use schema::{Column, Kind, MdKind, MdRow, Row, Side, Table, TradeRow};
pub use series::Written;
pub use store::{Options, SeriesHandle, Store};
