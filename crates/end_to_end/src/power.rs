//! What a power loss does to a data directory, done to one that a logger was killed on.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rand::{Rng as _, rngs::StdRng};
use serde_json::Value;

/// Column files lose what the last checkpoint does not prove: all of it, a part, or it comes back as zeros; each file for
/// itself. The machine is another boot's then. Returns what was safe: the time of the checkpoint, ns since the Unix epoch; `None`
/// if there is no checkpoint yet, and nothing was changed.
pub fn lose(data: &Path, random: &mut StdRng) -> Option<u64> {
    let path = data.join("checkpoint");
    let mut checkpoint: Value = serde_json::from_slice(&fs::read(&path).ok()?).unwrap();
    let noted_ns = checkpoint["noted_ns"].as_u64().unwrap();
    for (file, width) in columns(data) {
        let table = file.parent().unwrap();
        let series = table.strip_prefix(data).unwrap().to_str().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let (_, day) = name.strip_suffix(".bin").unwrap().split_once('.').unwrap();
        let days = &checkpoint["rows"][series];
        let Some(safe) = days[day].as_u64().or_else(|| days.is_null().then_some(0)) else { continue };
        // A series that a checkpoint does not name is as safe as its age says; leave it alone.
        if days.is_null() {
            continue;
        }
        let (safe, length) = (safe * width, fs::metadata(&file).unwrap().len());
        if length <= safe {
            continue;
        }
        let cut = random.random_range(safe..=length);
        let opened = fs::File::options().write(true).open(&file).unwrap();
        opened.set_len(cut).unwrap();
        if random.random_bool(0.5) {
            // The size was on disk already, the bytes were not.
            opened.set_len(length).unwrap();
        }
    }
    let digit = random.random_range(0..10);
    checkpoint["boot_id"] = format!("0000000{digit}-0000-4000-8000-000000000000").into();
    fs::write(&path, checkpoint.to_string()).unwrap();
    Some(noted_ns)
}

/// All column files with the width of their cells.
fn columns(data: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut open = vec![data.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "bin") {
                let name = path.file_name().unwrap().to_str().unwrap();
                let width = crate::files::width(name.split('.').next().unwrap()) as u64;
                found.insert(path, width);
            }
        }
    }
    found
}
