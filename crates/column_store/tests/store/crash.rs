//! What a killed process and a lost power supply leave, and what recovery makes of it.

use column_store::StoreError;
use proptest::prelude::*;

use super::*;

const DAY: &str = "18.11.96";

fn column_file(root: &Path, column: &str) -> std::path::PathBuf {
    root.join(id(Table::Md).path()).join(format!("{column}.{DAY}.bin"))
}

fn set_len(root: &Path, column: &str, length: u64) {
    fs::File::options().write(true).open(column_file(root, column)).unwrap().set_len(length).unwrap();
}

/// Three rows synced and `more` rows only flushed, by a process that is gone.
fn synced_and_flushed(more: u64) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open_on_boot(root.path(), Options::default(), "boot-1".into()).unwrap();
    append(&mut store, &[md(DAY_START, 0), md(DAY_START, 1), md(DAY_START, 2)]);
    flush(&mut store);
    store.sync().unwrap();
    append(&mut store, &(3..3 + more).map(|i| md(DAY_START + i, i)).collect::<Vec<_>>());
    flush(&mut store);
    root
}

fn reopen(root: &Path, boot: &str) -> Result<Store, StoreError> {
    Store::open_on_boot(root, Options::default(), boot.into())
}

/// kill -9 inside a flush: one column was written up to any byte, those after it not at all.
#[test]
fn cut_at_every_byte_of_every_column() {
    // The order in which a flush writes: `time` last.
    let columns: Vec<_> = Table::Md.columns().iter().cycle().skip(1).take(Table::Md.columns().len()).collect();
    for (at, column) in columns.iter().enumerate() {
        let width = column.kind.width() as u64;
        for length in 3 * width..=5 * width {
            let root = synced_and_flushed(2);
            set_len(root.path(), column.name, length);
            for unwritten in &columns[at + 1..] {
                set_len(root.path(), unwritten.name, 3 * unwritten.kind.width() as u64);
            }
            let expected = if at + 1 < columns.len() { 3 } else { length / width };
            let mut store = reopen(root.path(), "boot-1").unwrap();
            assert_whole_rows(root.path(), Table::Md, DAY.parse().unwrap(), expected);
            append(&mut store, &[md(DAY_START + 99, 99)]);
            flush(&mut store);
            let ids = u64s(&read_all(root.path(), Table::Md), "event_id");
            assert_eq!(ids, (0..expected).chain([99]).collect::<Vec<_>>(), "{} cut to {length}", column.name);
        }
    }
}

#[test]
fn what_is_cut_off_is_kept() {
    let root = synced_and_flushed(2);
    let whole = fs::read(column_file(root.path(), "event_id")).unwrap();
    set_len(root.path(), "side", 17);
    let store = reopen(root.path(), "boot-1").unwrap();
    let cut = store.recovered().iter().find(|cut| cut.file == column_file(root.path(), "event_id")).unwrap();
    assert_eq!((cut.bytes, cut.rows), (8, 4));
    assert_eq!(fs::read(&cut.kept_in).unwrap(), whole[32..]);
    assert!(cut.kept_in.to_str().unwrap().ends_with(".torn"));
    assert_eq!(store.recovered().len(), 17, "all columns, `side` with its torn byte");
}

#[test]
fn rows_proven_by_a_checkpoint_are_never_cut() {
    for boot in ["boot-1", "boot-2"] {
        let root = synced_and_flushed(1);
        set_len(root.path(), "price", 11);
        let error = reopen(root.path(), boot).err().unwrap();
        assert!(matches!(error, StoreError::BelowCheckpoint { rows: 2, proven: 3, .. }), "{error}");
        assert!(error.to_string().contains("price.18.11.96.bin"), "{error}");
        assert_eq!(fs::metadata(column_file(root.path(), "event_id")).unwrap().len(), 32, "nothing was touched");
        // The way out that the error names.
        fs::remove_file(root.path().join("checkpoint")).unwrap();
        reopen(root.path(), boot).unwrap();
        assert_whole_rows(root.path(), Table::Md, DAY.parse().unwrap(), 2);
    }
}

#[test]
fn a_lost_time_file_is_refused() {
    let root = synced_and_flushed(1);
    fs::remove_file(column_file(root.path(), "time")).unwrap();
    assert!(matches!(reopen(root.path(), "boot-1").err(), Some(StoreError::BelowCheckpoint { rows: 0, .. })));
}

#[derive(Clone, Copy, Debug)]
enum Tail {
    Kept,
    Dropped { bytes_left: u64 },
    Zeroed,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Power loss: of what was not synced, each column keeps, loses or zeroes its tail on its own.
    #[test]
    fn power_loss_leaves_the_checkpoint(
        tails in prop::collection::vec(
            prop_oneof![
                Just(Tail::Kept),
                (0_u64..40).prop_map(|bytes_left| Tail::Dropped { bytes_left }),
                Just(Tail::Zeroed),
            ],
            17,
        ),
        new_day in any::<bool>(),
    ) {
        let root = synced_and_flushed(5);
        if new_day {
            // A day that begins after the last checkpoint is not proven at all.
            let next = root.path().join(id(Table::Md).path());
            for column in Table::Md.columns() {
                let cell = fs::read(column_file(root.path(), column.name)).unwrap()[..column.kind.width()].to_vec();
                fs::write(next.join(format!("{}.19.11.96.bin", column.name)), cell).unwrap();
            }
        }
        for (column, tail) in Table::Md.columns().iter().zip(&tails) {
            let width = column.kind.width() as u64;
            match tail {
                Tail::Kept => {}
                Tail::Dropped { bytes_left } => {
                    set_len(root.path(), column.name, 3 * width + bytes_left.min(&(5 * width)));
                }
                Tail::Zeroed => {
                    set_len(root.path(), column.name, 3 * width);
                    set_len(root.path(), column.name, 8 * width);
                }
            }
        }
        let mut store = reopen(root.path(), "boot-2").unwrap();
        assert_whole_rows(root.path(), Table::Md, DAY.parse().unwrap(), 3);
        assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1, 2]);
        append(&mut store, &[md(DAY_START + 90_000 * S, 8)]);
        flush(&mut store);
        assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1, 2, 8]);
    }
}

