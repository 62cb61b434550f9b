//! Where things lie: `{root}/{exchange}/{symbol}/{TABLE}/{column}.{DD}.{MM}.{YY}.bin`.

use std::{fmt, fmt::Write as _, path::PathBuf};

use serde::{Serialize, Serializer};

use crate::{Day, StoreError, Table};

/// Names the format's version.
pub const FORMAT_FILE: &str = "FORMAT";
/// The version written by this crate.
pub const FORMAT_VERSION: u32 = 1;
/// Held while a logger writes.
pub const LOCK_FILE: &str = "lock";
/// Row counts that are proven to be on disk.
pub const CHECKPOINT_FILE: &str = "checkpoint";

/// A file name may have 255 bytes on Linux; the longest column, a day and `.bin.<rows>.torn` are added to names too.
const NAME_LIMIT: usize = 128;

/// One table of one symbol at one exchange, by directory names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId {
    /// The exchange's directory.
    pub exchange: String,
    /// The symbol's directory, see [`symbol_directory`].
    pub symbol: String,
    /// The table.
    pub table: Table,
}

impl SeriesId {
    /// The series' directory below the root.
    pub fn path(&self) -> PathBuf {
        [&self.exchange, &self.symbol, self.table.name()].iter().collect()
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.exchange, self.symbol, self.table.name())
    }
}

/// As it prints: `exchange/symbol/TABLE`.
impl Serialize for SeriesId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The name of a column's file on a day.
pub fn file_name(column: &str, day: Day) -> String {
    format!("{column}.{day}.bin")
}

/// Splits a column file's name into column and day; `None` for any other file.
pub fn parse_file_name(name: &str) -> Option<(&str, Day)> {
    let stem = name.strip_suffix(".bin")?;
    let (column, day) = stem.split_at_checked(stem.len().checked_sub(9)?)?;
    Some((column, day.strip_prefix('.')?.parse().ok()?)).filter(|(column, _)| !column.is_empty())
}

/// The names that files of one day beside its columns begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayFile {
    /// What is missing.
    Gaps,
    /// What is proven to be whole.
    Coverage,
    /// The day is over, and its columns have these checksums.
    Sealed,
    /// The day is being removed.
    Removed,
}

impl DayFile {
    const ALL: [DayFile; 4] = [DayFile::Gaps, DayFile::Coverage, DayFile::Sealed, DayFile::Removed];

    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            DayFile::Gaps => ("gaps", "jsonl"),
            DayFile::Coverage => ("coverage", "jsonl"),
            DayFile::Sealed => ("sealed", "json"),
            DayFile::Removed => ("removed", "json"),
        }
    }

    /// The file's name on a day.
    pub(crate) fn name(self, day: Day) -> String {
        let (stem, extension) = self.parts();
        format!("{stem}.{day}.{extension}")
    }

    /// Which of them a file name is, and of which day.
    pub(crate) fn parse(name: &str) -> Option<(DayFile, Day)> {
        DayFile::ALL.into_iter().find_map(|file| {
            let (stem, extension) = file.parts();
            let day = name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(extension)?.strip_suffix('.')?;
            Some((file, day.parse().ok()?))
        })
    }
}

/// The directory name of a venue's symbol: `/` becomes `_`, a literal `_` and other unusual bytes are percent-encoded.
///
/// # Errors
/// [`StoreError::Name`] if the symbol is empty, begins with a dot, or is too long.
pub fn symbol_directory(symbol: &str) -> Result<String, StoreError> {
    let mut name = String::with_capacity(symbol.len());
    for byte in symbol.bytes() {
        match byte {
            b'/' => name.push('_'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b':' | b'.' => name.push(char::from(byte)),
            // Writing into a String cannot fail.
            _ => _ = write!(name, "%{byte:02X}"),
        }
    }
    check_name(&name, "a symbol's directory")?;
    Ok(name)
}

/// Whether a name may be a directory of the store; what a client sends goes through here before it touches a path.
///
/// # Errors
/// [`StoreError::Name`] if it is empty, too long, begins with a dot, or holds a slash or a control character.
pub fn check_name(name: &str, what: &'static str) -> Result<(), StoreError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_LIMIT {
        "it is longer than 128 bytes"
    } else if name.starts_with('.') {
        "it begins with a dot"
    } else if name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        "it holds a slash or a control character"
    } else {
        return Ok(());
    };
    Err(StoreError::Name { name: name.to_owned(), what, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_become_directories() {
        for (symbol, expected) in [
            ("BTC-USD", Some("BTC-USD")),
            ("BTC/USD", Some("BTC_USD")),
            ("A_B", Some("A%5FB")),
            ("tDUSK:USD", Some("tDUSK:USD")),
            ("A%B", Some("A%25B")),
            ("币安", Some("%E5%B8%81%E5%AE%89")),
            ("../../etc", None),
            (".hidden", None),
            ("", None),
        ] {
            assert_eq!(symbol_directory(symbol).ok().as_deref(), expected, "{symbol}");
        }
        // `/` and `_` must not meet in one directory.
        assert_ne!(symbol_directory("A/B").unwrap(), symbol_directory("A_B").unwrap());
        assert!(symbol_directory(&"X".repeat(129)).is_err());
    }

    #[test]
    fn names_that_leave_the_root_are_refused() {
        for name in ["..", ".", "a/b", "a\\b", "a\0b", "", "\n"] {
            assert!(check_name(name, "a symbol").is_err(), "{name:?}");
        }
        check_name("XBT_USD", "a symbol").unwrap();
    }

    #[test]
    fn file_names_split() {
        let day: Day = "18.11.26".parse().unwrap();
        assert_eq!(parse_file_name(&file_name("best_bid", day)), Some(("best_bid", day)));
        for name in ["time.18.11.26.bin.torn", ".18.11.26.bin", "time.bin", "gaps.18.11.26.jsonl", "time.99.11.26.bin"]
        {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
