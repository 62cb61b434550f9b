//! How much of the two endurance tests is run: a short form each time, the long one where `LONG_RUN` is set to a file, which
//! then gets a line of the table in `docs/long-runs.md` from each.

use std::{env, fs::File, io::Write as _, path::PathBuf};

/// Where the lines go, if this is a long run.
pub fn long() -> Option<PathBuf> {
    env::var_os("LONG_RUN").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Prints a line of the table, and adds it to the file of a long run.
pub fn report(line: &str) {
    println!("{line}");
    if let Some(path) = long() {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// The seed of random numbers: `SEED`, or another one each time; printed, so that a run can be had again.
pub fn seed() -> u64 {
    let given = env::var("SEED").ok().map(|seed| seed.parse().unwrap_or_else(|_| panic!("SEED={seed} is no number")));
    let seed = given.unwrap_or_else(|| logger::Clock::system().now_ns() % 1_000_000_000);
    println!("SEED={seed}");
    seed
}
