//! A place in a series, and the rows from there on.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, ErrorKind},
    path::Path,
    str::FromStr,
};

use column_store::{Column, Day, Reader, SeriesId, StoreError, layout};

use crate::{reduction::Keys, rows::ColumnRows};

/// The last second of a day, counted from its first.
const LAST_SECOND: u32 = 86_399;

/// A row of a series: prints and parses as `DD.MM.YY:row`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) day: Day,
    pub(super) row: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.day, self.row)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cursor, &'static str> {
        let what = "it is not of the form DD.MM.YY:row";
        let (day, row) = text.split_once(':').ok_or(what)?;
        Ok(Cursor { day: day.parse().map_err(|_| what)?, row: row.parse().map_err(|_| what)? })
    }
}

/// What was found at a cursor.
#[derive(Debug)]
pub(super) enum Found {
    /// Rows, with the bytes of each column.
    Rows { columns: Vec<(&'static Column, Vec<u8>)>, rows: u64, behind: u64 },
    /// Nothing there: the rest of the day is not to be had for want of this column.
    Missing(&'static str),
    /// There are fewer rows than before: what was there was cut.
    Cut,
    /// Nothing there, nor later.
    End,
}

/// A step of a cursor.
pub(super) struct Step {
    pub(super) found: Found,
    pub(super) next: Cursor,
}

impl Cursor {
    /// Behind the last row that is there.
    pub(super) fn at_end(root: &Path, id: &SeriesId) -> io::Result<Cursor> {
        let before_all = Cursor { day: Day::from_seconds_clamped(0), row: 0 };
        let Some(day) = days(root, id)?.last().copied() else { return Ok(before_all) };
        let row = match of_day(root, id, &[], day)? {
            OfDay::Rows(columns) => rows_of(&columns),
            OfDay::Nothing | OfDay::Lacks(_) => 0,
        };
        Ok(Cursor { day, row })
    }

    /// At the first row that is not before a time, ns since the Unix epoch.
    pub(super) fn since(root: &Path, id: &SeriesId, since_ns: u64) -> io::Result<Cursor> {
        let second = u32::try_from(since_ns / 1_000_000_000).unwrap_or(u32::MAX);
        let day = Day::from_seconds_clamped(second);
        let nanos = id.table.columns().iter().filter(|column| column.name == "nanos").collect::<Vec<_>>();
        let row = match of_day(root, id, &nanos, day)? {
            OfDay::Rows(columns) => match &columns[..] {
                [nanos, time] => Keys { time, nanos }.lower_bound(0..time.rows(), since_ns)?,
                _ => 0,
            },
            OfDay::Nothing | OfDay::Lacks(_) => 0,
        };
        Ok(Cursor { day, row })
    }

    /// The rows from here on, at most `rows_max`, all of one day.
    pub(super) fn step(
        self,
        root: &Path,
        id: &SeriesId,
        wanted: &[&'static Column],
        rows_max: u64,
    ) -> io::Result<Step> {
        // Looked for first: a later day is only made once this one has all its rows.
        let later = days(root, id)?.range(self.day..).copied().find(|day| *day > self.day);
        let next_day = |found| match later {
            Some(day) => Step { found, next: Cursor { day, row: 0 } },
            None => Step { found, next: self },
        };
        let all = match of_day(root, id, wanted, self.day)? {
            OfDay::Rows(all) => all,
            // While it is the newest day the column may still come.
            OfDay::Lacks(column) if later.is_some() => return Ok(next_day(Found::Missing(column))),
            OfDay::Nothing | OfDay::Lacks(_) => return Ok(next_day(Found::End)),
        };
        let there = rows_of(&all);
        if there < self.row {
            return Ok(Step { found: Found::Cut, next: Cursor { row: there, ..self } });
        }
        let behind = there - self.row;
        if behind == 0 {
            return Ok(next_day(Found::End));
        }
        let rows = behind.min(rows_max);
        let mut columns = Vec::with_capacity(wanted.len());
        for column in all.iter().take(wanted.len()) {
            let mut bytes = vec![0; usize::try_from(rows).unwrap_or(0) * column.width()];
            column.read(self.row, &mut bytes)?;
            columns.push((column.column(), bytes));
        }
        let next = Cursor { row: self.row + rows, ..self };
        Ok(Step { found: Found::Rows { columns, rows, behind }, next })
    }
}

/// What a day has of some columns.
enum OfDay {
    /// No such day.
    Nothing,
    /// It lacks this column.
    Lacks(&'static str),
    /// All committed rows, `time` after the columns asked for.
    Rows(Vec<ColumnRows>),
}

fn of_day(root: &Path, id: &SeriesId, columns: &[&'static Column], day: Day) -> io::Result<OfDay> {
    let mut columns = columns.to_vec();
    columns.extend(id.table.column("time"));
    let start = u32::try_from(day.start_ns() / 1_000_000_000).unwrap_or(u32::MAX);
    let selected = Reader::open(root).and_then(|reader| reader.select(id, &columns, start, start + LAST_SECOND));
    let selection = selected.map_err(io_error)?;
    if let Some((_, column)) = selection.incomplete.first() {
        return Ok(OfDay::Lacks(column));
    }
    let all = selection.columns.into_iter().map(|column| ColumnRows::new(column, 1)).collect();
    Ok(if selection.any_day { OfDay::Rows(all) } else { OfDay::Nothing })
}

fn rows_of(columns: &[ColumnRows]) -> u64 {
    columns.first().map_or(0, ColumnRows::rows)
}

/// Days with a `time` file.
fn days(root: &Path, id: &SeriesId) -> io::Result<BTreeSet<Day>> {
    let entries = match fs::read_dir(root.join(id.path())) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut days = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let parsed = name.to_str().and_then(layout::parse_file_name);
        days.extend(parsed.filter(|(column, _)| *column == "time").map(|(_, day)| day));
    }
    Ok(days)
}

fn io_error(error: StoreError) -> io::Error {
    match error {
        StoreError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}
