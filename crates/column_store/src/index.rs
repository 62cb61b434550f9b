//! Days and their open files, remembered between requests, so that one that was asked for before costs no lookup.
//!
//! What is remembered is never believed for longer than it is true. Every request looks at the size of each file of a day
//! that is not sealed, and at the times of the series' directory, which tell of entries that came, went or were replaced.
//! For sealed days, and for the directories above, that is done once between two [sweeps](Index::sweep).

mod day_set;
mod fences;
mod series;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::fstat;

use crate::{
    Access, Column, ColumnSelection, Day, Reader, Selection, SeriesId, Slice, StoreError,
    blocks::{BlockBudget, Blocks},
    column_file::{ColumnFile, Place, Places},
    layout,
};
use fences::{Fences, Page};
use series::{Identity, Known, KnownDay, OpenColumn, Picked, Series, Signature, Use, note};

/// Sweeps, about an hour of them, after which days and series that nobody asked for are forgotten.
const IDLE_SWEEPS: u64 = 3_600;

/// A data directory whose files stay open between requests.
#[derive(Debug)]
pub struct Index {
    root: PathBuf,
    places: Arc<Places>,
    blocks: Arc<BlockBudget>,
    /// Counts sweeps: the clock by which things are believed and forgotten.
    now: AtomicU64,
    reader: RwLock<Option<Arc<Opened>>>,
    series: RwLock<HashMap<SeriesId, Arc<Series>>>,
}

#[derive(Debug)]
struct Opened {
    reader: Reader,
    identity: Identity,
}

/// What a request found.
#[derive(Debug)]
pub struct Found {
    /// The rows.
    pub selection: Selection,
    /// Changes if and only if the selected rows can: of ranges that lie wholly in sealed days.
    pub validator: Option<u128>,
    /// Days whose files had to be looked up.
    pub days_looked_up: usize,
}

