//! The writing side of a data directory.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Covered, Cut, Day, Disk, Gap, OsDisk, RemovedDay, Row, SealDraft, Sealing, SeriesId, StoreError, TimeRule, Written,
    checkpoint::{self, Checkpoint},
    disk,
    layout::{self, FORMAT_FILE, FORMAT_VERSION, LOCK_FILE},
    recovery, retention, seal,
    series::Series,
    syncing::{self, Proof, Syncing},
};

/// How a store behaves.
pub struct Options {
    /// Column files kept open at most; a series has 17 or 12 on a day. Where that is not enough, series without new rows give
    /// theirs up, and what still does not fit is opened for each flush, one series after the other: for a moment there are
    /// as many more as one series has.
    pub open_files: usize,
    /// A range of coverage that grows is written again at most this often.
    pub coverage_interval: Duration,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    /// 4,096 open files of the operating system's disk, coverage every minute.
    fn default() -> Options {
        Options { open_files: 4_096, coverage_interval: Duration::from_secs(60), disk: Arc::new(OsDisk) }
    }
}

/// A data directory, open for writing; nobody else can write it until this is dropped.
pub struct Store {
    root: PathBuf,
    root_file: Arc<File>,
    /// Held for its lock.
    _lock: File,
    disk: Arc<dyn Disk>,
    /// Column files kept open at most, and those that are open now.
    open_files_limit: usize,
    open_files: usize,
    coverage_interval_ns: u64,
    boot_id: String,
    series: Vec<Series>,
    /// The series that the next flush looks at: thousands of quiet ones cost it nothing.
    listed: Vec<usize>,
    index: HashMap<SeriesId, usize>,
    /// What the last checkpoint proved, by series and day.
    proven: BTreeMap<String, BTreeMap<String, u64>>,
    syncing: Option<Syncing>,
    /// The kernel tells a failed write-back once and then forgets it.
    sync_failed: bool,
    recovered: Vec<Cut>,
    pending_bytes: usize,
    flushes: u64,
    /// Room for the cells of one column on their way to its file.
    cells: Vec<u8>,
}

/// A series of a [`Store`], for rows of type `R`.
pub struct SeriesHandle<R> {
    index: usize,
    row: PhantomData<fn(&R)>,
}

impl<R> Clone for SeriesHandle<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for SeriesHandle<R> {}

impl Store {
    /// Opens a data directory, creating it if need be, and makes whole rows of what a crash left.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another logger has it, [`StoreError::NewerFormat`], [`StoreError::BelowCheckpoint`] if
    /// recovery would lose proven rows, or what the operating system says.
    pub fn open(root: &Path, options: Options) -> Result<Store, StoreError> {
        let boot_id = checkpoint::boot_id()?;
        Store::open_on_boot(root, options, boot_id)
    }

    /// [`Store::open`], told which boot of the machine it is: tests make a power loss with it.
    #[doc(hidden)]
    pub fn open_on_boot(root: &Path, options: Options, boot_id: String) -> Result<Store, StoreError> {
        fs::create_dir_all(root).map_err(StoreError::io("create", root))?;
        let lock = lock(root)?;
        check_format(root, true)?;
        let checkpoint = Checkpoint::read(root)?;
        let recovered = recovery::recover(root, checkpoint.as_ref(), &boot_id)?;
        let root_file = File::open(root).map_err(StoreError::io("open", root))?;
        let mut store = Store {
            root: root.to_owned(),
            root_file: Arc::new(root_file),
            _lock: lock,
            disk: options.disk,
            open_files_limit: options.open_files,
            open_files: 0,
            coverage_interval_ns: u64::try_from(options.coverage_interval.as_nanos()).unwrap_or(u64::MAX),
            boot_id,
            series: Vec::new(),
            listed: Vec::new(),
            index: HashMap::new(),
            proven: recovered.rows,
            recovered: recovered.cuts,
            syncing: None,
            sync_failed: false,
            pending_bytes: 0,
            flushes: 0,
            cells: Vec::new(),
        };
        // Whatever recovery let stand is proven from here on.
        store.sync()?;
        Ok(store)
    }

    /// What recovery cut off at opening, and where it is kept.
    pub fn recovered(&self) -> &[Cut] {
        &self.recovered
    }

    /// The series of a symbol's table, by the venue's own name of the symbol.
    ///
    /// # Errors
    /// [`StoreError::Name`] if a name cannot be a directory; reading its newest day may fail.
    pub fn series<R: Row>(&mut self, exchange: &str, symbol: &str) -> Result<SeriesHandle<R>, StoreError> {
        layout::check_name(exchange, "an exchange's directory")?;
        let symbol = layout::symbol_directory(symbol)?;
        let id = SeriesId { exchange: exchange.to_owned(), symbol, table: R::TABLE };
        let index = match self.index.get(&id) {
            Some(index) => *index,
            None => {
                let index = self.series.len();
                self.series.push(Series::open::<R>(&self.root, id.clone())?);
                self.index.insert(id, index);
                index
            }
        };
        Ok(SeriesHandle { index, row: PhantomData })
    }

