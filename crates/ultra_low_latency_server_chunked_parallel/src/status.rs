//! `/api/status`: when each exchange was last written.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use column_store::{Day, SeriesId, Table, layout};
use serde::Serialize;
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::symbols::Listing;

/// How long an answer is used again.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Today and the two days before it are looked at.
const DAYS: u32 = 3;
const SECONDS_PER_DAY: u64 = 86_400;

/// The symbol by which an exchange is judged, if it is recorded: the one that trades most.
const JUDGED_BY: [(&str, &str); 5] = [
    ("binance", "BTCUSDT"),
    ("bitfinex", "tBTCUSD"),
    ("coinbase", "BTC-USD"),
    ("kraken", "XBT_USD"),
    ("okx", "BTC-USDT"),
];

/// Makes the answers, at most one at a time and every 30 s.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    root: PathBuf,
    last: Arc<Mutex<Option<Looked>>>,
}

#[derive(Clone, Debug)]
struct Looked {
    at: Instant,
    exchanges: Arc<Vec<ExchangeStatus>>,
    timestamp: u64,
    took: Duration,
}

/// An answer, and whether it was made for this request.
pub(crate) struct StatusAnswer {
    pub(crate) json: Bytes,
    /// How long the look took, if this request caused it.
    pub(crate) took: Option<Duration>,
}

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Answer<'a> {
    cached: bool,
    exchanges: &'a [ExchangeStatus],
    fetch_time_ms: u64,
    timestamp: u64,
}

#[derive(Debug, Serialize)]
struct ExchangeStatus {
    exchange: String,
    last_update: u64,
    last_update_date: String,
    md: Updated,
    symbol_checked: String,
    trades: Updated,
}

#[derive(Clone, Debug, Serialize)]
struct Updated {
    last_update: u64,
    last_update_date: String,
}

impl Status {
    pub(crate) fn new(root: PathBuf) -> Status {
        Status { root, last: Arc::default() }
    }

    /// The status of all exchanges of a listing. A client that hangs up leaves the answer for the next one.
    pub(crate) async fn answer(&self, listing: Arc<Listing>) -> serde_json::Result<StatusAnswer> {
        let status = self.clone();
        let looked = tokio::spawn(async move { status.look(listing).await }).await;
        let (looked, is_new) = looked.unwrap_or_else(|_| (Looked::nothing(), true));
        let fetch_time_ms = u64::try_from(looked.took.as_millis()).unwrap_or(u64::MAX);
        let Looked { exchanges, timestamp, took, .. } = looked;
        let answer = Answer { cached: !is_new, exchanges: &exchanges, fetch_time_ms, timestamp };
        Ok(StatusAnswer { json: serde_json::to_vec(&answer)?.into(), took: is_new.then_some(took) })
    }

    async fn look(&self, listing: Arc<Listing>) -> (Looked, bool) {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.at.elapsed() < MAX_AGE) {
            return (last.clone(), false);
        }
        let root = self.root.clone();
        let looked = spawn_blocking(move || look(&root, &listing)).await;
        let looked = looked.unwrap_or_else(|_| Looked::nothing());
        *last = Some(looked.clone());
        (looked, true)
    }
}

impl Looked {
    fn nothing() -> Looked {
        let timestamp = seconds(SystemTime::now());
        Looked { at: Instant::now(), exchanges: Arc::default(), timestamp, took: Duration::ZERO }
    }
}

fn look(root: &Path, listing: &Listing) -> Looked {
    let (at, timestamp) = (Instant::now(), seconds(SystemTime::now()));
    let exchanges = listing.by_exchange().iter().filter_map(|(exchange, symbols)| {
        let judge = JUDGED_BY.iter().find(|(name, _)| name == exchange).map(|(_, symbol)| *symbol);
        let judge = judge.filter(|judge| symbols.iter().any(|symbol| symbol == judge));
        let symbol = judge.or(symbols.first().map(String::as_str))?;
        let [md, trades] = [Table::Md, Table::Trades].map(|table| {
            let id = SeriesId { exchange: exchange.clone(), symbol: symbol.to_owned(), table };
            last_update(&root.join(id.path()), timestamp)
        });
        let Updated { last_update, last_update_date } =
            if md.last_update >= trades.last_update { md.clone() } else { trades.clone() };
        let (exchange, symbol_checked) = (exchange.clone(), symbol.to_owned());
        Some(ExchangeStatus { exchange, last_update, last_update_date, md, symbol_checked, trades })
    });
    let exchanges = Arc::new(exchanges.collect());
    Looked { at, exchanges, timestamp, took: at.elapsed() }
}

/// When the newest of the last days' search keys was written.
fn last_update(directory: &Path, now: u64) -> Updated {
    let written = (0..DAYS).find_map(|days| {
        let day = now.saturating_sub(u64::from(days) * SECONDS_PER_DAY);
        let day = Day::from_seconds_clamped(u32::try_from(day).unwrap_or(u32::MAX));
        directory.join(layout::file_name("time", day)).metadata().ok()?.modified().ok()
    });
    match written.map(seconds) {
        Some(seconds) => Updated { last_update: seconds, last_update_date: date(seconds) },
        None => Updated { last_update: 0, last_update_date: "Never".to_owned() },
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-11-18 00:00:00 UTC`.
fn date(seconds: u64) -> String {
    let day = Day::from_seconds_clamped(u32::try_from(seconds).unwrap_or(u32::MAX)).to_string();
    let mut parts = day.split('.').map(str::to_owned);
    let [d, m, y] = [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
    let of_day = seconds % SECONDS_PER_DAY;
    format!("20{y}-{m}-{d} {:02}:{:02}:{:02} UTC", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(1_794_960_000), "2026-11-18 00:00:00 UTC");
        assert_eq!(date(1_795_046_399), "2026-11-18 23:59:59 UTC");
    }
}
