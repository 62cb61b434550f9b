//! What is known of the files of one series, and how long it may be believed.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Stat, fstat};

use super::{day_set::DaySet, fences::Fences};
use crate::{
    Column, Day, Seal,
    column_file::{ColumnFile, Place},
};

/// A directory that changed less than this ago may change again without its times showing it: the kernel's clock for them
/// ticks every 10 ms at worst.
const SETTLED: Duration = Duration::from_millis(50);

/// Sweeps after which the path of a series is followed again.
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

/// What changes when an entry of a directory does, or the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Signature {
    pub(super) fn of(stat: &Stat) -> Signature {
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
    /// Of a file that its day's seal vouches for: blocks of it are kept as long as this is so.
    pub(super) sealed: Option<Signature>,
    /// The sweep at which it was last found to be as sealed.
    pub(super) checked: AtomicU64,
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
        columns: Vec<Arc<ColumnFile>>,
        rows: u64,
        validator: Option<u128>,
    },
}

/// A day's files, as they were found.
#[derive(Debug)]
pub(super) struct KnownDay {
    /// That of the directory when they were.
    generation: u64,
    /// The sweep at which they were last used.
    used: AtomicU64,
    pub(super) columns: Vec<(&'static str, Known)>,
    pub(super) seal: Option<Arc<Seal>>,
    validators: Mutex<Vec<(Vec<&'static str>, u128)>>,
}

impl KnownDay {
    pub(super) fn new(seal: Option<Arc<Seal>>) -> KnownDay {
        KnownDay { generation: 0, used: AtomicU64::new(0), columns: Vec::new(), seal, validators: Mutex::default() }
    }

    pub(super) fn column(&self, name: &str) -> Option<&Known> {
        self.columns.iter().find(|(known, _)| *known == name).map(|(_, known)| known)
    }

    fn is_absent(&self) -> bool {
        matches!(self.column("time"), Some(Known::Absent))
    }

    /// Whether a file of it has no name any more.
    fn has_lost_a_file(&self) -> bool {
        let is_lost = |column: &OpenColumn| fstat(&*column.file).map_or(true, |stat| stat.st_nlink == 0);
        self.columns.iter().any(|(_, known)| matches!(known, Known::Open { column, .. } if is_lost(column)))
    }

    fn is_sealed(&self, columns: &[&'static Column]) -> bool {
        let is_sealed = |name| matches!(self.column(name), Some(Known::Open { sealed_rows: Some(_), .. }));
        self.seal.is_some() && is_sealed("time") && columns.iter().all(|column| is_sealed(column.name))
    }

    /// `None` if something of it is not known, or not so any more. Looks at the files that are not sealed, or that were not
    /// looked at since the last sweep.
    fn pick(&self, columns: &[&'static Column], now: u64) -> io::Result<Option<Picked>> {
        let (time, mut rows) = match self.column("time") {
            None => return Ok(None),
            Some(Known::Absent) => return Ok(Some(Picked::Nothing)),
            Some(Known::Open { column, sealed_rows }) => match rows(column, *sealed_rows, 4, now)? {
                Some(rows) => (Arc::clone(column), rows),
                None => return Ok(None),
            },
        };
        let mut picked = Vec::with_capacity(columns.len());
        for wanted in columns {
            if wanted.name == "time" {
                picked.push(Arc::clone(&time.file));
                continue;
            }
            match self.column(wanted.name) {
                None => return Ok(None),
                Some(Known::Absent) => return Ok(Some(Picked::Lacks(wanted.name))),
                Some(Known::Open { column, sealed_rows }) => {
                    let Some(found) = self::rows(column, *sealed_rows, wanted.kind.width() as u64, now)? else {
                        return Ok(None);
                    };
                    rows = rows.min(found);
                    picked.push(Arc::clone(&column.file));
                }
            }
        }
        let validator = if self.is_sealed(columns) { self.validator(columns) } else { None };
        Ok(Some(Picked::Columns { time, columns: picked, rows, validator }))
    }

    fn validator(&self, columns: &[&'static Column]) -> Option<u128> {
        let of_these = |names: &Vec<&str>| names.iter().copied().eq(columns.iter().map(|column| column.name));
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, validator)) = validators.iter().find(|(names, _)| of_these(names)) {
            return Some(*validator);
        }
        let names: Vec<_> = columns.iter().map(|column| column.name).collect();
        // Which rows are in the answer depends on `time`, whether or not it is asked for.
        let with_time: Vec<_> = names.iter().copied().chain(["time"]).collect();
        let validator = u128::from_str_radix(&self.seal.as_ref()?.validator(&with_time)?, 16).ok()?;
        if validators.len() == VALIDATORS {
            validators.clear();
        }
        validators.push((names, validator));
        Some(validator)
    }
}

/// Stores what is mostly there already: threads that only read do not wait for each other.
pub(super) fn note(place: &AtomicU64, value: u64) {
    if place.load(Ordering::Relaxed) != value {
        place.store(value, Ordering::Relaxed);
    }
}

/// Whole cells in a column; `None` if it is not under its name any more, or not as the seal says.
fn rows(column: &OpenColumn, sealed: Option<u64>, width: u64, now: u64) -> io::Result<Option<u64>> {
    if sealed.is_some() && column.checked.load(Ordering::Relaxed) == now {
        return Ok(sealed);
    }
    let stat = fstat(&*column.file)?;
    let rows = u64::try_from(stat.st_size).unwrap_or(0) / width;
    let is_as_sealed = || column.sealed.is_none_or(|signature| signature == Signature::of(&stat));
    let is_as_known = stat.st_nlink > 0 && sealed.is_none_or(|sealed| sealed == rows) && is_as_sealed();
    if is_as_known && sealed.is_some() {
        note(&column.checked, now);
    }
    Ok(is_as_known.then_some(rows))
}

/// One series, whose directory exists.
#[derive(Debug)]
pub(super) struct Series {
    directory: File,
    pub(super) identity: Identity,
    /// The sweep at which its path was last followed.
    path_checked: AtomicU64,
    /// The sweep at which its directory was last looked at.
    checked: AtomicU64,
    /// The sweep at which it was last asked for.
    pub(super) used: AtomicU64,
    /// Its directory at the last sweep, if that was settled.
    swept: Mutex<Option<Signature>>,
    state: RwLock<State>,
    _place: Place,
}

#[derive(Debug, Default)]
struct State {
    signature: Option<Signature>,
    is_settled: bool,
    /// Goes up with each change of the directory; what was known before is to be looked at again.
    generation: u64,
    days: BTreeMap<Day, KnownDay>,
    /// Days that have no rows, as of this generation: a client can name very many.
    absent: DaySet,
}

impl State {
    fn is_as(&self, signature: Signature) -> bool {
        self.is_settled && self.signature == Some(signature)
    }
}

/// What a day holds, and since when nobody needed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) day: Day,
    /// The sweep at which it was last used.
    pub(super) used: u64,
    /// Open files.
    pub(super) files: usize,
    /// Bytes of them that are kept in memory.
    pub(super) bytes: usize,
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
        let (checked, swept, state) = (AtomicU64::new(u64::MAX), Mutex::default(), RwLock::default());
        Ok(Series { directory, identity, path_checked, checked, used, swept, state, _place: place })
    }

    /// Whether its path may still be believed to lead here.
    pub(super) fn is_current(&self, now: u64) -> bool {
        now.saturating_sub(self.path_checked.load(Ordering::Relaxed)) <= TRUSTED_SWEEPS
    }

    pub(super) fn path_leads_here(&self, now: u64) {
        self.path_checked.store(now, Ordering::Relaxed);
    }

    /// Entries are whole whenever the lock is free: each is made first and then inserted.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the days from `first` to `last`, and at no file that is not open. Days that are not sealed are looked at each
    /// time, sealed ones once between two sweeps.
    pub(super) fn look(&self, columns: &[&'static Column], first: Day, last: Day, now: u64) -> io::Result<Looked> {
        // Threads that only look do not wait for each other.
        let looked = self.look_at(columns, first, last, now, false)?;
        if let Some(looked) = looked {
            return Ok(looked);
        }
        self.check(now)?;
        // After a check nothing asks for another one.
        let looked = self.look_at(columns, first, last, now, true)?;
        Ok(looked.unwrap_or(Looked { generation: 0, days: Vec::new() }))
    }

    /// Notices whether entries of the directory came, went or were replaced.
    fn check(&self, now: u64) -> io::Result<()> {
        let signature = Signature::of(&fstat(&self.directory)?);
        let is_same = self.state().is_as(signature);
        if !is_same {
            let mut state = self.state_mut();
            state.generation += 1;
            state.absent.clear();
            state.signature = Some(signature);
            state.is_settled = signature.is_settled();
        }
        self.checked.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// `None` if the directory has to be checked first: once between two sweeps, and whenever something is said to be absent.
    /// What was replaced or removed, the files themselves tell.
    fn look_at(
        &self,
        columns: &[&'static Column],
        first: Day,
        last: Day,
        now: u64,
        is_checked: bool,
    ) -> io::Result<Option<Looked>> {
        let state = self.state();
        if !is_checked && (!state.is_settled || self.checked.load(Ordering::Relaxed) != now) {
            return Ok(None);
        }
        let mut days = Vec::new();
        let mut next = Some(first);
        while let Some(day) = next.filter(|day| *day <= last) {
            next = day.next();
            let picked = match state.days.get(&day).filter(|known| known.generation == state.generation) {
                Some(known) => {
                    note(&known.used, now);
                    known.pick(columns, now)?
                }
                None => state.absent.contains(day).then_some(Picked::Nothing),
            };
            if !is_checked && !matches!(picked, Some(Picked::Columns { .. })) {
                return Ok(None);
            }
            days.push((day, picked));
        }
        Ok(Some(Looked { generation: state.generation, days }))
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
        found.generation = generation;
        found.used.store(now, Ordering::Relaxed);
        let picked = found.pick(columns, now)?;
        let mut state = self.state_mut();
        if !found.is_absent() {
            state.days.insert(day, found);
        } else if state.generation == generation {
            state.days.remove(&day);
            state.absent.insert(day);
        }
        Ok(picked)
    }

    /// The days that are known, and what each holds.
    pub(super) fn uses(&self) -> Vec<Use> {
        let state = self.state();
        let of_day = |(day, known): (&Day, &KnownDay)| {
            let open = known.columns.iter().filter_map(|(_, known)| match known {
                Known::Open { column, .. } => Some(column.file.kept()),
                Known::Absent => None,
            });
            let (files, bytes) = open.fold((0, 0), |(files, bytes), kept| (files + 1, bytes + kept));
            Use { day: *day, used: known.used.load(Ordering::Relaxed), files, bytes }
        };
        state.days.iter().map(of_day).collect()
    }

    /// Forgets the days that were last used before the sweep `used_from`, and those of which a file was removed: its space on
    /// the disk is not free before it is closed. Files are only looked at after the directory changed.
    pub(super) fn sweep(&self, used_from: u64) {
        let stat = fstat(&self.directory).ok();
        let signature = stat.map(|stat| Signature::of(&stat)).filter(Signature::is_settled);
        let before = std::mem::replace(&mut *self.swept.lock().unwrap_or_else(PoisonError::into_inner), signature);
        let is_same = signature.is_some() && signature == before;
        let is_over =
            |known: &KnownDay| known.used.load(Ordering::Relaxed) < used_from || (!is_same && known.has_lost_a_file());
        let over: Vec<Day> =
            self.state().days.iter().filter(|(_, known)| is_over(known)).map(|(day, _)| *day).collect();
        for day in over {
            self.forget(day);
        }
    }

    pub(super) fn forget(&self, day: Day) {
        let known = self.state_mut().days.remove(&day);
        // Its files are closed when nobody waits for the lock.
        drop(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{column_file::Places, schema::Table};

    /// Each costs some 300 bytes as a day, and clients can ask for a hundred years of any series.
    #[test]
    fn absent_days_are_remembered_and_take_no_room() {
        let root = tempfile::tempdir().unwrap();
        let place = Places::new(1).take().unwrap();
        let series = Series::new(File::open(root.path()).unwrap(), place, 0).unwrap();
        let columns = [Table::Trades.column("id").unwrap()];
        let (first, last) = (Day::from_seconds_clamped(0), Day::from_seconds_clamped(u32::MAX));
        let look = || series.look(&columns, first, last, 0).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !series.state().is_settled {
            assert!(std::time::Instant::now() < deadline, "it never settles");
            look();
        }
        let Looked { generation, days } = look();
        for (day, picked) in days {
            assert!(picked.is_none(), "{day}");
            let mut found = KnownDay::new(None);
            found.columns.push(("time", Known::Absent));
            assert!(matches!(series.learn(day, generation, found, &columns, 0), Ok(Some(Picked::Nothing))));
        }
        assert_eq!(series.uses().len(), 0);
        assert!(look().days.iter().all(|(_, picked)| matches!(picked, Some(Picked::Nothing))));
        std::fs::write(root.path().join("time.18.11.26.bin"), [0; 4]).unwrap();
        let days = series.look(&columns, first, last, 1).unwrap().days;
        assert!(days.iter().all(|(_, picked)| picked.is_none()), "any of them may have come");
    }
}
