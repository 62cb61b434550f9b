//! The parameters of `/api/data`, checked.

use std::{borrow::Cow, collections::BTreeSet, num::ParseIntError, sync::Arc};

use column_store::{Column, Kind, SeriesId, StoreError, Table, layout};
use http::StatusCode;

use crate::{
    form, formats::Format, limits::Limits, metrics::Refusal, reduction::Reduction, shown::shown,
    symbol_alias::stored_symbol,
};

/// The exchange meant when none is named: the first clients knew no other.
const DEFAULT_EXCHANGE: &str = "coinbase";

const SECONDS_PER_DAY: u32 = 86_400;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A request for rows that can be looked for.
#[derive(Debug, PartialEq)]
pub(crate) struct DataQuery {
    /// Of which series.
    pub(crate) id: Arc<SeriesId>,
    /// Which columns, in the order asked for, repetitions included; never empty.
    pub(crate) columns: Vec<&'static Column>,
    /// First second, Unix time, inclusive.
    pub(crate) start: u32,
    /// Last second, Unix time, inclusive.
    pub(crate) end: u32,
    /// First and last nanosecond, if the range was asked for that exactly; it lies within the seconds.
    pub(crate) ns: Option<(u64, u64)>,
    /// At most so many rows.
    pub(crate) max_points: Option<u64>,
    /// How rows are chosen if there are more.
    pub(crate) reduction: Reduction,
    /// In which form, if the query says so.
    pub(crate) format: Option<Format>,
    /// Whether an exchange, symbol, table or range of days that is not there is to be an error.
    pub(crate) strict: bool,
}

