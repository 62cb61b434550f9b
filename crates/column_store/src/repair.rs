//! Cuts torn rows when somebody asks for it; what is cut off is kept, as recovery does.

use std::{ops::RangeInclusive, path::Path};

use serde::Serialize;

use crate::{
    Cut, Day, Progress, Scope, SeriesId, StoreError,
    checkpoint::Checkpoint,
    layout::DayFile,
    line_file,
    recovery::{self, Found},
    store,
};

/// What a repair may do.
#[derive(Clone, Debug)]
pub struct Repair {
    /// Only these days.
    pub days: Option<RangeInclusive<Day>>,
    /// Only these series.
    pub scope: Scope,
    /// Rows of a day that may be cut off. A torn flush is short: a column that lacks more than this is better restored from
    /// a backup than all others cut down to it.
    pub most_rows: u64,
}

impl Default for Repair {
    /// All days of all series, up to 100,000 rows of each.
    fn default() -> Repair {
        Repair { days: None, scope: Scope::default(), most_rows: 100_000 }
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// What was cut off, and where it is kept.
    pub cuts: Vec<Cut>,
    /// Days that were left as they are: series, day and why.
    pub refused: Vec<(SeriesId, Day, String)>,
}

/// Makes whole rows of every day below `root`: columns are cut to the shortest, and torn last lines are cut off. Nothing that a
/// checkpoint or a marker proves is cut. `on_progress` hears of every day before it is looked at.
///
/// # Errors
/// [`StoreError::Locked`] while a logger runs, [`StoreError::NewerFormat`], or what the operating system says.
pub fn repair(root: &Path, repair: &Repair, on_progress: &mut dyn FnMut(&Progress)) -> Result<Repaired, StoreError> {
    let _lock = store::lock(root)?;
    store::check_format(root, false)?;
    let checkpoint = Checkpoint::read(root)?;
    let mut todo = Vec::new();
    for id in recovery::series(root)?.into_iter().filter(|id| repair.scope.holds(id)) {
        let directory = root.join(id.path());
        let mut days = recovery::days(&directory)?;
        for kind in [DayFile::Gaps, DayFile::Coverage] {
            days.extend(recovery::day_files(&directory, kind)?);
        }
        days.retain(|day| repair.days.as_ref().is_none_or(|wanted| wanted.contains(day)));
        todo.extend(days.into_iter().map(|day| (id.clone(), day)));
    }
    let mut repaired = Repaired::default();
    let total = todo.len() as u64;
    for (done, (series, day)) in (0..).zip(todo) {
        on_progress(&Progress { series: series.clone(), done, total });
        let noted = match &checkpoint {
            Some(checkpoint) => checkpoint.days(&series)?.get(&day).copied(),
            None => None,
        };
        if let Some(reason) = repair_day(root, &series, day, noted, repair.most_rows, &mut repaired.cuts)? {
            repaired.refused.push((series, day, reason));
        }
    }
    Ok(repaired)
}

/// Repairs a day, or says why not.
fn repair_day(
    root: &Path,
    id: &SeriesId,
    day: Day,
    noted: Option<u64>,
    most_rows: u64,
    cuts: &mut Vec<Cut>,
) -> Result<Option<String>, StoreError> {
    let directory = root.join(id.path());
    for file in [DayFile::Gaps, DayFile::Coverage] {
        cuts.extend(line_file::cut_torn(&directory.join(file.name(day)))?);
    }
    let found = Found::on_disk(&directory, id.table, day)?;
    let rows = found.rows();
    let is_long = |width: u64, length: u64| length != rows * width;
    if !found.columns().iter().any(|(column, _, length)| is_long(column.kind.width() as u64, *length)) {
        return Ok(None);
    }
    if !found.has_time() {
        return Ok(Some("it has no `time` column: nothing says how many rows it has".to_owned()));
    }
    match recovery::proven_rows(root, &directory, day, noted, &found) {
        Ok(_) => {}
        Err(error @ (StoreError::BelowCheckpoint { .. } | StoreError::Damaged { .. })) => {
            return Ok(Some(error.to_string()));
        }
        Err(error) => return Err(error),
    }
    let longest = found.columns().iter().map(|(column, _, length)| length / column.kind.width() as u64).max();
    let cut = longest.unwrap_or(rows) - rows;
    if cut > most_rows {
        return Ok(Some(format!("{cut} rows would be cut off, more than the {most_rows} that may be")));
    }
    found.cut(rows, cuts)?;
    Ok(None)
}
