//! The parameters of `/api/data`, checked.

use std::num::ParseIntError;

use column_store::{Column, SeriesId, StoreError, Table, layout};

use crate::{form, limits::Limits, metrics::Refusal, shown::shown};

/// The exchange meant when none is named: the first clients knew no other.
const DEFAULT_EXCHANGE: &str = "coinbase";

const SECONDS_PER_DAY: u32 = 86_400;

/// A request for rows that can be looked for.
#[derive(Debug, PartialEq)]
pub(crate) struct DataQuery {
    /// Of which series.
    pub(crate) id: SeriesId,
    /// Which columns, in the order asked for, repetitions included; never empty.
    pub(crate) columns: Vec<&'static Column>,
    /// First second, Unix time, inclusive.
    pub(crate) start: u32,
    /// Last second, Unix time, inclusive.
    pub(crate) end: u32,
    /// At most so many rows, evenly spaced.
    pub(crate) max_points: Option<u64>,
    /// Whether an exchange, symbol, table or range of days that is not there is to be an error.
    pub(crate) strict: bool,
}

/// What is wrong with a query; its text is the body of the 400.
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
    #[error("Invalid strict: it is 1 or 0")]
    Strict,
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
}

fn column_fault(name: &str) -> String {
    if name.is_empty() { "a name is empty".to_owned() } else { format!("there is no column {}", shown(name)) }
}

fn column_names(table: Table) -> String {
    table.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// The parameters as they came; of a repeated one the last counts.
#[derive(Default)]
struct Parameters {
    symbol: Option<String>,
    table: Option<String>,
    start: Option<String>,
    end: Option<String>,
    columns: Option<String>,
    exchange: Option<String>,
    max_points: Option<String>,
    strict: Option<String>,
}

impl Parameters {
    /// Unknown names are ignored: clients send what newer servers understand.
    fn of(query: &str) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in form::pairs(query) {
            let place = match name.as_str() {
                "symbol" => &mut parameters.symbol,
                "type" => &mut parameters.table,
                "start" => &mut parameters.start,
                "end" => &mut parameters.end,
                "columns" => &mut parameters.columns,
                "exchange" => &mut parameters.exchange,
                "max_points" => &mut parameters.max_points,
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
        let symbol = directory("symbol", required("symbol", parameters.symbol)?)?;
        let table = required("type", parameters.table)?;
        let table = Table::from_name(&table).ok_or(QueryError::Table(table))?;
        let start = seconds("start", &required("start", parameters.start)?)?;
        let end = seconds("end", &required("end", parameters.end)?)?;
        let columns = columns(&required("columns", parameters.columns)?, table, limits)?;
        let exchange = parameters.exchange.unwrap_or_else(|| DEFAULT_EXCHANGE.to_owned());
        let exchange = directory("exchange", exchange)?;
        let strict = match parameters.strict.as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(_) => return Err(QueryError::Strict),
        };
        // Screens ask for "their width times four"; one without a width must still get its data.
        let max_points = parameters.max_points.and_then(|points| points.parse().ok()).filter(|points| *points > 0);
        let id = SeriesId { exchange, symbol, table };
        let query = DataQuery { id, columns, start, end, max_points, strict };
        query.check_range(limits)?;
        Ok(query)
    }

    fn check_range(&self, limits: &Limits) -> Result<(), QueryError> {
        let DataQuery { start, end, .. } = *self;
        if start > end {
            return Err(QueryError::Order { start, end });
        }
        let days = self.days();
        if days > limits.days {
            return Err(QueryError::TooManyDays { days, limit: limits.days });
        }
        let (files, limit) = (self.files(), limits.files);
        if files > limit {
            let columns = self.different_columns();
            return Err(QueryError::TooManyFiles { days, columns, files, limit });
        }
        Ok(())
    }

    /// UTC days that the range touches.
    fn days(&self) -> u32 {
        self.end / SECONDS_PER_DAY - self.start / SECONDS_PER_DAY + 1
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

fn required(parameter: &'static str, value: Option<String>) -> Result<String, QueryError> {
    value.ok_or(QueryError::Missing(parameter))
}

fn directory(parameter: &'static str, name: String) -> Result<String, QueryError> {
    match layout::check_name(&name, parameter) {
        Ok(()) => Ok(name),
        Err(StoreError::Name { reason, .. }) => Err(QueryError::Name { parameter, reason }),
        Err(_) => Err(QueryError::Name { parameter, reason: "it cannot be a name" }),
    }
}

fn seconds(parameter: &'static str, text: &str) -> Result<u32, QueryError> {
    text.parse().map_err(|source| QueryError::Number { parameter, source })
}

fn columns(list: &str, table: Table, limits: &Limits) -> Result<Vec<&'static Column>, QueryError> {
    let columns = list.split(',').count();
    if columns > limits.columns {
        return Err(QueryError::TooManyColumns { columns, limit: limits.columns });
    }
    let column = |name: &str| table.column(name).ok_or_else(|| QueryError::Column { name: name.to_owned(), table });
    list.split(',').map(str::trim).map(column).collect()
}

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
