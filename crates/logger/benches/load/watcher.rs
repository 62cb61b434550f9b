//! Looks at the files of some symbols as a reader does, and notes how long after its receipt each row is there.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How often it looks: so much later than it happened a row may be noted.
const POLL: Duration = Duration::from_millis(2);

/// A thread that watches the `MD` tables of some symbols.
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

struct Watched {
    directory: PathBuf,
    files: Option<[File; 2]>,
    rows: u64,
}

impl Watcher {
    pub(crate) fn start(directories: Vec<PathBuf>) -> Watcher {
        let stop = Arc::new(AtomicBool::new(false));
        let mut watched: Vec<_> =
            directories.into_iter().map(|directory| Watched { directory, files: None, rows: 0 }).collect();
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut delays = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    watched.iter_mut().for_each(|watched| watched.look(&mut delays));
                    std::thread::sleep(POLL);
                }
                delays
            }
        });
        Watcher { stop, thread }
    }

    /// Ends, and returns the delays of all rows that were seen, ns, in order of size.
    pub(crate) fn finish(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut delays = self.thread.join().unwrap();
        delays.sort_unstable();
        delays
    }
}

impl Watched {
    fn look(&mut self, delays: &mut Vec<u64>) {
        if self.files.is_none() {
            let open = |column: &str| File::open(column_file(&self.directory, column)?).ok();
            self.files = open("time").and_then(|time| Some([time, open("receive_ns")?]));
        }
        let Some([time, receive_ns]) = &self.files else { return };
        // `time` is written last: what it has is there in all columns.
        let rows = time.metadata().unwrap().len() / 4;
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let mut cells = vec![0; usize::try_from((rows - self.rows) * 8).unwrap()];
        receive_ns.read_exact_at(&mut cells, self.rows * 8).unwrap();
        delays.extend(cells.chunks_exact(8).map(|cell| now - u64::from_le_bytes(cell.try_into().unwrap())));
        self.rows = rows;
    }
}

/// The file of a column, whatever the day; none before there is one.
pub(crate) fn column_file(directory: &Path, column: &str) -> Option<PathBuf> {
    let prefix = format!("{column}.");
    let entries = std::fs::read_dir(directory).ok()?;
    entries.map(|entry| entry.unwrap().path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&prefix) && name.ends_with(".bin")
    })
}

/// Waits until the table has so many committed rows.
pub(crate) fn wait_for_rows(directory: &Path, rows: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = column_file(directory, "time").map_or(0, |path| path.metadata().unwrap().len() / 4);
        if found >= rows {
            return;
        }
        assert!(Instant::now() < deadline, "{}: {found} of {rows} rows", directory.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}