/// Why nothing can be said about a range.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A disk may be needed, and [`Access::Resident`] forbids to wait for one.
    #[error("it is not in memory")]
    NotResident,
    /// As many files are open as may be, and answers hold all of them.
    #[error("too many files are open")]
    OpenFiles,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Index {
    /// Over the directory `root`, which need not exist yet, with at most `open_files` files of it open.
    pub fn new(root: &Path, open_files: usize) -> Index {
        Index {
            root: root.to_owned(),
            places: Places::new(open_files),
            blocks: BlockBudget::new(0),
            now: AtomicU64::new(0),
            reader: RwLock::default(),
            series: RwLock::default(),
        }
    }

    /// Keeps blocks of sealed files in memory, as far as somebody asked for them, at most so many bytes.
    #[must_use]
    pub fn keeping(self, bytes: usize) -> Index {
        Index { blocks: BlockBudget::new(bytes), ..self }
    }

    /// Bytes of sealed files that are kept in memory.
    pub fn kept_bytes(&self) -> usize {
        self.blocks.taken()
    }

    /// The data directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Files of the directory that are open, those that only answers under way hold included.
    pub fn open_files(&self) -> usize {
        self.places.taken()
    }

    /// Follows all paths anew and forgets what they do not lead to any more, and what nobody asked for in the last 3,600
    /// sweeps. To be called about once a second, where waiting for a disk is no harm.
    ///
    /// # Errors
    /// As [`Reader::open`]: nothing is remembered then.
    pub fn sweep(&self) -> Result<(), StoreError> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        let opened = match self.open_root() {
            Ok(opened) => opened,
            Err(error) => {
                *write(&self.reader) = None;
                write(&self.series).clear();
                return Err(error);
            }
        };
        let known: Vec<_> = read(&self.series).iter().map(|(id, series)| (id.clone(), Arc::clone(series))).collect();
        for (id, series) in known {
            let idle = now.saturating_sub(series.used.load(Ordering::Relaxed));
            if idle > IDLE_SWEEPS {
                drop(write(&self.series).remove(&id));
                continue;
            }
            series.sweep(now.saturating_sub(IDLE_SWEEPS));
            if idle > 1 {
                continue;
            }
            match opened.reader.identity(&id) {
                Ok(Some(identity)) if identity == series.identity => series.path_leads_here(now),
                // What is wrong with it, the next request tells.
                _ => drop(write(&self.series).remove(&id)),
            }
        }
        if self.blocks.was_short() {
            self.forget(self.blocks.taken() / 4, |of_day| of_day.bytes);
        }
        Ok(())
    }

    /// As [`Reader::select`], with the same answer.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn select(
        &self,
        id: &SeriesId,
        columns: &[&'static Column],
        start: u32,
        end: u32,
        access: Access,
    ) -> Result<Found, IndexError> {
        let mut assembled = Assembled::new(columns);
        let (first, last) = (Day::from_seconds_clamped(start), Day::from_seconds_clamped(end));
        let now = self.now.load(Ordering::Relaxed);
        let Some(series) = self.series(id, now, access)?.filter(|_| start <= end) else {
            return Ok(assembled.finish(0));
        };
        note(&series.used, now);
        let directory = || self.root.join(id.path());
        let failed = |error: io::Error| IndexError::io("look at", directory(), error);
        let looked = series.look(columns, first, last, now).map_err(failed)?;
        let unknown = looked.days.iter().filter(|(_, picked)| picked.is_none()).count();
        if unknown > 0 && access == Access::Resident {
            return Err(IndexError::NotResident);
        }
        for (day, picked) in looked.days {
            let picked = match picked {
                Some(picked) => picked,
                None => {
                    let opened = self.opened()?;
                    let found = self.look_up(&opened.reader, &series, id, day, columns)?;
                    let picked = series.learn(day, looked.generation, found, columns, now).map_err(failed)?;
                    // It went in this very moment: as if it had gone a moment before.
                    picked.unwrap_or(Picked::Nothing)
                }
            };
            let search = assembled.day(day, picked, start, end, access);
            search.map_err(|error| IndexError::io("read", directory().join(layout::file_name("time", day)), error))?;
        }
        Ok(assembled.finish(unknown))
    }

    /// The series; `None` if there is no such directory.
    fn series(&self, id: &SeriesId, now: u64, access: Access) -> Result<Option<Arc<Series>>, IndexError> {
        let known = read(&self.series).get(id).map(Arc::clone);
        if known.as_ref().is_some_and(|series| series.is_current(now)) {
            return Ok(known);
        }
        if access == Access::Resident {
            return Err(IndexError::NotResident);
        }
        layout::check_name(&id.exchange, "an exchange's directory")?;
        layout::check_name(&id.symbol, "a symbol's directory")?;
        let opened = self.opened()?;
        let Some(directory) = opened.reader.open_beneath(&id.path())? else {
            write(&self.series).remove(id);
            return Ok(None);
        };
        let identity = identity(&directory, || self.root.join(id.path()))?;
        if let Some(series) = known.filter(|series| series.identity == identity) {
            series.path_leads_here(now);
            return Ok(Some(series));
        }
        let place = self.place()?;
        let failed = |error| IndexError::io("look at", self.root.join(id.path()), error);
        let series = Arc::new(Series::new(directory, place, now).map_err(failed)?);
        write(&self.series).insert(id.clone(), Arc::clone(&series));
        Ok(Some(series))
    }

    /// The root.
    fn opened(&self) -> Result<Arc<Opened>, StoreError> {
        let opened = read(&self.reader).as_ref().map(Arc::clone);
        opened.map_or_else(|| self.open_root(), Ok)
    }

    /// Opens the root, and forgets everything if it is another one than before.
    fn open_root(&self) -> Result<Arc<Opened>, StoreError> {
        let reader = Reader::open(&self.root)?;
        let identity = Identity::of(&reader.stat()?);
        let mut known = write(&self.reader);
        if let Some(known) = known.as_ref().filter(|known| known.identity == identity) {
            return Ok(Arc::clone(known));
        }
        let opened = Arc::new(Opened { reader, identity });
        *known = Some(Arc::clone(&opened));
        drop(known);
        write(&self.series).clear();
        Ok(opened)
    }

    /// Opens what is wanted of a day, and keeps open what still is what it was.
    fn look_up(
        &self,
        reader: &Reader,
        series: &Series,
        id: &SeriesId,
        day: Day,
        columns: &[&'static Column],
    ) -> Result<KnownDay, IndexError> {
        let known = series.known_columns(day);
        let seal = reader.marker(id, day)?.map(Arc::new);
        let mut found = KnownDay::new(seal);
        let known_names = known.iter().filter_map(|(name, _)| id.table.column(name));
        let time = id.table.column("time");
        for column in time.into_iter().chain(columns.iter().copied()).chain(known_names) {
            if found.column(column.name).is_some() {
                continue;
            }
            let place = self.place()?;
            let path = id.path().join(layout::file_name(column.name, day));
            let looked_up = match reader.open_beneath(&path)? {
                None => Known::Absent,
                Some(file) => {
                    let stat = fstat(&file).map_err(|error| IndexError::io("look at", path, error.into()))?;
                    let identity = Identity::of(&stat);
                    let sealed = found.seal.as_ref().filter(|seal| {
                        seal.columns.contains_key(column.name) && u64::try_from(stat.st_size) == Ok(seal.bytes(column))
                    });
                    let signature = sealed.map(|_| Signature::of(&stat));
                    let same = known.iter().find_map(|(name, known)| match known {
                        Known::Open { column: open, .. }
                            if *name == column.name && open.identity == identity && open.sealed == signature =>
                        {
                            Some(Arc::clone(open))
                        }
                        _ => None,
                    });
                    let blocks = || sealed.map(|seal| Blocks::new(seal.bytes(column), &self.blocks));
                    let open = same.unwrap_or_else(|| {
                        let (file, fences) = (ColumnFile::new(file, blocks(), Some(place)), Fences::default());
                        let checked = AtomicU64::new(u64::MAX);
                        Arc::new(OpenColumn { file: Arc::new(file), identity, sealed: signature, checked, fences })
                    });
                    Known::Open { column: open, sealed_rows: sealed.map(|seal| seal.rows) }
                }
            };
            let is_absent_day = column.name == "time" && matches!(looked_up, Known::Absent);
            found.columns.push((column.name, looked_up));
            if is_absent_day {
                break;
            }
        }
        Ok(found)
    }

    /// A place for one more open file; of what nobody needs right now, the least recently used makes room.
    fn place(&self) -> Result<Place, IndexError> {
        if let Some(place) = self.places.take() {
            return Ok(place);
        }
        // A quarter at once: the next ones then find a place without all this.
        self.forget((self.places.taken() / 4).max(1), |of_day| of_day.files);
        if let Some(place) = self.places.take() {
            return Ok(place);
        }
        // Answers under way hold what was forgotten: all the rest, then, and the directories themselves.
        self.forget(usize::MAX, |of_day| of_day.files);
        write(&self.series).clear();
        self.places.take().ok_or(IndexError::OpenFiles)
    }

    /// Forgets the least recently used days that together have so much of something.
    fn forget(&self, wanted: usize, amount: impl Fn(&Use) -> usize) {
        let known: Vec<_> = read(&self.series).values().map(Arc::clone).collect();
        let mut uses: Vec<_> =
            known.iter().flat_map(|series| series.uses().into_iter().map(move |of_day| (series, of_day))).collect();
        uses.sort_by_key(|(_, of_day)| of_day.used);
        let mut forgotten = 0;
        for (series, of_day) in uses.iter().filter(|(_, of_day)| amount(of_day) > 0) {
            if forgotten >= wanted {
                break;
            }
            series.forget(of_day.day);
            forgotten += amount(of_day);
        }
    }
}

