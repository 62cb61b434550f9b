//! `logger symbols`: what a venue lists, for people and for programs.

use std::sync::Arc;

use metrics_server::Registry;

use super::{
    fetch,
    listing::{Listed, Listing, Status},
    pattern::Pattern,
};
use crate::{
    clock::Clock,
    config::Exchange,
    error::LoggerError,
    metrics::RestMetrics,
    rest::{Allowances, Interface},
};

/// Which instruments to list, and how.
#[derive(Clone, Debug, Default)]
pub struct SymbolList {
    /// Only those whose symbol matches, with `*` for any characters and `?` for one.
    pub pattern: Option<String>,
    /// Also those that are gone.
    pub all: bool,
    /// As JSON, in the form of `instruments.json`.
    pub json: bool,
}

/// Asks a venue what it lists.
///
/// # Errors
/// [`LoggerError::Listing`] if the venue does not answer, [`LoggerError::Tls`] if it cannot be asked.
pub async fn list_symbols(exchange: &Exchange, wanted: &SymbolList, clock: Clock) -> Result<String, LoggerError> {
    let names = [exchange.venue.facts().name];
    let metrics = RestMetrics::register(&mut Registry::default(), &names)?.into_iter().next();
    let metrics = metrics.ok_or_else(|| LoggerError::NoMetrics { exchange: names.concat() })?;
    let interface = Arc::new(Interface::new(exchange, &Allowances::forgetful(clock), metrics, clock)?);
    let mut listing = fetch(exchange.venue, &interface, clock).await.map_err(|error| error.of(exchange))?;
    let pattern = wanted.pattern.as_deref().map(Pattern::new);
    listing.instruments.retain(|listed| {
        (wanted.all || listed.status != Status::Gone)
            && pattern.as_ref().is_none_or(|pattern| pattern.matches(&listed.symbol))
    });
    if wanted.json { json(&listing) } else { Ok(table(&listing.instruments)) }
}

fn json(listing: &Listing) -> Result<String, LoggerError> {
    let text = serde_json::to_string_pretty(listing).map_err(std::io::Error::from);
    let bad = |error: std::io::Error| LoggerError::Listing {
        exchange: listing.exchange.clone(),
        url: String::new(),
        reason: error.to_string(),
    };
    Ok(text.map_err(bad)? + "\n")
}

/// Columns as wide as their widest cell; what the venue does not tell is `-`.
fn table(instruments: &[Listed]) -> String {
    let head = ["SYMBOL", "STORED AS", "BASE", "QUOTE", "TICK", "LOT", "STATUS"].map(str::to_owned);
    let row = |listed: &Listed| {
        let size = |size: &Option<String>| size.clone().unwrap_or_default();
        let cells = [
            listed.symbol.clone(),
            listed.stored.clone(),
            listed.base.clone(),
            listed.quote.clone(),
            size(&listed.tick_size),
            size(&listed.lot_size),
            listed.status.name().to_owned(),
        ];
        cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { printable(&cell) })
    };
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(instruments.iter().map(row)).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A venue's text must not steer the terminal.
fn printable(cell: &str) -> String {
    cell.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
