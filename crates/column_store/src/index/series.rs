//! What is known of the files of one series, and how long it may be believed.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Stat, fstat};

use super::fences::Fences;
use crate::{
    Column, Day, Seal,
    column_file::{ColumnFile, Place},
};

/// A directory that changed less than this ago may change again without its times showing it: the kernel's clock for them
/// ticks every 10 ms at worst.
const SETTLED: Duration = Duration::from_millis(50);

/// Sweeps after which what is believed without looking is looked at again.
const TRUSTED_SWEEPS: u64 = 1;

/// Sets of columns whose validator is kept for a day. Clients ask for few different ones.
const VALIDATORS: usize = 8;

/// Which file it is, wherever its name leads by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Identity {
        Identity { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// What changes when an entry of a directory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Signature {
    fn of(stat: &Stat) -> Signature {
        Signature { modified: (stat.st_mtime, stat.st_mtime_nsec), changed: (stat.st_ctime, stat.st_ctime_nsec) }
    }

    fn is_settled(&self) -> bool {
        let (seconds, nanos) = self.modified.max(self.changed);
        let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + Duration::from_nanos(nanos);
        let age = SystemTime::now().duration_since(UNIX_EPOCH + since_epoch);
        age.is_ok_and(|age| age > SETTLED)
    }
}

/// An open column file of a day.
#[derive(Debug)]
pub(super) struct OpenColumn {
    pub(super) file: Arc<ColumnFile>,
    pub(super) identity: Identity,
    /// Only in use for `time`.
    pub(super) fences: Fences,
}

/// What is known of a column of a day.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Absent,
    /// With its rows, if the day's seal vouches for them.
    Open {
        column: Arc<OpenColumn>,
        sealed_rows: Option<u64>,
    },
}

