//! An answer other than the plain one, decided before its first byte: which rows, in which form.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::Path,
    sync::atomic::AtomicBool,
};

use column_store::{Column, ColumnSelection, Reader, Selection, SeriesId, StoreError};

use crate::{
    budget::Files,
    formats::Format,
    missing::Missing,
    plan::PlanError,
    query::DataQuery,
    reduction::{Choice, Keys, Reduction},
    row_set::RowSet,
    rows::ColumnRows,
};

/// An answer to be.
#[derive(Debug)]
pub(crate) struct TablePlan {
    /// Of which series.
    pub(crate) id: SeriesId,
    /// The columns asked for, with all rows of the selection.
    pub(crate) columns: Vec<ColumnRows>,
    /// Which of these rows are answered.
    pub(crate) rows: RowSet,
    /// In which form.
    pub(crate) format: Format,
    /// What was asked for and is not there.
    pub(crate) missing: Option<Missing>,
    /// The answer's share of the open files.
    pub(crate) files: Files,
}

/// Columns that are needed to find and to choose rows beside those asked for.
pub(crate) fn needed(query: &DataQuery) -> Vec<&'static Column> {
    let mut needed = query.columns.clone();
    if query.ns.is_some() || query.reduction != Reduction::Stride {
        needed.extend(["time", "nanos"].iter().filter_map(|name| query.id.table.column(name)));
    }
    needed.extend(query.reduction.column());
    needed
}

/// Files that a plan opens at most.
pub(crate) fn files(query: &DataQuery) -> usize {
    let names: BTreeSet<&str> = needed(query).iter().map(|column| column.name).collect();
    let asked: BTreeSet<&str> = query.columns.iter().map(|column| column.name).collect();
    query.files() / asked.len().max(1) * names.len()
}

impl TablePlan {
    /// Opens and searches the files of `query`, and chooses its rows, of which a reduction has at most `points_max`.
    /// Belongs on a blocking thread; a reduction reads every row.
    ///
    /// # Errors
    /// [`PlanError`], as of a plain plan.
    pub(crate) fn make(
        root: &Path,
        query: DataQuery,
        format: Format,
        mut files: Files,
        points_max: u64,
        given_up: &AtomicBool,
    ) -> Result<TablePlan, PlanError> {
        let selection = select(root, &query)?;
        let missing = if !selection.any_day {
            Some(Missing::of_series(root, &query.id, query.start, query.end))
        } else {
            (!selection.incomplete.is_empty()).then_some(Missing::Days(selection.incomplete))
        };
        let mut columns: Vec<ColumnRows> =
            selection.columns.into_iter().map(|selected| ColumnRows::new(selected, 1)).collect();
        let rows = choose(&query, &columns, points_max, given_up)?;
        columns.truncate(query.columns.len());
        files.keep(open_files(&columns));
        Ok(TablePlan { id: query.id, columns, rows, format, missing, files })
    }
}

fn choose(
    query: &DataQuery,
    columns: &[ColumnRows],
    points_max: u64,
    given_up: &AtomicBool,
) -> Result<RowSet, PlanError> {
    let named = |name: &str| columns.iter().find(|column| column.column().name == name);
    let mut rows = 0..columns.first().map_or(0, ColumnRows::rows);
    let keys = named("time").zip(named("nanos")).map(|(time, nanos)| Keys { time, nanos });
    if let (Some((start, end)), Some(keys)) = (query.ns, keys) {
        rows.start = keys.lower_bound(rows.clone(), start)?;
        // Seconds end in 2106, far before nanoseconds of 64 bits do.
        rows.end = keys.lower_bound(rows.clone(), end + 1)?;
    }
    let count = rows.end - rows.start;
    let judge = query.reduction.column().and_then(|column| named(column.name));
    if let (Some(keys), Some(values), Some(points)) = (keys, judge, query.max_points) {
        let choice = Choice { keys, values, rows, range_ns: query.range_ns(), given_up };
        let picked = choice.rows(query.reduction, points.min(points_max))?;
        return Ok(RowSet::Picked(picked.into()));
    }
    let stride = query.max_points.map_or(1, |points| count.div_ceil(points)).max(1);
    Ok(RowSet::Every { first: rows.start, stride, rows: count.div_ceil(stride) })
}

fn select(root: &Path, query: &DataQuery) -> Result<Selection, PlanError> {
    let columns = needed(query);
    match Reader::open(root) {
        Ok(reader) => Ok(reader.select(&query.id, &columns, query.start, query.end)?),
        // The logger may be started after the server: until then there is just nothing.
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            let nothing = |column| ColumnSelection { column, rows: 0, slices: Vec::new() };
            let columns = columns.into_iter().map(nothing).collect();
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

/// The error of a plan that nobody waits for.
pub(crate) fn is_given_up(error: &PlanError) -> bool {
    matches!(error, PlanError::Read(error) if io::Error::kind(error) == ErrorKind::Interrupted)
}