/// What a restart on the same boot let stand was synced with it: a later power loss must not take it.
#[test]
fn rows_that_a_restart_kept_are_proven() {
    let root = synced_and_flushed(2);
    // Nothing more is written to the series before the power is lost.
    drop(reopen(root.path(), "boot-1").unwrap());
    let store = reopen(root.path(), "boot-2").unwrap();
    assert!(store.recovered().is_empty(), "{:?}", store.recovered());
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1, 2, 3, 4]);
}

/// A day's last rows are proven even if the next day's files cannot be begun.
#[test]
fn the_end_of_a_day_is_proven_while_the_next_one_fails() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open_on_boot(root.path(), Options::default(), "boot-1".into()).unwrap();
    append(&mut store, &[md(DAY_START, 0)]);
    flush(&mut store);
    store.sync().unwrap();
    // A directory where a column of the next day should be.
    let obstacle = root.path().join(id(Table::Md).path()).join("side.19.11.96.bin");
    fs::create_dir(&obstacle).unwrap();
    append(&mut store, &[md(DAY_START + 1, 1), md(DAY_START + 86_400 * S, 2)]);
    assert!(store.flush(|_, _| {}).is_err());
    store.sync().unwrap();
    drop(store);
    fs::remove_dir(&obstacle).unwrap();
    drop(reopen(root.path(), "boot-2").unwrap());
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1]);
}

/// Old data copied into the directory is not taken for the unsynced rows of a crash.
#[test]
fn days_long_over_survive_a_power_loss_whoever_put_them_there() {
    let root = tempfile::tempdir().unwrap();
    drop(Store::open_on_boot(root.path(), Options::default(), "boot-1".into()).unwrap());
    let other = synced_and_flushed(0);
    let old_day = ["18.11.96", "01.02.20"];
    let (from, to) = (other.path().join("coinbase/BTC-USD/MD"), root.path().join("coinbase/BTC-USD/MD"));
    fs::create_dir_all(&to).unwrap();
    for column in Table::Md.columns() {
        let name = |day: &str| format!("{}.{day}.bin", column.name);
        fs::copy(from.join(name(old_day[0])), to.join(name(old_day[1]))).unwrap();
    }
    let store = reopen(root.path(), "boot-2").unwrap();
    assert!(store.recovered().is_empty(), "{:?}", store.recovered());
}

#[test]
fn a_column_of_a_proven_day_that_is_gone_is_refused() {
    let root = synced_and_flushed(1);
    fs::remove_file(column_file(root.path(), "price_f64")).unwrap();
    let error = reopen(root.path(), "boot-1").err().unwrap();
    assert!(matches!(error, StoreError::BelowCheckpoint { rows: 0, proven: 3, .. }), "{error}");
    assert!(error.to_string().contains("price_f64.18.11.96.bin"), "{error}");
}

#[test]
fn power_loss_before_a_series_was_ever_synced() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open_on_boot(root.path(), Options::default(), "boot-1".into()).unwrap();
    append(&mut store, &[md(DAY_START, 0)]);
    flush(&mut store);
    drop(store);
    let store = reopen(root.path(), "boot-2").unwrap();
    assert_eq!(store.recovered().len(), 17, "written after the only checkpoint, so nothing of it is proven");
    assert_whole_rows(root.path(), Table::Md, DAY.parse().unwrap(), 0);
}

#[test]
fn a_directory_without_a_checkpoint_keeps_its_whole_rows() {
    let root = synced_and_flushed(2);
    fs::remove_file(root.path().join("checkpoint")).unwrap();
    reopen(root.path(), "boot-2").unwrap();
    assert_whole_rows(root.path(), Table::Md, DAY.parse().unwrap(), 5);
}

#[test]
fn a_clean_stop_survives_a_reboot() {
    let root = synced_and_flushed(2);
    let mut store = reopen(root.path(), "boot-1").unwrap();
    append(&mut store, &[md(DAY_START + 86_400 * S, 5)]);
    flush(&mut store);
    store.sync().unwrap();
    drop(store);
    let store = reopen(root.path(), "boot-2").unwrap();
    assert!(store.recovered().is_empty(), "{:?}", store.recovered());
    assert_eq!(u64s(&read_all(root.path(), Table::Md), "event_id"), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let root = synced_and_flushed(0);
    fs::write(root.path().join("checkpoint"), "{").unwrap();
    let error = reopen(root.path(), "boot-1").err().unwrap();
    assert!(error.to_string().contains("checkpoint is damaged"), "{error}");
}
