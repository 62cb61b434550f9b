//! Writes captures, on a thread of its own: the recorder hands entries over and never waits.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use metrics_server::Component;
use tracing::{error, info, warn};
use zstd::{bulk::Compressor, zstd_safe::CParameter};

use super::{Entry, Header, line};
use crate::{clock::Clock, metrics::CaptureMetrics};

/// Bytes that wait for the disk at most; beyond it entries are lost, and counted.
const QUEUE_LIMIT: usize = 64 << 20;
/// Text that is compressed at once.
const BLOCK: usize = 1 << 20;
/// Text is not kept in memory longer than this: what a kill -9 takes of a capture.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Compressed bytes of a file at most, give or take a block.
const FILE_LIMIT: u64 = 256 << 20;
/// The fastest level but two: about 400 MB/s of text, a tenth of its size.
const LEVEL: i32 = 1;
/// How long the end waits for what is in memory.
const GRACE: Duration = Duration::from_secs(5);
const HOUR_NS: u64 = 3_600 * 1_000_000_000;

/// Where the recorder puts what enters it.
#[derive(Debug)]
pub(crate) struct Capture {
    entries: mpsc::Sender<Entry>,
    pending: Arc<AtomicUsize>,
    /// Entries lost since the last one that was taken.
    lost: u64,
    done: mpsc::Receiver<()>,
    metrics: CaptureMetrics,
}

impl Capture {
    /// Opens the first file and starts the thread.
    ///
    /// # Errors
    /// What the operating system says of the directory or the file.
    pub(crate) fn start(
        directory: &Path,
        header: Header,
        clock: Clock,
        metrics: CaptureMetrics,
        health: Component,
    ) -> io::Result<Capture> {
        fs::create_dir_all(directory)?;
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        let mut writer = Writer {
            directory: directory.to_owned(),
            header,
            clock,
            compressor,
            file: None,
            text: String::new(),
            text_since: Instant::now(),
            metrics: metrics.clone(),
            health,
            is_failing: false,
        };
        writer.open()?;
        writer.health.ready();
        let (sender, entries) = mpsc::channel();
        let (tell_done, done) = mpsc::channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let of_thread = Arc::clone(&pending);
        thread::Builder::new().name("capture".to_owned()).spawn(move || {
            writer.run(&entries, &of_thread);
            _ = tell_done.send(());
        })?;
        Ok(Capture { entries: sender, pending, lost: 0, done, metrics })
    }

    /// Takes an entry, or loses it if the files cannot keep up.
    pub(crate) fn note(&mut self, entry: Entry) {
        let (bytes, pending) = (entry.bytes(), self.pending.load(Ordering::Relaxed));
        if pending > 0 && pending + bytes > QUEUE_LIMIT {
            self.lost += 1;
            self.metrics.lost.inc();
            return;
        }
        if self.lost > 0 {
            self.send(Entry::Lost(self.lost));
            self.lost = 0;
        }
        self.send(entry);
    }

    fn send(&self, entry: Entry) {
        let pending = self.pending.fetch_add(entry.bytes(), Ordering::Relaxed) + entry.bytes();
        self.metrics.pending_bytes.set(i64::try_from(pending).unwrap_or(i64::MAX));
        // Without the thread there is no capture, which is told; the recording goes on.
        _ = self.entries.send(entry);
    }

    /// The recorder has ended: what is in memory is written, if the disk lets it be.
    pub(crate) fn finish(self) {
        drop(self.entries);
        if self.done.recv_timeout(GRACE).is_err() {
            warn!(bytes = self.pending.load(Ordering::Relaxed), "the end of the raw capture could not be written");
        }
    }
}

struct Writer {
    directory: PathBuf,
    /// Of the newest file.
    header: Header,
    clock: Clock,
    compressor: Compressor<'static>,
    file: Option<Open>,
    /// Lines that are in no file yet.
    text: String,
    text_since: Instant,
    metrics: CaptureMetrics,
    health: Component,
    is_failing: bool,
}

struct Open {
    file: File,
    path: PathBuf,
    /// Bytes of whole blocks; what is behind them is written over.
    length: u64,
    /// Since the Unix epoch.
    hour: u64,
}