    /// The cells of a column of whole numbers in the last `count` committed rows of the series, in their order; 0 where
    /// unknown.
    ///
    /// # Errors
    /// The operating system's.
    pub fn last_cells<R: Row>(
        &self,
        handle: SeriesHandle<R>,
        column: &str,
        count: u64,
    ) -> Result<Vec<u64>, StoreError> {
        self.series.get(handle.index).map_or(Ok(Vec::new()), |series| series.last_cells(column, count))
    }

    /// The search key of the series' last row, ns since the Unix epoch; 0 before the first.
    pub fn last_time_ns<R: Row>(&self, handle: SeriesHandle<R>) -> u64 {
        self.series.get(handle.index).map_or(0, |series| series.last_time().ns())
    }

    /// Takes a row into memory; [`Store::flush`] brings it to the files.
    ///
    /// # Errors
    /// [`StoreError::Clock`] if neither time of the row can stand in a file name; the row is not taken.
    pub fn append<R: Row>(&mut self, handle: SeriesHandle<R>, row: &R, rule: TimeRule) -> Result<(), StoreError> {
        if let Some(series) = self.series.get_mut(handle.index) {
            self.pending_bytes += series.append(row, rule)?;
            series.list(handle.index, &mut self.listed);
        }
        Ok(())
    }

    /// Takes note of a gap of the series; [`Gap::exchange`] and [`Gap::symbol`] are filled in. One that is open or lost is
    /// in its file before any row that is appended from now on; one that is filled is so after the next sync has proven
    /// the rows that were appended before, the ones that fill it among them.
    ///
    /// # Errors
    /// [`StoreError::Record`] or [`StoreError::Clock`] if it cannot be a line of a file; it is not taken then.
    pub fn gap<R: Row>(&mut self, handle: SeriesHandle<R>, gap: Gap) -> Result<(), StoreError> {
        if let Some(series) = self.series.get_mut(handle.index) {
            let (exchange, symbol) = (series.id.exchange.clone(), series.id.symbol.clone());
            self.pending_bytes += series.journal.gap(&Gap { exchange, symbol, ..gap }, &series.id)?;
            series.list(handle.index, &mut self.listed);
        }
        Ok(())
    }

    /// Takes note that a range of the series is whole with the rows appended so far. It may extend the one before it, and is
    /// told in the file once a sync has proven these rows, at most every [`Options::coverage_interval`].
    ///
    /// # Errors
    /// [`StoreError::Record`] or [`StoreError::Clock`] if it cannot be a line of a file; it is not taken then.
    pub fn cover<R: Row>(&mut self, handle: SeriesHandle<R>, range: Covered) -> Result<(), StoreError> {
        if let Some(series) = self.series.get_mut(handle.index) {
            series.journal.cover(range, &series.id)?;
            series.list(handle.index, &mut self.listed);
        }
        Ok(())
    }

    /// Durably marks a day as over, if nothing of it changed since the draft was read. A row that is appended to it later
    /// removes the mark first.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if rows were added since the draft was read, [`StoreError::SyncFailed`] after a failed
    /// sync, or what the operating system says; the day is not sealed then.
    pub fn seal(&mut self, draft: &SealDraft, now_ns: u64) -> Result<Sealing, StoreError> {
        if self.sync_failed {
            return Err(StoreError::SyncFailed { path: self.root.clone() });
        }
        if !seal::is_over(draft.day, now_ns) {
            return Ok(Sealing::TooEarly);
        }
        let series = self.index.get(&draft.id).and_then(|index| self.series.get_mut(*index));
        if series.as_ref().is_some_and(|series| series.is_waiting(draft.day)) {
            return Ok(Sealing::RowsWaiting);
        }
        // Also if the marker's writing fails: it may be there all the same.
        if let Some(series) = series {
            series.sealed(draft.day);
        }
        draft.write(&self.root, now_ns, &*self.disk)?;
        Ok(Sealing::Sealed)
    }

    /// Bytes of rows and gaps that are not in the files yet.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Rows that are not in the files yet, of each series that has any.
    pub fn pending(&self) -> impl Iterator<Item = (&SeriesId, u64)> {
        self.series.iter().map(|series| (&series.id, series.pending_rows())).filter(|(_, rows)| *rows > 0)
    }

    /// Column files open now.
    pub fn open_files(&self) -> usize {
        self.open_files
    }

