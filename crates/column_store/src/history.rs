//! Reading gaps and coverage, while they may grow or be torn.

use std::{
    collections::BTreeMap,
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::Serialize;

use crate::{
    Coverage, Covered, Day, Gap, Reader, SeriesId, StoreError,
    layout::DayFile,
    line_file::{self, Scanned},
    recovery,
};

/// Clocks and copies may be off by this much, ns: one day.
const MARGIN_NS: u64 = 86_400 * 1_000_000_000;

/// Gaps of a time range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// By the time they begin, each in its last state.
    pub gaps: Vec<Gap>,
    /// Lines that could not be understood; a torn last line is none.
    pub damaged_lines: u64,
    /// Whether there are more than were asked for, or more than a reader looks at.
    pub truncated: bool,
}

/// What is proven of some days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The ranges, united over all days asked for.
    pub coverage: Coverage,
    /// Lines that could not be understood; a torn last line is none.
    pub damaged_lines: u64,
    /// Whether there are more ranges than were asked for, or more than a reader looks at.
    pub truncated: bool,
}

impl Reader {
    /// The gaps of a series that lie at least partly in `start_ns..=end_ns`, at most `limit`; one that is under way reaches
    /// into all that follows its beginning. A gap that began on an earlier day is found, however long ago that was: of
    /// the files that were not written since the range's beginning only the newest is opened.
    ///
    /// # Errors
    /// [`StoreError::Name`] if the series' names cannot be directories, or what the operating system says.
    pub fn gaps(&self, id: &SeriesId, start_ns: u64, end_ns: u64, limit: usize) -> Result<Gaps, StoreError> {
        let mut found = Gaps::default();
        let files = self.day_files(id, DayFile::Gaps)?;
        // A gap begins at an event: what is filed under a later day shows that an earlier outage had ended.
        let newest_before = files.keys().rfind(|day| day.end_ns() <= start_ns).copied();
        for (day, path) in files {
            if day.start_ns() > end_ns {
                break;
            }
            let Some(file) = self.open_beneath(&path)? else { continue };
            // A gap that ends in the range or behind it was written about after the range began.
            let may_be_old = day.end_ns() <= start_ns && newest_before != Some(day);
            if may_be_old && written_ns(&file, &path)?.saturating_add(MARGIN_NS) < start_ns {
                continue;
            }
            let room = limit.saturating_sub(found.gaps.len());
            let reaches_in = |gap: &Gap| gap.to_ns >= start_ns || gap.is_under_way();
            let (of_day, _) = read_gaps(&file, &path, room, |gap| gap.from_ns <= end_ns && reaches_in(gap))?;
            found.gaps.extend(of_day.gaps);
            found.damaged_lines += of_day.damaged_lines;
            found.truncated |= of_day.truncated;
        }
        found.gaps.sort_by(|a, b| a.from_ns.cmp(&b.from_ns).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    /// What is proven of a series by the coverage files of the days `first..=last`, at most `limit` ranges.
    ///
    /// # Errors
    /// As [`Reader::gaps`].
    pub fn coverage(&self, id: &SeriesId, first: Day, last: Day, limit: usize) -> Result<History, StoreError> {
        let mut history = History::default();
        for (day, path) in self.day_files(id, DayFile::Coverage)? {
            if (first..=last).contains(&day)
                && let Some(file) = self.open_beneath(&path)?
            {
                read_coverage(&file, &path, limit, &mut history)?;
            }
        }
        Ok(history)
    }

    /// The files of one kind in the series' directory, oldest day first, relative to the root.
    fn day_files(&self, id: &SeriesId, kind: DayFile) -> Result<BTreeMap<Day, PathBuf>, StoreError> {
        crate::layout::check_name(&id.exchange, "an exchange's directory")?;
        crate::layout::check_name(&id.symbol, "a symbol's directory")?;
        let days = recovery::day_files(&self.root.join(id.path()), kind)?;
        Ok(days.into_iter().map(|day| (day, id.path().join(kind.name(day)))).collect())
    }
}

fn written_ns(file: &File, path: &Path) -> Result<u64, StoreError> {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(StoreError::io("look at", path))?;
    let ns = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Ok(u64::try_from(ns).unwrap_or(u64::MAX))
}

/// The gaps of one file in their last state, those that `wanted` lets through, at most `limit` of them; and the bytes of a torn
/// last line.
pub(crate) fn read_gaps(
    file: &File,
    path: &Path,
    limit: usize,
    wanted: impl Fn(&Gap) -> bool,
) -> Result<(Gaps, u64), StoreError> {
    let mut by_id: BTreeMap<String, Gap> = BTreeMap::new();
    let mut truncated = false;
    let scanned = line_file::scan(file, |line| {
        let Ok(gap) = serde_json::from_slice::<Gap>(line) else { return false };
        if !wanted(&gap) {
            // Its last line may say other times than an earlier one did.
            by_id.remove(&gap.id);
        } else if by_id.len() < limit || by_id.contains_key(&gap.id) {
            by_id.insert(gap.id.clone(), gap);
        } else {
            truncated = true;
        }
        true
    });
    let Scanned { damaged, torn, truncated: cut_short } = scanned.map_err(StoreError::io("read", path))?;
    let gaps = by_id.into_values().collect();
    Ok((Gaps { gaps, damaged_lines: damaged, truncated: truncated || cut_short }, torn))
}

/// Unites the ranges of one file with `history`, until it has `limit` of them.
pub(crate) fn read_coverage(
    file: &File,
    path: &Path,
    limit: usize,
    history: &mut History,
) -> Result<Scanned, StoreError> {
    let (coverage, truncated) = (&mut history.coverage, &mut history.truncated);
    let scanned = line_file::scan(file, |line| {
        let Some(range) = serde_json::from_slice::<Covered>(line).ok().filter(|range| range.check(&"").is_ok()) else {
            return false;
        };
        if coverage.len() < limit {
            coverage.add(range);
        } else {
            *truncated = true;
        }
        true
    })
    .map_err(StoreError::io("read", path))?;
    history.damaged_lines += scanned.damaged;
    history.truncated |= scanned.truncated;
    Ok(scanned)
}

/// A file that is looked at without a [`Reader`]; `None` if it is not there.
pub(crate) fn open(path: &Path) -> Result<Option<File>, StoreError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("open", path)(error)),
    }
}