impl Writer {
    fn run(mut self, entries: &mpsc::Receiver<Entry>, pending: &AtomicUsize) {
        loop {
            let wait = FLUSH_EVERY.saturating_sub(self.text_since.elapsed());
            match entries.recv_timeout(if self.text.is_empty() { FLUSH_EVERY } else { wait }) {
                Ok(entry) => {
                    self.take(&entry);
                    let left = pending.fetch_sub(entry.bytes(), Ordering::Relaxed).saturating_sub(entry.bytes());
                    self.metrics.pending_bytes.set(i64::try_from(left).unwrap_or(i64::MAX));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.text.len() >= BLOCK || !self.text.is_empty() && self.text_since.elapsed() >= FLUSH_EVERY {
                // The queue fills up meanwhile, and then loses what comes.
                while !self.flush() {
                    thread::sleep(FLUSH_EVERY);
                }
            }
        }
        let give_up = Instant::now() + GRACE;
        while !self.text.is_empty() && !self.flush() && Instant::now() < give_up {
            thread::sleep(FLUSH_EVERY / 10);
        }
        if let Some(open) = &self.file
            && let Err(error) = open.file.sync_all()
        {
            warn!(%error, path = %open.path.display(), "the raw capture may not survive a power loss");
        }
        self.health.finish();
    }

    fn take(&mut self, entry: &Entry) {
        if self.text.is_empty() {
            self.text_since = Instant::now();
        }
        let start = self.text.len();
        if let Err(error) = line::write(&mut self.text, entry) {
            // No entry is like that; if one were, the capture says that it is not whole.
            error!(%error, "an entry of the raw capture is no text");
            self.text.truncate(start);
            self.text.push_str("x 1\n");
            self.metrics.lost.inc();
        }
    }

    /// Brings the text to the file; `false` if it stays in memory.
    fn flush(&mut self) -> bool {
        match self.try_flush() {
            Ok(()) => {
                self.text.clear();
                if std::mem::take(&mut self.is_failing) {
                    info!("the raw capture is written again");
                    self.health.recovered();
                }
                true
            }
            Err(error) => {
                self.metrics.errors.inc();
                let reason = format!("the raw capture in {} cannot be written: {error}", self.directory.display());
                self.health.degraded(&reason);
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!("{reason}; recording goes on");
                }
                false
            }
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        let hour = self.clock.now_ns() / HOUR_NS;
        match &mut self.file {
            // The disk took no header yet.
            Some(open) if open.length == 0 => {
                open.hour = hour;
                self.write_header()?;
            }
            Some(open) if open.length >= FILE_LIMIT || open.hour != hour => {
                open.file.sync_all()?;
                self.header.file += 1;
                self.file = None;
                self.open()?;
            }
            Some(_) => {}
            None => self.open()?,
        }
        let block = self.compressor.compress(self.text.as_bytes())?;
        self.write(&block)
    }

    /// Begins a file with its header.
    fn open(&mut self) -> io::Result<()> {
        let path = self.directory.join(file_name(&self.header));
        // A run's name is its own; another file of this name is not ours to write to.
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        self.file = Some(Open { file, path, length: 0, hour: self.clock.now_ns() / HOUR_NS });
        self.metrics.files.inc();
        self.write_header()
    }

    fn write_header(&mut self) -> io::Result<()> {
        let mut line = serde_json::to_string(&self.header)?;
        line.push('\n');
        let block = self.compressor.compress(line.as_bytes())?;
        self.write(&block)
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.file else { return Err(io::Error::other("no file is open")) };
        open.file.write_all_at(block, open.length)?;
        open.length += block.len() as u64;
        self.metrics.bytes.add(block.len() as u64);
        Ok(())
    }
}

/// Sorts by run and by place in it.
fn file_name(header: &Header) -> String {
    format!("{}.{:06}.capture.zst", header.run, header.file)
}

#[cfg(test)]
mod tests {
    use metrics_server::{Health, Registry};

    use super::*;
    use crate::capture::CaptureFile;

    fn header(run: u64) -> Header {
        Header::new(run, serde_json::Value::Null)
    }

    fn start(directory: &Path, clock: Clock) -> (Capture, CaptureMetrics, Health) {
        let metrics = CaptureMetrics::register(&mut Registry::default()).unwrap();
        let health = Health::new("test");
        let component = health.component("capture", None);
        (Capture::start(directory, header(1), clock, metrics.clone(), component).unwrap(), metrics, health)
    }

    fn writer(directory: &Path) -> (Writer, Health) {
        let health = Health::new("test");
        let writer = Writer {
            directory: directory.to_owned(),
            header: header(5),
            clock: Clock::system(),
            compressor: Compressor::new(LEVEL).unwrap(),
            file: None,
            text: String::new(),
            text_since: Instant::now(),
            metrics: CaptureMetrics::register(&mut Registry::default()).unwrap(),
            health: health.component("capture", None),
            is_failing: false,
        };
        (writer, health)
    }

    fn names(directory: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    fn times(file: &Path) -> Vec<u64> {
        let entries = CaptureFile::open(file).unwrap();
        entries
            .filter_map(|entry| match entry.unwrap() {
                Entry::Tick(ns) => Some(ns),
                _ => None,
            })
            .collect()
    }

    fn wait_for(what: impl Fn() -> bool) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !what() {
            assert!(Instant::now() < give_up);
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_is_noted_is_in_the_file_before_the_end_too() {
        let directory = tempfile::tempdir().unwrap();
        let (mut capture, metrics, _) = start(&directory.path().join("new"), Clock::system());
        capture.note(Entry::Tick(7));
        let before = metrics.bytes.get();
        wait_for(|| metrics.bytes.get() > before);
        let file = names(&directory.path().join("new")).remove(0);
        assert_eq!(times(&file), [7]);
        capture.note(Entry::Tick(8));
        capture.finish();
        assert_eq!(times(&file), [7, 8]);
        assert_eq!((metrics.files.get(), metrics.lost.get(), metrics.pending_bytes.get()), (1, 0, 0));
    }

    #[test]
    fn a_run_never_writes_over_another() {
        let directory = tempfile::tempdir().unwrap();
        let (capture, metrics, health) = start(directory.path(), Clock::system());
        capture.finish();
        let component = health.component("capture", None);
        let again = Capture::start(directory.path(), header(1), Clock::system(), metrics, component);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    /// A file for each hour, and each says what it is of.
    #[test]
    fn files_are_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, _health) = writer(directory.path());
        for (ns, change) in [(1, 0), (2, 0), (3, 1), (4, 0), (5, 2)] {
            match (change, &mut writer.file) {
                (1, Some(open)) => open.length += FILE_LIMIT,
                (2, Some(open)) => open.hour -= 1,
                _ => {}
            }
            writer.take(&Entry::Tick(ns));
            assert!(writer.flush());
        }
        let files = names(directory.path());
        let found: Vec<_> = files.iter().map(|file| times(file)).collect();
        assert_eq!(found, [vec![1, 2], vec![3, 4], vec![5]]);
        let numbers = files.iter().map(|file| CaptureFile::open(file).unwrap().header().map(|header| header.file));
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    }

    /// The directory goes away and comes back: what came meanwhile is written then.
    #[test]
    fn a_disk_that_fails_is_told_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("captures");
        let (mut writer, health) = writer(&path);
        fs::create_dir(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        writer.take(&Entry::Tick(1));
        assert!(!writer.flush());
        assert_eq!(writer.metrics.errors.get(), 1);
        assert!(writer.is_failing);
        assert!(format!("{:?}", health.readiness()).contains("cannot be written"), "{:?}", health.readiness());
        writer.take(&Entry::Tick(2));
        fs::create_dir(&path).unwrap();
        assert!(writer.flush());
        assert!(!writer.is_failing);
        assert_eq!(times(&names(&path)[0]), [1, 2]);
    }

    /// The disk was full when it was begun.
    #[test]
    fn a_file_without_its_header_gets_it_before_all_else() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, _health) = writer(directory.path());
        writer.open().unwrap();
        for hours_ago in [0, 1] {
            let open = writer.file.as_mut().unwrap();
            open.file.set_len(0).unwrap();
            (open.length, open.hour) = (0, open.hour - hours_ago);
            writer.take(&Entry::Tick(1));
            assert!(writer.flush());
            let files = names(directory.path());
            assert_eq!((files.len(), times(&files[0])), (1, vec![1]));
        }
    }

    /// A block that was written in part is written over.
    #[test]
    fn half_a_block_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, _health) = writer(directory.path());
        writer.take(&Entry::Tick(1));
        assert!(writer.flush());
        let open = writer.file.as_ref().unwrap();
        open.file.write_all_at(&[1; 7], open.length).unwrap();
        writer.take(&Entry::Tick(2));
        assert!(writer.flush());
        assert_eq!(times(&names(directory.path())[0]), [1, 2]);
    }

    #[test]
    fn what_the_queue_cannot_hold_is_counted_and_its_place_is_told() {
        let (sender, entries) = mpsc::channel();
        let metrics = CaptureMetrics::register(&mut Registry::default()).unwrap();
        let (_tell, done) = mpsc::channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let mut capture = Capture { entries: sender, pending: Arc::clone(&pending), lost: 0, done, metrics };
        capture.note(Entry::Tick(1));
        pending.store(QUEUE_LIMIT, Ordering::Relaxed);
        capture.note(Entry::Tick(2));
        capture.note(Entry::Tick(3));
        assert_eq!(capture.metrics.lost.get(), 2);
        pending.store(0, Ordering::Relaxed);
        capture.note(Entry::Tick(4));
        let noted: Vec<_> = entries.try_iter().map(|entry| format!("{entry:?}")).collect();
        assert_eq!(noted, ["Tick(1)", "Lost(2)", "Tick(4)"]);
    }
}