    /// Writes all pending rows to the files, where readers see them and where they survive the death of this process.
    /// `on_written` hears of every series that got rows.
    ///
    /// # Errors
    /// The first failure. The series it concerns keeps its rows in memory for the next flush, its files are back at the
    /// previous flush, and the other series are written all the same.
    pub fn flush(&mut self, mut on_written: impl FnMut(&SeriesId, Written)) -> Result<(), StoreError> {
        self.flushes += 1;
        let listed = std::mem::take(&mut self.listed);
        self.make_room(&listed);
        let mut first_error = Ok(());
        for index in listed {
            let Some(series) = self.series.get_mut(index) else { continue };
            let (gap_bytes, open) = (series.journal.gap_bytes(), series.open_files());
            let (written, result) = series.flush(&*self.disk, &mut self.cells);
            let gap_bytes = gap_bytes - series.journal.gap_bytes();
            let bytes = usize::try_from(written.bytes).unwrap_or(usize::MAX).saturating_add(gap_bytes);
            self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
            if written.rows > 0 {
                series.used = self.flushes;
                on_written(&series.id, written);
            }
            self.open_files = self.open_files + series.open_files() - open;
            if self.open_files > self.open_files_limit {
                self.open_files -= series.open_files();
                series.close_files();
            }
            series.is_listed = false;
            if result.is_err() {
                series.list(index, &mut self.listed);
            }
            first_error = first_error.and(result);
        }
        first_error
    }

    /// Closes series without rows, least recently used first, as far as those with rows need their places. Among the series
    /// that have rows all the time none is closed for another one: in turns each would be opened again at each flush.
    fn make_room(&mut self, listed: &[usize]) {
        let wanted: usize = listed.iter().filter_map(|index| self.series.get(*index)).map(Series::wanted_files).sum();
        let wanted = (self.open_files + wanted).saturating_sub(self.open_files_limit);
        if wanted == 0 {
            return;
        }
        let is_idle = |series: &&mut Series| series.open_files() > 0 && series.pending_rows() == 0;
        let mut idle: Vec<_> = self.series.iter_mut().filter(is_idle).collect();
        idle.sort_unstable_by_key(|series| series.used);
        let mut closed = 0;
        for series in idle {
            if closed >= wanted {
                break;
            }
            closed += series.open_files();
            series.close_files();
        }
        self.open_files -= closed;
    }