/// What is wrong with a query; its text is the body of the answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("Missing query string")]
    NoQuery,
    #[error("Missing {0}")]
    Missing(&'static str),
    #[error("Invalid {parameter}: {source}")]
    Number { parameter: &'static str, source: ParseIntError },
    #[error("Invalid {parameter}: {reason}")]
    Name { parameter: &'static str, reason: &'static str },
    #[error("Invalid type: {} is neither {} nor {}", shown(.0), Table::Md.name(), Table::Trades.name())]
    Table(String),
    #[error("Invalid columns: {}; {} has {}", column_fault(.name), .table.name(), column_names(*.table))]
    Column { name: String, table: Table },
    #[error("Invalid start: {start} is after end {end}")]
    Order { start: u32, end: u32 },
    #[error("Invalid {nanos}: {seconds} is given too; a range has start and end, or start_ns and end_ns")]
    TwoRanges { nanos: &'static str, seconds: &'static str },
    #[error("Invalid {parameter}: {ns} lies beyond the year 2106, where seconds of 32 bits end")]
    Late { parameter: &'static str, ns: u64 },
    #[error("Invalid start_ns: {start} is after end_ns {end}")]
    OrderNs { start: u64, end: u64 },
    #[error("Invalid strict: it is 1 or 0")]
    Strict,
    #[error("Invalid format: {} is none of binary, arrow, csv and jsonl", shown(.0))]
    Format(String),
    #[error("Invalid columns: {0} is named twice, which the keys of format=jsonl cannot tell apart")]
    Twice(&'static str),
    #[error("Invalid reduce: {} is none of stride, minmax and lttb", shown(.0))]
    Reduce(String),
    #[error("Missing max_points: reduce={0} needs a number above 0")]
    NoPoints(&'static str),
    #[error("Invalid reduce_column: {} is no column of numbers of {}", shown(.name), .table.name())]
    ReduceColumn { name: String, table: Table },
    #[error("Missing reduce_column: none of the columns asked for is a price or another float")]
    NoReduceColumn,
    #[error("Invalid columns: {columns} columns, at most {limit} are answered at once")]
    TooManyColumns { columns: usize, limit: usize },
    #[error("Invalid end: {days} days from start, at most {limit} are answered at once")]
    TooManyDays { days: u32, limit: u32 },
    #[error("Invalid end: {days} days of {columns} columns are {files} files, at most {limit} are answered at once")]
    TooManyFiles { days: u32, columns: usize, files: usize, limit: usize },
}

impl QueryError {
    /// Which limit refused the query, if one did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::TooManyColumns { .. } => Some(Refusal::Columns),
            Self::TooManyDays { .. } => Some(Refusal::Days),
            Self::TooManyFiles { .. } => Some(Refusal::Files),
            _ => None,
        }
    }

    /// What is well formed and more than a limit allows is told apart from what makes no sense.
    pub(crate) fn status(&self) -> StatusCode {
        if self.refusal().is_some() { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST }
    }
}

fn column_fault(name: &str) -> String {
    if name.is_empty() { "a name is empty".to_owned() } else { format!("there is no column {}", shown(name)) }
}

fn column_names(table: Table) -> String {
    table.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// The parameters as they came; of a repeated one the last counts.
#[derive(Default)]
struct Parameters<'a> {
    symbol: Option<Cow<'a, str>>,
    table: Option<Cow<'a, str>>,
    start: Option<Cow<'a, str>>,
    end: Option<Cow<'a, str>>,
    start_ns: Option<Cow<'a, str>>,
    end_ns: Option<Cow<'a, str>>,
    columns: Option<Cow<'a, str>>,
    exchange: Option<Cow<'a, str>>,
    max_points: Option<Cow<'a, str>>,
    reduce: Option<Cow<'a, str>>,
    reduce_column: Option<Cow<'a, str>>,
    format: Option<Cow<'a, str>>,
    strict: Option<Cow<'a, str>>,
}

impl<'a> Parameters<'a> {
    /// Unknown names are ignored: clients send what newer servers understand.
    fn of(query: &'a str) -> Parameters<'a> {
        let mut parameters = Parameters::default();
        for (name, value) in form::pairs(query) {
            let place = match &*name {
                "symbol" => &mut parameters.symbol,
                "type" => &mut parameters.table,
                "start" => &mut parameters.start,
                "end" => &mut parameters.end,
                "columns" => &mut parameters.columns,
                "exchange" => &mut parameters.exchange,
                "max_points" => &mut parameters.max_points,
                "start_ns" => &mut parameters.start_ns,
                "end_ns" => &mut parameters.end_ns,
                "reduce" => &mut parameters.reduce,
                "reduce_column" => &mut parameters.reduce_column,
                "format" => &mut parameters.format,
                "strict" => &mut parameters.strict,
                _ => continue,
            };
            *place = Some(value);
        }
        parameters
    }
}

impl DataQuery {
    /// Checks a raw query string: symbol, type, start, end, columns, then the rest; the first fault is told.
    ///
    /// # Errors
    /// [`QueryError`], whose text names the parameter.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<DataQuery, QueryError> {
        let parameters = Parameters::of(query.ok_or(QueryError::NoQuery)?);
        let symbol = required("symbol", parameters.symbol)?;
        check_directory("symbol", &symbol)?;
        let table = table(&required("type", parameters.table)?)?;
        let range = TimeRange::parse(parameters.start, parameters.end, parameters.start_ns, parameters.end_ns)?;
        let columns = columns(&required("columns", parameters.columns)?, table, limits.columns)?;
        let exchange = parameters.exchange.unwrap_or(Cow::Borrowed(DEFAULT_EXCHANGE));
        check_directory("exchange", &exchange)?;
        let strict = is_strict(parameters.strict.as_deref())?;
        // Screens ask for "their width times four"; one without a width must still get its data.
        let max_points = parameters.max_points.and_then(|points| points.parse().ok()).filter(|points| *points > 0);
        let format = parameters.format.filter(|format| !format.is_empty());
        let format = format
            .map(|name| Format::from_name(&name).ok_or_else(|| QueryError::Format(name.into_owned())))
            .transpose()?;
        let reduction =
            reduction(parameters.reduce.as_deref(), parameters.reduce_column.as_deref(), max_points, table, &columns)?;
        let id = Arc::new(series_id(&exchange, &symbol, table));
        let TimeRange { start, end, ns } = range;
        let query = DataQuery { id, columns, start, end, ns, max_points, reduction, format, strict };
        query.check_range(limits)?;
        query.answerable_as(query.format.unwrap_or(Format::Binary))?;
        Ok(query)
    }

    /// Whether the answer is what the data path makes by itself: the stored bytes, whole seconds, evenly spaced rows.
    pub(crate) fn is_plain(&self, format: Format) -> bool {
        format == Format::Binary && self.reduction == Reduction::Stride && self.ns.is_none()
    }

    /// The range in nanoseconds, both ends inclusive.
    pub(crate) fn range_ns(&self) -> (u64, u64) {
        range_ns(self.start, self.end, self.ns)
    }

    /// Refuses columns that a format cannot carry.
    ///
    /// # Errors
    /// [`QueryError::Twice`].
    pub(crate) fn answerable_as(&self, format: Format) -> Result<(), QueryError> {
        if format != Format::JsonLines {
            return Ok(());
        }
        let mut names = BTreeSet::new();
        match self.columns.iter().find(|column| !names.insert(column.name)) {
            Some(column) => Err(QueryError::Twice(column.name)),
            None => Ok(()),
        }
    }

    fn check_range(&self, limits: &Limits) -> Result<(), QueryError> {
        let days = check_days(self.start, self.end, limits)?;
        let (files, limit) = (self.files(), limits.files);
        if files > limit {
            let columns = self.different_columns();
            return Err(QueryError::TooManyFiles { days, columns, files, limit });
        }
        Ok(())
    }

    /// UTC days that the range touches.
    fn days(&self) -> u32 {
        days(self.start, self.end)
    }

    fn different_columns(&self) -> usize {
        let is_first = |(at, column): &(usize, &&Column)| {
            self.columns.iter().position(|other| other.name == column.name) == Some(*at)
        };
        self.columns.iter().enumerate().filter(is_first).count()
    }

    /// Column files that the answer holds open at most.
    pub(crate) fn files(&self) -> usize {
        usize::try_from(self.days()).unwrap_or(usize::MAX).saturating_mul(self.different_columns())
    }
}

/// A request for what is missing.
#[derive(Debug)]
pub(crate) struct GapQuery {
    /// Of which series.
    pub(crate) id: SeriesId,
    /// First second.
    pub(crate) start: u32,
    /// Last second.
    pub(crate) end: u32,
    /// First and last nanosecond.
    pub(crate) range_ns: (u64, u64),
    /// Whether a series that is not there is to be an error.
    pub(crate) strict: bool,
}

impl GapQuery {
    /// Checks a raw query string: symbol, type, range, exchange, strict; the first fault is told.
    ///
    /// # Errors
    /// [`QueryError`], whose text names the parameter.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<GapQuery, QueryError> {
        let parameters = Parameters::of(query.ok_or(QueryError::NoQuery)?);
        let Parameters { symbol, table, start, end, start_ns, end_ns, exchange, strict, .. } = parameters;
        let symbol = required("symbol", symbol)?;
        let table = required("type", table)?;
        let TimeRange { start, end, ns } = TimeRange::parse(start, end, start_ns, end_ns)?;
        check_days(start, end, limits)?;
        let id = series(exchange.as_deref(), &symbol, &table)?;
        Ok(GapQuery { id, start, end, range_ns: range_ns(start, end, ns), strict: is_strict(strict.as_deref())? })
    }
}

/// A series by the names that a client gave.
///
/// # Errors
/// [`QueryError`], whose text names the parameter.
pub(crate) fn series(exchange: Option<&str>, symbol: &str, table: &str) -> Result<SeriesId, QueryError> {
    check_directory("symbol", symbol)?;
    let table = self::table(table)?;
    let exchange = exchange.unwrap_or(DEFAULT_EXCHANGE);
    check_directory("exchange", exchange)?;
    Ok(series_id(exchange, symbol, table))
}

fn table(name: &str) -> Result<Table, QueryError> {
    Table::from_name(name).ok_or_else(|| QueryError::Table(name.to_owned()))
}

fn series_id(exchange: &str, symbol: &str, table: Table) -> SeriesId {
    let symbol = stored_symbol(exchange, symbol).unwrap_or_else(|| symbol.to_owned());
    SeriesId { exchange: exchange.to_owned(), symbol, table }
}

fn is_strict(text: Option<&str>) -> Result<bool, QueryError> {
    match text {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(QueryError::Strict),
    }
}

/// UTC days that a range touches.
fn days(start: u32, end: u32) -> u32 {
    end / SECONDS_PER_DAY - start / SECONDS_PER_DAY + 1
}

fn check_days(start: u32, end: u32, limits: &Limits) -> Result<u32, QueryError> {
    let days = days(start, end);
    if days > limits.days { Err(QueryError::TooManyDays { days, limit: limits.days }) } else { Ok(days) }
}

fn range_ns(start: u32, end: u32, ns: Option<(u64, u64)>) -> (u64, u64) {
    let (start, end) = (u64::from(start), u64::from(end));
    ns.unwrap_or((start * NANOS_PER_SECOND, end * NANOS_PER_SECOND + (NANOS_PER_SECOND - 1)))
}

/// When rows are wanted from and to, both inclusive.
pub(crate) struct TimeRange {
    /// First second.
    pub(crate) start: u32,
    /// Last second.
    pub(crate) end: u32,
    /// First and last nanosecond, if that was asked for.
    pub(crate) ns: Option<(u64, u64)>,
}

impl TimeRange {
    /// Of `start` and `end`, or of `start_ns` and `end_ns`.
    ///
    /// # Errors
    /// [`QueryError`], whose text names the parameter.
    pub(crate) fn parse(
        start: Option<Cow<'_, str>>,
        end: Option<Cow<'_, str>>,
        start_ns: Option<Cow<'_, str>>,
        end_ns: Option<Cow<'_, str>>,
    ) -> Result<TimeRange, QueryError> {
        let seconds_given = start.as_ref().map(|_| "start").or(end.as_ref().map(|_| "end"));
        let nanos_given = start_ns.as_ref().map(|_| "start_ns").or(end_ns.as_ref().map(|_| "end_ns"));
        let Some(nanos) = nanos_given else {
            let start = seconds("start", &required("start", start)?)?;
            let end = seconds("end", &required("end", end)?)?;
            return if start > end {
                Err(QueryError::Order { start, end })
            } else {
                Ok(TimeRange { start, end, ns: None })
            };
        };
        if let Some(seconds) = seconds_given {
            return Err(QueryError::TwoRanges { nanos, seconds });
        }
        let (start_ns, start) = nanoseconds("start_ns", &required("start_ns", start_ns)?)?;
        let (end_ns, end) = nanoseconds("end_ns", &required("end_ns", end_ns)?)?;
        if start_ns > end_ns {
            return Err(QueryError::OrderNs { start: start_ns, end: end_ns });
        }
        Ok(TimeRange { start, end, ns: Some((start_ns, end_ns)) })
    }
}

fn required<'a>(parameter: &'static str, value: Option<Cow<'a, str>>) -> Result<Cow<'a, str>, QueryError> {
    value.ok_or(QueryError::Missing(parameter))
}

/// The number, and the second that it lies in.
fn nanoseconds(parameter: &'static str, text: &str) -> Result<(u64, u32), QueryError> {
    let ns: u64 = text.parse().map_err(|source| QueryError::Number { parameter, source })?;
    let second = u32::try_from(ns / NANOS_PER_SECOND).map_err(|_| QueryError::Late { parameter, ns })?;
    Ok((ns, second))
}

/// Checks what the parameters say about choosing rows.
fn reduction(
    name: Option<&str>,
    column: Option<&str>,
    max_points: Option<u64>,
    table: Table,
    columns: &[&'static Column],
) -> Result<Reduction, QueryError> {
    let make: fn(&'static Column) -> Reduction = match name {
        None | Some("" | "stride") => return Ok(Reduction::Stride),
        Some("minmax") => Reduction::MinMax,
        Some("lttb") => Reduction::Lttb,
        Some(name) => return Err(QueryError::Reduce(name.to_owned())),
    };
    let column = match column.filter(|column| !column.is_empty()) {
        Some(name) => {
            let of_numbers = table.column(name).filter(|column| column.kind != Kind::Uuid);
            of_numbers.ok_or_else(|| QueryError::ReduceColumn { name: name.to_owned(), table })?
        }
        None => {
            let is_float = |column: &&&Column| matches!(column.kind, Kind::F32 | Kind::F64);
            let is_price =
                |column: &&&Column| is_float(column) && ["price", "best_"].iter().any(|p| column.name.starts_with(p));
            let found = columns.iter().find(is_price).or_else(|| columns.iter().find(is_float));
            found.copied().ok_or(QueryError::NoReduceColumn)?
        }
    };
    let reduction = make(column);
    if max_points.is_none() { Err(QueryError::NoPoints(reduction.name())) } else { Ok(reduction) }
}

fn check_directory(parameter: &'static str, name: &str) -> Result<(), QueryError> {
    match layout::check_name(name, parameter) {
        Ok(()) => Ok(()),
        Err(StoreError::Name { reason, .. }) => Err(QueryError::Name { parameter, reason }),
        Err(_) => Err(QueryError::Name { parameter, reason: "it cannot be a name" }),
    }
}

fn seconds(parameter: &'static str, text: &str) -> Result<u32, QueryError> {
    text.parse().map_err(|source| QueryError::Number { parameter, source })
}

/// Columns by their names, with commas between them.
///
/// # Errors
/// [`QueryError`], whose text names what is wrong.
pub(crate) fn columns(list: &str, table: Table, columns_max: usize) -> Result<Vec<&'static Column>, QueryError> {
    let columns = list.split(',').count();
    if columns > columns_max {
        return Err(QueryError::TooManyColumns { columns, limit: columns_max });
    }
    let column = |name: &str| table.column(name).ok_or_else(|| QueryError::Column { name: name.to_owned(), table });
    list.split(',').map(str::trim).map(column).collect()
}

#[cfg(test)]
#[path = "../fuzz/src/query_entry.rs"]
mod entry;
#[cfg(test)]
mod fuzzed;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<DataQuery, QueryError> {
        DataQuery::parse(Some(query), &Limits::default())
    }

    #[test]
    fn a_full_query() {
        let query = parse(
            "symbol=BTC-USD&type=TRADES&start=%2B5&end=9&columns=id,+time+,id&exchange=kraken&max_points=7&strict=1&x=y",
        )
        .unwrap();
        assert_eq!(query.id.to_string(), "kraken/BTC-USD/TRADES");
        assert_eq!((query.start, query.end, query.max_points, query.strict), (5, 9, Some(7), true));
        assert_eq!(query.columns.iter().map(|column| column.name).collect::<Vec<_>>(), ["id", "time", "id"]);
        assert_eq!(query.files(), 2);
    }

    #[test]
    fn defaults_and_repeated_parameters() {
        let query = parse("symbol=A&symbol=B&type=MD&start=0&end=0&columns=time&max_points=0").unwrap();
        assert_eq!(query.id.to_string(), "coinbase/B/MD");
        assert_eq!((query.max_points, query.strict), (None, false));
        for points in ["-1", "x", "", "1.5", "99999999999999999999999"] {
            let query = parse(&format!("symbol=A&type=MD&start=0&end=0&columns=time&max_points={points}")).unwrap();
            assert_eq!(query.max_points, None, "{points}");
        }
    }

    #[test]
    fn days_are_counted_at_midnight() {
        let days = |start: u32, end: u32| {
            parse(&format!("symbol=A&type=MD&start={start}&end={end}&columns=time,price")).unwrap().days()
        };
        assert_eq!(days(0, 86_399), 1);
        assert_eq!(days(86_399, 86_400), 2);
        assert_eq!(days(86_400, 366 * 86_400 + 86_399), 366);
    }
}
