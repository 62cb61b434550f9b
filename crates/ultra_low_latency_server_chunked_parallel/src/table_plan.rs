//! An answer other than the plain one, decided before its first byte: which rows, in which form.

use std::{
    io::ErrorKind,
    sync::{Arc, atomic::AtomicBool},
};

use column_store::{Access, Column, ColumnSelection, Index, IndexError, Selection, SeriesId, StoreError};

use crate::{
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
    pub(crate) id: Arc<SeriesId>,
    /// The columns asked for, with all rows of the selection.
    pub(crate) columns: Vec<ColumnRows>,
    /// Which of these rows are answered.
    pub(crate) rows: RowSet,
    /// In which form.
    pub(crate) format: Format,
    /// What was asked for and is not there.
    pub(crate) missing: Option<Missing>,
}

/// Columns that are needed to find and to choose rows beside those asked for.
fn needed(query: &DataQuery) -> Vec<&'static Column> {
    let mut needed = query.columns.clone();
    if query.ns.is_some() || query.reduction != Reduction::Stride {
        needed.extend(["time", "nanos"].iter().filter_map(|name| query.id.table.column(name)));
    }
    needed.extend(query.reduction.column());
    needed
}

impl TablePlan {
    /// Opens and searches the files of `query`, and chooses its rows, of which a reduction has at most `points_max`.
    /// Belongs on a blocking thread; a reduction reads every row.
    ///
    /// # Errors
    /// [`PlanError`], as of a plain plan.
    pub(crate) fn make(
        index: &Index,
        query: DataQuery,
        format: Format,
        points_max: u64,
        given_up: &AtomicBool,
    ) -> Result<TablePlan, PlanError> {
        let selection = select(index, &query)?;
        let missing = if !selection.any_day {
            Some(Missing::of_series(index.root(), &query.id, query.start, query.end))
        } else {
            (!selection.incomplete.is_empty()).then_some(Missing::Days(selection.incomplete))
        };
        let mut columns: Vec<ColumnRows> =
            selection.columns.into_iter().map(|selected| ColumnRows::new(selected, 1)).collect();
        let rows = choose(&query, &columns, points_max, given_up)?;
        columns.truncate(query.columns.len());
        Ok(TablePlan { id: query.id, columns, rows, format, missing })
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

fn select(index: &Index, query: &DataQuery) -> Result<Selection, PlanError> {
    let columns = needed(query);
    match index.select(&query.id, &columns, query.start, query.end, Access::Disk) {
        // The logger may be started after the server: until then there is just nothing.
        Err(IndexError::Store(StoreError::Io { source, .. })) if source.kind() == ErrorKind::NotFound => {
            let nothing = |column| ColumnSelection { column, rows: 0, slices: Vec::new() };
            let columns = columns.into_iter().map(nothing).collect();
            Ok(Selection { columns, incomplete: Vec::new(), any_day: false })
        }
        found => Ok(found?.selection),
    }
}
