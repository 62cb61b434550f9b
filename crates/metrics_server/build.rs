//! Records which compiler and which revision a build is from, for `build_info!`.
//!
//! The revision comes from `GPU_CHARTS_REVISION` (packages, images), else from the workspace's `.git`, else it is
//! `unknown`. The files of `.git` are read directly: the git program may be missing, or refuse a directory that
//! belongs to somebody else, as is usual in containers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Hex digits of a revision; what git itself prints for a repository of this size, with room to grow.
const REVISION_DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=GPU_CHARTS_REVISION");
    let given = env::var("GPU_CHARTS_REVISION").ok().filter(|revision| !revision.trim().is_empty());
    let revision = given.or_else(git_revision).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=METRICS_SERVER_REVISION={}", revision.trim());
    println!("cargo::rustc-env=METRICS_SERVER_RUSTC={}", rustc_version().unwrap_or_else(|| "unknown".to_owned()));
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn rustc_version() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

/// The short revision of the checked-out commit. The build script runs again when one of the files read here changes.
fn git_revision() -> Option<String> {
    let workspace = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("../..");
    let git = git_dir(&workspace)?;
    let head = read(&git.join("HEAD"))?;
    let full = match head.strip_prefix("ref: ") {
        None => head,
        Some(reference) => {
            // In a linked worktree the branches are kept by the main one.
            let common = match fs::read_to_string(git.join("commondir")) {
                Ok(path) => git.join(path.trim()),
                Err(_) => git.clone(),
            };
            read(&common.join(reference)).or_else(|| {
                // The next commit writes the branch's own file, which is not there to be watched yet; it also
                // appends to the log.
                watch(&git.join("logs/HEAD"));
                packed(&common, reference)
            })?
        }
    };
    let is_hex = full.len() >= REVISION_DIGITS && full.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| full[..REVISION_DIGITS].to_owned())
}

/// `.git`, or where it points to if it is a file (linked worktrees and submodules).
fn git_dir(workspace: &Path) -> Option<PathBuf> {
    let git = workspace.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let pointer = read(&git)?;
    Some(workspace.join(pointer.strip_prefix("gitdir: ")?))
}

fn packed(common: &Path, reference: &str) -> Option<String> {
    let packed = read(&common.join("packed-refs"))?;
    packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').map(str::to_owned))
}

/// Reads a file and watches it.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    watch(path);
    Some(text.trim().to_owned())
}

/// Builds again when the file changes. One that is not there is not watched: cargo would build every time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
