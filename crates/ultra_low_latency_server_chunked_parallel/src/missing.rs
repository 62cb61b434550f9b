//! What a request asked for and the data directory does not have.

use std::{fmt, path::Path};

use column_store::{Day, SeriesId};
use http::{HeaderName, HeaderValue};

use crate::shown::shown;

/// The header that names what is missing.
pub(crate) const X_MISSING: HeaderName = HeaderName::from_static("x-missing");

/// Days named in one header; proxies take only a few KiB of headers, and further ones are just counted.
const DAYS_NAMED_MAX: usize = 32;

/// What is missing from an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing was recorded of the exchange.
    Exchange(String),
    /// Nothing was recorded of the symbol at that exchange.
    Symbol(SeriesId),
    /// Nothing was recorded of the symbol's table.
    Table(SeriesId),
    /// The table has no day in the range.
    Range(SeriesId, u32, u32),
    /// Days that were left out because they lack a column that was asked for.
    Days(Vec<(Day, &'static str)>),
}

impl Missing {
    /// The first directory that is absent on the way to a series without a day in the range.
    ///
    /// Looks at directories, so it belongs on a blocking thread. The names were checked: none leads out of `root`.
    pub(crate) fn of_series(root: &Path, id: &SeriesId, start: u32, end: u32) -> Missing {
        let exchange = root.join(&id.exchange);
        if !exchange.is_dir() {
            Missing::Exchange(id.exchange.clone())
        } else if !exchange.join(&id.symbol).is_dir() {
            Missing::Symbol(id.clone())
        } else if !root.join(id.path()).is_dir() {
            Missing::Table(id.clone())
        } else {
            Missing::Range(id.clone(), start, end)
        }
    }

    /// Whether the symbol itself is there.
    pub(crate) fn has_symbol(&self) -> bool {
        !matches!(self, Missing::Exchange(_) | Missing::Symbol(_))
    }

    /// The value of [`X_MISSING`]. It is plain ASCII whatever was asked for.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string()).unwrap_or(HeaderValue::from_static("data"))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = |id: &SeriesId| format!("{}/{}", shown(&id.exchange), shown(&id.symbol));
        match self {
            Missing::Exchange(exchange) => write!(f, "exchange {}", shown(exchange)),
            Missing::Symbol(id) => write!(f, "symbol {}", symbol(id)),
            Missing::Table(id) => write!(f, "table {}/{}", symbol(id), id.table.name()),
            Missing::Range(id, start, end) => write!(f, "range {}/{} {start}-{end}", symbol(id), id.table.name()),
            Missing::Days(days) => {
                for (at, (day, column)) in days.iter().take(DAYS_NAMED_MAX).enumerate() {
                    write!(f, "{}{day}:{column}", if at == 0 { "" } else { ", " })?;
                }
                match days.len().saturating_sub(DAYS_NAMED_MAX) {
                    0 => Ok(()),
                    more => write!(f, ", and {more} more"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_days_make_a_short_header() {
        let day: Day = "17.11.26".parse().unwrap();
        let check = |days: usize, end: &str| {
            let header = Missing::Days(vec![(day, "price_f64"); days]).header();
            assert!(header.to_str().unwrap().ends_with(end), "{header:?}");
            assert!(header.len() < 1024);
        };
        check(1, "17.11.26:price_f64");
        check(32, ", 17.11.26:price_f64");
        check(366, ", 17.11.26:price_f64, and 334 more");
    }

    #[test]
    fn names_cannot_break_a_header() {
        let missing = Missing::Exchange("a\r\nb: ü".to_owned());
        assert_eq!(missing.header(), "exchange a%0D%0Ab:%20%C3%BC");
    }
}
