//! `logger migrate`: everything of the ancestor arrives, or is named.

use super::{
    data::{ancestor, open},
    *,
};

#[test]
fn a_directory_is_taken_over_and_verified() {
    let (from, to) = (ancestor(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("README"), "by hand").unwrap();
    let torn = from.path().join("coinbase/BTC-USD/MD/price.18.11.25.bin");
    fs::write(&torn, [fs::read(&torn).unwrap(), vec![7]].concat()).unwrap();
    let migrate = || run(&["migrate", path(from.path()), path(to.path())]);
    let first = migrate();
    first.says(
        0,
        &[
            "kept      coinbase/BTC-USD/MD 18.11.25: 1 bytes of torn rows, in *.torn files\n",
            "README: not copied",
            "1 days copied, 0 there before, 0 for later, 0 refused: 10 rows in ",
            "1 other files left where they are",
        ],
    );
    assert_eq!(first.stderr, "");
    let copy = |name: &str| fs::read(to.path().join("coinbase/BTC-USD/MD").join(name)).unwrap();
    assert_eq!(copy("time.18.11.25.bin"), fs::read(from.path().join("coinbase/BTC-USD/MD/time.18.11.25.bin")).unwrap());
    run(&["verify", path(to.path())]).says(0, &["(1 sealed)", "\n0 missing"]);
    migrate().says(0, &["0 days copied, 1 there before"]);
}

#[test]
fn what_does_not_fit_is_named() {
    let (from, to) = (ancestor(), tempfile::tempdir().unwrap());
    let there = to.path().join("coinbase/BTC-USD/MD");
    fs::create_dir_all(&there).unwrap();
    fs::write(there.join("nanos.18.11.25.bin"), [9; 40]).unwrap();
    fs::remove_file(from.path().join("coinbase/BTC-USD/MD/side.18.11.25.bin")).unwrap();
    let second = from.path().join("coinbase/ETH-USD/MD");
    fs::create_dir_all(&second).unwrap();
    fs::write(second.join("price.18.11.25.bin"), [0; 8]).unwrap();
    let ran = run(&["migrate", path(from.path()), path(to.path())]);
    ran.says(
        1,
        &[
            "refused   coinbase/BTC-USD/MD 18.11.25: ",
            "nanos.18.11.25.bin has other bytes",
            "refused   coinbase/ETH-USD/MD 18.11.25: it has no `time` column",
            "2 refused",
        ],
    );
    assert_eq!(fs::read(there.join("nanos.18.11.25.bin")).unwrap(), [9; 40]);
}

#[test]
fn directories_that_cannot_be_meant_are_refused() {
    let (from, to) = (ancestor(), tempfile::tempdir().unwrap());
    let inside = from.path().join("new");
    run(&["migrate", path(from.path()), path(&inside)]).says(64, &["one directory lies in the other"]);
    run(&["migrate", "/nowhere", path(to.path())]).says(64, &["/nowhere is not a directory"]);
    run(&["migrate", path(to.path()), path(from.path())]).says(64, &["holds no column files"]);
    let locked = tempfile::tempdir().unwrap();
    let _held = open(locked.path());
    run(&["migrate", path(from.path()), path(locked.path())])
        .says(1, &["locked by another logger", "goes on from there"]);
    run(&["migrate", path(from.path())]).says(64, &["<TO>"]);
}