/// What an answer takes of a day.
#[derive(Debug)]
pub(super) enum Picked {
    /// The day has no rows.
    Nothing,
    /// It lacks this column.
    Lacks(&'static str),
    Columns {
        time: Arc<OpenColumn>,
        columns: Vec<Arc<OpenColumn>>,
        rows: u64,
        validator: Option<u128>,
    },
}

/// A day's files, as they were found.
#[derive(Debug)]
pub(super) struct KnownDay {
    /// That of the directory when they were.
    generation: u64,
    /// The sweep at which they were last looked at.
    checked: u64,
    /// The sweep at which they were last used.
    used: u64,
    pub(super) columns: Vec<(&'static str, Known)>,
    pub(super) seal: Option<Arc<Seal>>,
    validators: Vec<(Vec<&'static str>, u128)>,
}

impl KnownDay {
    pub(super) fn new(seal: Option<Arc<Seal>>) -> KnownDay {
        KnownDay { generation: 0, checked: 0, used: 0, columns: Vec::new(), seal, validators: Vec::new() }
    }

    pub(super) fn column(&self, name: &str) -> Option<&Known> {
        self.columns.iter().find(|(known, _)| *known == name).map(|(_, known)| known)
    }

    fn is_sealed(&self, columns: &[&'static Column]) -> bool {
        let is_sealed = |name| matches!(self.column(name), Some(Known::Open { sealed_rows: Some(_), .. }));
        self.seal.is_some() && is_sealed("time") && columns.iter().all(|column| is_sealed(column.name))
    }

    /// `None` if something of it is not known, or not so any more.
    fn pick(&mut self, columns: &[&'static Column], is_trusted: bool) -> io::Result<Option<Picked>> {
        let (time, mut rows) = match self.column("time") {
            None => return Ok(None),
            Some(Known::Absent) => return Ok(Some(Picked::Nothing)),
            Some(Known::Open { column, sealed_rows }) => match rows(column, *sealed_rows, 4, is_trusted)? {
                Some(rows) => (Arc::clone(column), rows),
                None => return Ok(None),
            },
        };
        let mut picked = Vec::with_capacity(columns.len());
        for wanted in columns {
            match self.column(wanted.name) {
                None => return Ok(None),
                Some(Known::Absent) => return Ok(Some(Picked::Lacks(wanted.name))),
                Some(Known::Open { column, sealed_rows }) => {
                    let Some(found) = self::rows(column, *sealed_rows, wanted.kind.width() as u64, is_trusted)? else {
                        return Ok(None);
                    };
                    rows = rows.min(found);
                    picked.push(Arc::clone(column));
                }
            }
        }
        let validator = if self.is_sealed(columns) { self.validator(columns) } else { None };
        Ok(Some(Picked::Columns { time, columns: picked, rows, validator }))
    }

    fn validator(&mut self, columns: &[&'static Column]) -> Option<u128> {
        let of_these = |names: &Vec<&str>| names.iter().copied().eq(columns.iter().map(|column| column.name));
        if let Some((_, validator)) = self.validators.iter().find(|(names, _)| of_these(names)) {
            return Some(*validator);
        }
        let names: Vec<_> = columns.iter().map(|column| column.name).collect();
        // Which rows are in the answer depends on `time`, whether or not it is asked for.
        let with_time: Vec<_> = names.iter().copied().chain(["time"]).collect();
        let validator = u128::from_str_radix(&self.seal.as_ref()?.validator(&with_time)?, 16).ok()?;
        if self.validators.len() == VALIDATORS {
            self.validators.clear();
        }
        self.validators.push((names, validator));
        Some(validator)
    }
}

/// Whole cells in a column; `None` if it is not under its name any more, or not as the seal says.
fn rows(column: &OpenColumn, sealed: Option<u64>, width: u64, is_trusted: bool) -> io::Result<Option<u64>> {
    if let (Some(rows), true) = (sealed, is_trusted) {
        return Ok(Some(rows));
    }
    let stat = fstat(&*column.file)?;
    let rows = u64::try_from(stat.st_size).unwrap_or(0) / width;
    let is_as_known = stat.st_nlink > 0 && sealed.is_none_or(|sealed| sealed == rows);
    Ok(is_as_known.then_some(rows))
}

/// One series, whose directory exists.
#[derive(Debug)]
pub(super) struct Series {
    directory: File,
    pub(super) identity: Identity,
    /// The sweep at which its path was last followed.
    path_checked: AtomicU64,
    /// The sweep at which it was last asked for.
    pub(super) used: AtomicU64,
    state: Mutex<State>,
    _place: Place,
}

#[derive(Debug, Default)]
struct State {
    signature: Option<Signature>,
    is_settled: bool,
    /// Goes up with each change of the directory; what was known before is to be looked at again.
    generation: u64,
    days: BTreeMap<Day, KnownDay>,
}

impl State {
    /// Notices whether entries came, went or were replaced.
    fn check(&mut self, directory: &File) -> io::Result<()> {
        let signature = Signature::of(&fstat(directory)?);
        if !self.is_settled || self.signature != Some(signature) {
            self.generation += 1;
            self.signature = Some(signature);
            self.is_settled = signature.is_settled();
        }
        Ok(())
    }
}

/// A look at the days of a range.
pub(super) struct Looked {
    /// The directory's generation at that look.
    pub(super) generation: u64,
    /// Day by day; `None` where files have to be looked up.
    pub(super) days: Vec<(Day, Option<Picked>)>,
}

impl Series {
    pub(super) fn new(directory: File, place: Place, now: u64) -> io::Result<Series> {
        let identity = Identity::of(&fstat(&directory)?);
        let (path_checked, used) = (AtomicU64::new(now), AtomicU64::new(now));
        Ok(Series { directory, identity, path_checked, used, state: Mutex::default(), _place: place })
    }

    /// Whether its path may still be believed to lead here.
    pub(super) fn is_current(&self, now: u64) -> bool {
        now.saturating_sub(self.path_checked.load(Ordering::Relaxed)) <= TRUSTED_SWEEPS
    }

    pub(super) fn path_leads_here(&self, now: u64) {
        self.path_checked.store(now, Ordering::Relaxed);
    }

    /// Entries are whole whenever the lock is free: each is made first and then inserted.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the days from `first` to `last`, and at no file that is not open. Days that are not sealed are looked at each
    /// time, sealed ones once between two sweeps.
    pub(super) fn look(&self, columns: &[&'static Column], first: Day, last: Day, now: u64) -> io::Result<Looked> {
        let mut state = self.state();
        let state = &mut *state;
        let (mut days, mut is_checked) = (Vec::new(), false);
        let mut next = Some(first);
        while let Some(day) = next.filter(|day| *day <= last) {
            next = day.next();
            let known = state.days.get(&day);
            let is_trusted = known.is_some_and(|known| {
                now.saturating_sub(known.checked) < TRUSTED_SWEEPS
                    && known.generation == state.generation
                    && known.is_sealed(columns)
            });
            if !is_trusted && !std::mem::replace(&mut is_checked, true) {
                state.check(&self.directory)?;
            }
            let generation = state.generation;
            let known = state.days.get_mut(&day).filter(|known| known.generation == generation);
            let picked = match known {
                Some(known) => {
                    known.used = now;
                    let picked = known.pick(columns, is_trusted)?;
                    if picked.is_some() && !is_trusted {
                        known.checked = now;
                    }
                    picked
                }
                None => None,
            };
            days.push((day, picked));
        }
        Ok(Looked { generation: state.generation, days })
    }

    /// What is known of a day, for comparison with what is found now.
    pub(super) fn known_columns(&self, day: Day) -> Vec<(&'static str, Known)> {
        self.state().days.get(&day).map(|known| known.columns.clone()).unwrap_or_default()
    }

    /// Takes what was found of a day after the look of `generation`, and picks from it. `None` if it changed again.
    pub(super) fn learn(
        &self,
        day: Day,
        generation: u64,
        mut found: KnownDay,
        columns: &[&'static Column],
        now: u64,
    ) -> io::Result<Option<Picked>> {
        (found.generation, found.checked, found.used) = (generation, now, now);
        let picked = found.pick(columns, false)?;
        self.state().days.insert(day, found);
        Ok(picked)
    }

    /// The days that are known, with the sweep at which each was last used and how many files it holds.
    pub(super) fn uses(&self) -> Vec<(Day, u64, usize)> {
        let open =
            |known: &KnownDay| known.columns.iter().filter(|(_, known)| matches!(known, Known::Open { .. })).count();
        self.state().days.iter().map(|(day, known)| (*day, known.used, open(known))).collect()
    }

    pub(super) fn forget(&self, day: Day) {
        self.state().days.remove(&day);
    }
}
