//! Whether files have changed, by what stands in them.
//!
//! Contents are compared, and not times or notifications: renames, symlinks that Kubernetes swaps, copies that keep the
//! time, and file systems without notifications all look alike then.

use crate::args::SecuritySource;
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a file that are compared. Longer ones are refused when they are read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A digest of the contents of several files, those that cannot be read included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print([u8; 32]);

/// Looks at a configuration and all files it names. If it cannot be read, `known` are the files it named before.
pub(super) fn look(source: &SecuritySource, known: &[PathBuf]) -> Print {
    let config = source.load();
    let named: Vec<&Path> = match &config {
        Ok(config) => config.files(),
        Err(_) => known.iter().map(PathBuf::as_path).collect(),
    };
    let mut context = Context::new(&SHA256);
    for path in source.path().into_iter().chain(named) {
        context.update(path.as_os_str().as_encoded_bytes());
        // The length keeps contents from flowing into each other; the tag keeps an error from looking like one.
        match read(path) {
            Ok(content) => {
                context.update(&[1]);
                context.update(&(content.len() as u64).to_le_bytes());
                context.update(&content);
            }
            Err(error) => {
                context.update(&[0]);
                context.update(format!("{:?}\n", error.kind()).as_bytes());
            }
        }
    }
    let mut print = [0; 32];
    print.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    Print(print)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // Opening a FIFO would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything is as it was applied.
    Nothing,
    /// Something has changed, and may be in the middle of it.
    Settle,
    /// Something has changed, and has stayed so for a whole interval.
    Reload,
}

/// Waits until a change has come to rest, so that a certificate is not read before its key is there.
#[derive(Debug)]
pub(super) struct Watch {
    applied: Print,
    changed: Option<Print>,
}

impl Watch {
    pub(super) fn new(applied: Print) -> Self {
        Self { applied, changed: None }
    }

    pub(super) fn step(&mut self, now: Print) -> Step {
        if now == self.applied {
            self.changed = None;
            return Step::Nothing;
        }
        if self.changed == Some(now) {
            return Step::Reload;
        }
        self.changed = Some(now);
        Step::Settle
    }

    pub(super) fn applied(&mut self, print: Print) {
        (self.applied, self.changed) = (print, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_applied_when_it_has_come_to_rest() {
        let [a, b, c] = [1, 2, 3].map(|number| Print([number; 32]));
        let mut watch = Watch::new(a);
        let steps = [a, b, c, b, c, c, c, a, c, c].map(|print| watch.step(print));
        use Step::{Nothing, Reload, Settle};
        assert_eq!(steps, [Nothing, Settle, Settle, Settle, Settle, Reload, Reload, Nothing, Settle, Reload]);
        watch.applied(c);
        assert_eq!(watch.step(c), Nothing);
    }
}
