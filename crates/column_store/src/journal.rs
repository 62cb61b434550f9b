//! The gap and coverage records of one series on their way to its files, in the order that keeps them true:
//!
//! - A gap that is open or lost is written before the rows that come after it, so rows never hide it.
//! - A range that is whole, and a gap that was filled, are written after a sync has proven the rows they speak of, so they
//!   never claim rows that a crash or a power loss then takes.

use std::{collections::VecDeque, fs, path::Path};

use crate::{Covered, Day, Disk, Gap, GapState, SeriesId, StoreError, layout::DayFile, line_file};

/// Claims that wait, at most. Beyond it the oldest is given up: less is claimed, nothing is lost.
const CLAIM_LIMIT: usize = 4_096;

#[derive(Default)]
pub(crate) struct Journal {
    /// Lines of gaps that must be in the files before any further row.
    gaps: VecDeque<(Day, Vec<u8>)>,
    gap_bytes: usize,
    /// Claims about rows that are not in the files yet.
    pending: Claims,
    /// Claims about rows that are in the files, and that no sync has begun to prove.
    flushed: Claims,
    /// Claims about rows that a sync is about to prove.
    syncing: Claims,
    /// Lines of filled gaps whose rows are proven.
    fills: VecDeque<(Day, Vec<u8>)>,
    /// Ranges whose rows are proven; the newest of each proof is extended and written from time to time.
    ranges: Vec<Range>,
}

#[derive(Default)]
struct Claims {
    ranges: VecDeque<Covered>,
    fills: VecDeque<(Day, Vec<u8>)>,
}

struct Range {
    day: Day,
    covered: Covered,
    /// When a line with it was written, ns since the Unix epoch; 0 if never.
    written_ns: u64,
    /// Whether it was extended since.
    dirty: bool,
    /// Whether a newer range of the same proof has taken over.
    closed: bool,
}

impl Claims {
    fn add(&mut self, range: Covered) {
        let same_day = |other: &&mut Covered| other.day() == range.day();
        match self.ranges.iter_mut().rev().find(|other| other.same_proof(&range)).filter(same_day) {
            Some(last) if last.touches(&range) => last.extend(&range),
            _ => {
                if self.ranges.len() >= CLAIM_LIMIT {
                    self.ranges.pop_front();
                }
                self.ranges.push_back(range);
            }
        }
    }

    fn take(&mut self, from: &mut Claims) {
        from.ranges.drain(..).for_each(|range| self.add(range));
        self.fills.append(&mut from.fills);
    }
}

impl Journal {
    /// Takes a gap, and returns the bytes it needs until it is in its file.
    pub(crate) fn gap(&mut self, gap: &Gap, id: &SeriesId) -> Result<usize, StoreError> {
        let day = gap.day().ok_or(StoreError::Clock { ns: gap.from_ns })?;
        let line = gap.line(id)?;
        if gap.state == GapState::Filled {
            self.pending.fills.push_back((day, line));
            return Ok(0);
        }
        let bytes = line.len();
        self.gap_bytes += bytes;
        self.gaps.push_back((day, line));
        Ok(bytes)
    }

    /// Takes a range that is whole with the rows appended so far.
    pub(crate) fn cover(&mut self, range: Covered, id: &SeriesId) -> Result<(), StoreError> {
        range.check(id)?;
        if range.day().is_none() {
            return Err(StoreError::Clock { ns: range.to_ns });
        }
        self.pending.add(range);
        Ok(())
    }

    /// The day is to be removed: nothing is said of it any more.
    pub(crate) fn forget(&mut self, day: Day) {
        for lines in [&mut self.gaps, &mut self.fills] {
            lines.retain(|(of, _)| *of != day);
        }
        for claims in [&mut self.pending, &mut self.flushed, &mut self.syncing] {
            claims.fills.retain(|(of, _)| *of != day);
            claims.ranges.retain(|range| range.day() != Some(day));
        }
        self.ranges.retain(|range| range.day != day);
    }