    /// Makes every flushed row durable and notes it in the checkpoint: it survives power loss from here on. What was
    /// claimed of these rows, coverage and filled gaps, is then written.
    ///
    /// # Errors
    /// The operating system's; the old checkpoint then still stands, or what is claimed waits. After a failed `syncfs` it
    /// stands until the store is opened anew ([`StoreError::SyncFailed`]): the kernel may have dropped what it could not
    /// write, and does not say so twice.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.sync_and_claim(self.coverage_interval_ns)
    }

    /// Makes everything durable before a stop: the rows that are flushed, and what is claimed of them, also the coverage
    /// that [`Store::sync`] would write later. Flush first.
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub fn finish(&mut self) -> Result<(), StoreError> {
        self.sync_and_claim(0)?;
        self.sync_and_claim(0)
    }

    /// Begins what [`Store::sync`] does, on a thread of its own; rows may be appended and flushed meanwhile, and are not
    /// part of it. Nothing happens if a sync is under way. [`Store::end_sync`] tells how it went, and must be asked.
    ///
    /// # Errors
    /// [`StoreError::SyncFailed`], or that no thread can be started.
    pub fn begin_sync(&mut self) -> Result<(), StoreError> {
        if self.sync_failed {
            return Err(StoreError::SyncFailed { path: self.root.clone() });
        }
        if self.syncing.is_some() {
            return Ok(());
        }
        let mut rows = self.proven.clone();
        for series in &mut self.series {
            let written = series.written();
            if !written.is_empty() {
                rows.insert(series.id.to_string(), written);
            }
            series.journal.sync_begins();
        }
        let noted_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let noted_ns = u64::try_from(noted_ns).unwrap_or(u64::MAX);
        let checkpoint = Checkpoint { boot_id: self.boot_id.clone(), noted_ns, rows };
        let (root_file, disk) = (Arc::clone(&self.root_file), Arc::clone(&self.disk));
        self.syncing = Some(Syncing::begin(checkpoint, self.root.clone(), root_file, disk)?);
        Ok(())
    }

    /// Ends a sync that was begun: writes what is claimed of the rows that it proved. `None` while it is under way, and if
    /// none was begun.
    pub fn end_sync(&mut self) -> Option<Result<(), StoreError>> {
        self.syncing
            .take_if(|syncing| syncing.is_finished())
            .map(|syncing| self.end(syncing, self.coverage_interval_ns))
    }

    fn sync_and_claim(&mut self, interval_ns: u64) -> Result<(), StoreError> {
        // What was begun before does not know the rows that were flushed since; only its last word counts here.
        if let Some(syncing) = self.syncing.take() {
            _ = self.end(syncing, interval_ns);
        }
        self.begin_sync()?;
        self.syncing.take().map_or(Ok(()), |syncing| self.end(syncing, interval_ns))
    }

    /// Waits for a sync, and writes what it allows to be claimed.
    fn end(&mut self, syncing: Syncing, interval_ns: u64) -> Result<(), StoreError> {
        let Some((checkpoint, proof)) = syncing.wait() else {
            self.sync_failed = true;
            return Err(StoreError::io("sync", &self.root)(syncing::died()));
        };
        match proof {
            Proof::Noted => {}
            Proof::Unnoted(error) => return Err(error),
            Proof::Failed(error) => {
                self.sync_failed = true;
                return Err(error);
            }
        }
        self.proven = checkpoint.rows;
        // A series that fails does not keep the others from it.
        let mut first_error = Ok(());
        for series in &mut self.series {
            let result = series.write_claims(checkpoint.noted_ns, interval_ns, &*self.disk);
            first_error = first_error.and(result);
        }
        first_error
    }

    /// Removes a day of a series: columns, gaps, coverage, markers and what recovery cut off. `None` while a sync is under
    /// way, whose checkpoint still names the day: nothing is removed then. A removal that a crash cuts short is taken up at
    /// the next opening.
    ///
    /// # Errors
    /// [`StoreError::NotOver`] if the day is not over, so today is never removed; [`StoreError::Unsealed`] if it has rows in
    /// memory, or is not sealed, unless `force`; or what the operating system says.
    pub fn remove_day(
        &mut self,
        id: &SeriesId,
        day: Day,
        now_ns: u64,
        force: bool,
    ) -> Result<Option<RemovedDay>, StoreError> {
        if self.syncing.is_some() {
            return Ok(None);
        }
        if day.end_ns() > now_ns {
            return Err(StoreError::NotOver { day });
        }
        let directory = self.root.join(id.path());
        if !force {
            retention::check_sealed(&directory, id, day)?;
        }
        if let Some(series) = self.index.get(id).and_then(|index| self.series.get_mut(*index)) {
            if series.is_waiting(day) {
                return Err(StoreError::Unsealed { series: id.to_string(), day });
            }
            self.open_files -= series.open_files();
            series.forget(day);
            self.open_files += series.open_files();
        }
        if let Some(days) = self.proven.get_mut(&id.to_string()) {
            days.remove(&day.to_string());
        }
        self.proven.retain(|_, days| !days.is_empty());
        let bytes = retention::remove(&directory, day, &*self.disk)?;
        Ok(Some(RemovedDay { series: id.clone(), day, bytes }))
    }
}

impl Drop for Store {
    /// Waits for a sync that is under way: nothing is written to the directory any more once its lock is given back.
    fn drop(&mut self) {
        if let Some(syncing) = self.syncing.take() {
            drop(syncing.wait());
        }
    }
}
/// How long [`is_recording`] may hold the lock at most, with much room.
const LOCK_GLANCE: Duration = Duration::from_millis(50);

/// Takes the lock that keeps a second logger out; the kernel gives it back when the process ends, however it ends.
pub(crate) fn lock(root: &Path) -> Result<File, StoreError> {
    let path = root.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    let mut locked = file.try_lock();
    if let Err(TryLockError::WouldBlock) = locked {
        // Somebody who asks whether it is taken has it for a moment.
        std::thread::sleep(LOCK_GLANCE);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            _ = file.take(32).read_to_string(&mut holder);
            return Err(StoreError::Locked { path, holder: holder.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(StoreError::io("write", path))?;
    Ok(file)
}

/// Whether a logger has the directory now. Nothing is written.
///
/// # Errors
/// What the operating system says; a directory without a lock file is not recorded into.
pub fn is_recording(root: &Path) -> Result<bool, StoreError> {
    let path = root.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    // Shared: several may ask at once.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}

/// Refuses a directory of a newer version; `create` names the version in a directory that has none yet.
pub(crate) fn check_format(root: &Path, create: bool) -> Result<(), StoreError> {
    let path = root.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found <= FORMAT_VERSION => Ok(()),
            Ok(found) => Err(StoreError::NewerFormat { path, found, known: FORMAT_VERSION }),
            Err(_) => Err(StoreError::Damaged { path, reason: "it does not hold a version number".to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            disk::replace(&OsDisk, &path, format!("{FORMAT_VERSION}\n").as_bytes())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}