impl Reader {
    fn stat(&self) -> Result<rustix::fs::Stat, StoreError> {
        fstat(&self.root_file).map_err(|error| StoreError::io("look at", &self.root)(error.into()))
    }

    /// Which directory a series has now.
    fn identity(&self, id: &SeriesId) -> Result<Option<Identity>, StoreError> {
        match self.open_beneath(&id.path())? {
            Some(directory) => identity(&directory, || self.root.join(id.path())).map(Some),
            None => Ok(None),
        }
    }
}

fn identity(directory: &File, path: impl Fn() -> PathBuf) -> Result<Identity, StoreError> {
    let stat = fstat(directory).map_err(|error| StoreError::io("look at", path())(error.into()))?;
    Ok(Identity::of(&stat))
}

impl IndexError {
    fn io(action: &'static str, path: PathBuf, error: io::Error) -> IndexError {
        if error.kind() == ErrorKind::WouldBlock {
            IndexError::NotResident
        } else {
            StoreError::io(action, path)(error).into()
        }
    }
}

/// A selection in the making.
struct Assembled {
    selection: Selection,
    validator: Option<u128>,
}

impl Assembled {
    fn new(columns: &[&'static Column]) -> Assembled {
        let columns = columns.iter().map(|column| ColumnSelection { column, rows: 0, slices: Vec::new() }).collect();
        let selection = Selection { columns, incomplete: Vec::new(), any_day: false };
        Assembled { selection, validator: Some(0) }
    }

    fn day(&mut self, day: Day, picked: Picked, start: u32, end: u32, access: Access) -> io::Result<()> {
        let (time, columns, rows, validator) = match picked {
            Picked::Nothing => {
                self.validator = None;
                return Ok(());
            }
            Picked::Lacks(column) => {
                self.selection.any_day = true;
                self.selection.incomplete.push((day, column));
                self.validator = None;
                return Ok(());
            }
            Picked::Columns { time, columns, rows, validator } => (time, columns, rows, validator),
        };
        self.selection.any_day = true;
        // Each is a checksum already: what is needed is that no two days can stand for each other.
        self.validator = self.validator.zip(validator).map(|(all, day)| all.wrapping_mul(FOLD) ^ day);
        let mut page = Page::new();
        let first = time.fences.search(&time.file, rows, start.into(), (&mut page, 0), access)?;
        let past = time.fences.search(&time.file, rows, u64::from(end) + 1, (&mut page, first), access)?;
        for (selected, file) in self.selection.columns.iter_mut().zip(columns).filter(|_| past > first) {
            let width = selected.column.kind.width() as u64;
            selected.rows += past - first;
            selected.slices.push(Slice::new(file, first * width, (past - first) * width));
        }
        Ok(())
    }

    fn finish(self, days_looked_up: usize) -> Found {
        let validator = self.validator.filter(|_| self.selection.any_day);
        Found { selection: self.selection, validator, days_looked_up }
    }
}

/// The prime of the 128-bit FNV hash.
const FOLD: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    // Nothing panics under these locks, and what they hold is replaced whole.
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