    /// Whether gaps wait to be written.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Bytes of gaps that wait.
    pub(crate) fn gap_bytes(&self) -> usize {
        self.gap_bytes
    }

    /// Writes the gaps; no row may be written before it has succeeded.
    pub(crate) fn write_gaps(&mut self, directory: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        write_lines(&mut self.gaps, DayFile::Gaps, directory, disk)?;
        self.gap_bytes = 0;
        Ok(())
    }

    /// Every row appended so far is in the files.
    pub(crate) fn rows_flushed(&mut self) {
        self.flushed.take(&mut self.pending);
    }

    /// A sync of every row that is in the files begins.
    pub(crate) fn sync_begins(&mut self) {
        self.syncing.take(&mut self.flushed);
    }

    /// Every row that was in the files when the sync began is proven.
    pub(crate) fn rows_proven(&mut self) {
        self.fills.append(&mut self.syncing.fills);
        for covered in self.syncing.ranges.drain(..) {
            let Some(day) = covered.day() else { continue };
            let newest = self.ranges.iter_mut().find(|range| !range.closed && range.covered.same_proof(&covered));
            match newest {
                Some(range) if range.day == day && range.covered.touches(&covered) => {
                    let before = range.covered.clone();
                    range.covered.extend(&covered);
                    range.dirty |= range.covered != before;
                    continue;
                }
                Some(range) => range.closed = true,
                None => {}
            }
            self.ranges.push(Range { day, covered, written_ns: 0, dirty: true, closed: false });
        }
        while self.ranges.len() > CLAIM_LIMIT {
            self.ranges.remove(0);
        }
    }

    /// Writes the filled gaps, every range that has come to its end, and of those that go on the ones whose last line is
    /// `interval_ns` old.
    pub(crate) fn write_claims(
        &mut self,
        directory: &Path,
        id: &SeriesId,
        now_ns: u64,
        interval_ns: u64,
        disk: &dyn Disk,
    ) -> Result<(), StoreError> {
        write_lines(&mut self.fills, DayFile::Gaps, directory, disk)?;
        let is_due = |range: &Range| range.dirty && (range.closed || now_ns.abs_diff(range.written_ns) >= interval_ns);
        let mut lines = VecDeque::new();
        for range in self.ranges.iter().filter(|range| is_due(range)) {
            lines.push_back((range.day, range.covered.line(id)?));
        }
        let result = write_lines(&mut lines, DayFile::Coverage, directory, disk);
        if result.is_ok() {
            // One that stood still for the whole interval may belong to a connection that is gone; if it does not, the next
            // claim begins a new line that touches it.
            self.ranges.retain(|range| {
                let is_idle = !range.dirty && now_ns.abs_diff(range.written_ns) >= interval_ns;
                !(is_idle || range.closed)
            });
            for range in self.ranges.iter_mut().filter(|range| range.dirty) {
                if now_ns.abs_diff(range.written_ns) >= interval_ns {
                    (range.written_ns, range.dirty) = (now_ns, false);
                }
            }
        }
        // After a failure the same lines are written again: coverage is a union, so one that is there twice does no harm.
        result
    }
}

/// Appends the lines of each day in one piece, oldest first, and forgets what is written.
fn write_lines(
    lines: &mut VecDeque<(Day, Vec<u8>)>,
    file: DayFile,
    directory: &Path,
    disk: &dyn Disk,
) -> Result<(), StoreError> {
    if !lines.is_empty() {
        fs::create_dir_all(directory).map_err(StoreError::io("create", directory))?;
    }
    while let Some((day, _)) = lines.front() {
        let day = *day;
        let count = lines.iter().take_while(|(of, _)| *of == day).count();
        let bytes: Vec<u8> = lines.iter().take(count).flat_map(|(_, line)| line.iter().copied()).collect();
        line_file::append(&directory.join(file.name(day)), &bytes, disk)?;
        lines.drain(..count);
    }
    Ok(())
}
