//! What the logger tells Prometheus. Names and labels are contracts; the exposition appends `_total` to counters.

mod capture;
mod completeness;
mod feeds;
mod rest;

use std::sync::{Arc, OnceLock};

use column_store::Table;
use exchange_protocol::MessageType;
use metrics_server::{
    Builder, Counter, Family, FloatCounter, Gauge, Handle, Histogram, IntGauge, Metric, RegisterError, Registry,
};

use crate::{
    error::LoggerError,
    symbols::{Symbol, Symbols},
};
use completeness::{CompletenessFamilies, RecordMetrics, VenueCompleteness};
pub(crate) use feeds::FeedMetrics;
pub(crate) use rest::{Outcome, RestMetrics};

pub(crate) use capture::CaptureMetrics;

/// Receive clock − event time: from well below a round trip inside one data centre to a feed that lags by a minute.
const LATENCY_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.5, 2.5, 5.0, 15.0, 60.0];
/// A flush of little takes tens of microseconds, one that waits for a busy disk seconds.
const DISK_BUCKETS: [f64; 14] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 2.5, 10.5];

/// Why a connection or a message failed: the values of `error_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// The connection or the handshake failed.
    Connect,
    /// The venue closed the connection.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing came for longer than the venue is ever silent.
    Silence,
    /// A frame of a kind that the venue does not send.
    Protocol,
    /// A frame was not understood.
    Decode,
    /// The venue refused a subscription.
    Subscribe,
    /// The venue did not answer a subscription in time.
    SubscribeTimeout,
    /// A kept book was wrong.
    Book,
    /// A subscription was silent for longer than it ever is while its connection lived.
    DeadSubscription,
    /// A quote that was older than the one before it, and is not recorded.
    StaleQuote,
    /// A trade or quote without a sensible time of its own; it is filed under the time it arrived.
    EventTime,
    /// A message of a symbol that was not subscribed.
    UnknownSymbol,
}

impl ErrorType {
    const ALL: [ErrorType; 13] = [
        ErrorType::Connect,
        ErrorType::Closed,
        ErrorType::Broken,
        ErrorType::Silence,
        ErrorType::Protocol,
        ErrorType::Decode,
        ErrorType::Subscribe,
        ErrorType::SubscribeTimeout,
        ErrorType::Book,
        ErrorType::DeadSubscription,
        ErrorType::StaleQuote,
        ErrorType::EventTime,
        ErrorType::UnknownSymbol,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            ErrorType::Connect => "connect",
            ErrorType::Closed => "closed",
            ErrorType::Broken => "broken",
            ErrorType::Silence => "silence",
            ErrorType::Protocol => "protocol",
            ErrorType::Decode => "decode",
            ErrorType::Subscribe => "subscribe",
            ErrorType::SubscribeTimeout => "subscribe_timeout",
            ErrorType::Book => "book",
            ErrorType::DeadSubscription => "dead_subscription",
            ErrorType::StaleQuote => "stale_quote",
            ErrorType::EventTime => "event_time",
            ErrorType::UnknownSymbol => "unknown_symbol",
        }
    }
}

const MESSAGE_TYPES: [(MessageType, &str); 7] = [
    (MessageType::Trade, "trade"),
    (MessageType::Quote, "quote"),
    (MessageType::Heartbeat, "heartbeat"),
    (MessageType::Subscription, "subscription"),
    (MessageType::Error, "error"),
    (MessageType::Notice, "notice"),
    (MessageType::Other, "other"),
];

/// Why a row was not recorded: the values of `reason`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DropReason {
    /// No file name can tell its day.
    Clock,
    /// It was still in memory when the logger had to end.
    Shutdown,
    /// Its series alone cannot be written, and has used up its share of the memory.
    Memory,
}

/// All metrics of a run.
pub(crate) struct Metrics {
    /// By venue, in the order of the configuration.
    pub(crate) venues: Vec<Arc<VenueMetrics>>,
    /// By [`SymbolIndex`](crate::received::SymbolIndex).
    pub(crate) symbols: Vec<SymbolMetrics>,
    pub(crate) recorder: RecorderMetrics,
    feeds: Vec<Arc<FeedMetrics>>,
    pub(crate) record: RecordMetrics,
}

/// Series of one venue.
pub(crate) struct VenueMetrics {
    pub(crate) exchange: &'static str,
    pub(crate) connected: Handle<IntGauge>,
    pub(crate) reconnections: Handle<Counter>,
    pub(crate) parse_errors: Handle<Counter>,
    pub(crate) latency: Handle<Histogram>,
    pub(crate) clock_skew: Handle<Counter>,
    pub(crate) out_of_order: Handle<Counter>,
    pub(crate) inexact: Handle<Counter>,
    pub(crate) duplicates: Handle<Counter>,
    messages: Vec<Handle<Counter>>,
    errors: Vec<Handle<Counter>>,
    pub(crate) completeness: VenueCompleteness,
    dropped: [Handle<Counter>; 3],
    rows_written: [Handle<Counter>; 2],
    bytes_written: [Handle<Counter>; 2],
}

/// Series of one symbol; those beyond the limit share theirs and have no price-like gauges.
pub(crate) struct SymbolMetrics {
    gaps: Handle<Counter>,
    gaps_detected: Handle<Counter>,
    gaps_filled: Handle<Counter>,
    pub(crate) trades: Handle<Counter>,
    /// By taker side: bought, sold.
    pub(crate) volume: [Handle<FloatCounter>; 2],
    /// The same, for prices in dollars or what is worth one.
    pub(crate) volume_usd: Option<[Handle<FloatCounter>; 2]>,
    pub(crate) large_trades: Handle<Counter>,
    pub(crate) prices: Option<PriceMetrics>,
}

/// Price-like gauges of one symbol. They appear with their first value: there is no price before the first trade.
pub(crate) struct PriceMetrics {
    exchange: &'static str,
    symbol: String,
    spread: Family<Gauge, 2>,
    /// The spread's series once it is there: quotes are too many to look it up for each.
    spread_series: OnceLock<Handle<Gauge>>,
    vwap: Family<Gauge, 2>,
    vwap_deviation: Family<Gauge, 2>,
}

/// Series of the recorder.
pub(crate) struct RecorderMetrics {
    pub(crate) pending_bytes: Handle<IntGauge>,
    pub(crate) open_files: Handle<IntGauge>,
    pub(crate) flush_seconds: Handle<Histogram>,
    pub(crate) sync_seconds: Handle<Histogram>,
    pub(crate) write_errors: Handle<Counter>,
    pub(crate) disk_free_bytes: Handle<IntGauge>,
    pub(crate) disk_days_left: Handle<Gauge>,
}

impl Metrics {
    /// Registers everything, and gives every series that can be known from the start its first value, so that a rate
    /// over it is right from the first event on.
    pub(crate) fn register(registry: &mut Registry, symbols: &Symbols) -> Result<Metrics, RegisterError> {
        let mut exchanges: Vec<&'static str> = symbols.iter().map(|(_, symbol)| symbol.exchange()).collect();
        exchanges.dedup();
        let families = VenueFamilies::register(registry)?;
        let venues = exchanges.iter().map(|exchange| Arc::new(families.venue(exchange, symbols))).collect();
        let families = SymbolFamilies::register(registry, symbols.iter().count())?;
        let symbols = symbols.iter().map(|(_, symbol)| families.symbol(symbol)).collect();
        let feeds = FeedMetrics::register(registry, &exchanges)?;
        let (recorder, record) = (RecorderMetrics::register(registry)?, RecordMetrics::register(registry)?);
        Ok(Metrics { venues, symbols, recorder, record, feeds })
    }

    /// The series of a venue's connections.
    pub(crate) fn feed(&self, exchange: &str) -> Result<&Arc<FeedMetrics>, LoggerError> {
        let found = self.feeds.iter().find(|feed| feed.exchange == exchange);
        found.ok_or_else(|| LoggerError::NoMetrics { exchange: exchange.to_owned() })
    }

    /// Events missing so far, all symbols together; those beyond the label limit share a series.
    pub(crate) fn missing(&self) -> u64 {
        let labelled = self.symbols.iter().filter(|symbol| symbol.prices.is_some());
        let other = self.symbols.iter().find(|symbol| symbol.prices.is_none());
        labelled.chain(other).map(|symbol| symbol.gaps.get()).sum()
    }

    /// The series of a venue of this run.
    pub(crate) fn venue(&self, exchange: &str) -> Result<&Arc<VenueMetrics>, LoggerError> {
        let found = self.venues.iter().find(|venue| venue.exchange == exchange);
        found.ok_or_else(|| LoggerError::NoMetrics { exchange: exchange.to_owned() })
    }
}

impl VenueMetrics {
    pub(crate) fn message(&self, kind: MessageType) {
        let known = MESSAGE_TYPES.iter().zip(&self.messages).find(|((this, _), _)| *this == kind);
        if let Some((_, counter)) = known {
            counter.inc();
        }
    }

    /// Frames received so far.
    pub(crate) fn received(&self) -> u64 {
        self.messages.iter().map(|counter| counter.get()).sum()
    }

    /// Rows that reached the files so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows_written.iter().map(|counter| counter.get()).sum()
    }

    pub(crate) fn error(&self, kind: ErrorType) {
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.inc();
        }
    }

    pub(crate) fn dropped(&self, reason: DropReason, rows: u64) {
        let [clock, shutdown, memory] = &self.dropped;
        match reason {
            DropReason::Clock => clock.add(rows),
            DropReason::Shutdown => shutdown.add(rows),
            DropReason::Memory => memory.add(rows),
        }
    }

    pub(crate) fn written(&self, table: Table, rows: u64, bytes: u64) {
        let of = |[md, trades]: &[Handle<Counter>; 2]| match table {
            Table::Md => md.clone(),
            Table::Trades => trades.clone(),
        };
        of(&self.rows_written).add(rows);
        of(&self.bytes_written).add(bytes);
    }
}

impl SymbolMetrics {
    /// Counts missing events at detection, under both names that dashboards use.
    pub(crate) fn gap(&self, missing: u64) {
        self.gaps.add(missing);
        self.gaps_detected.add(missing);
    }

    /// Counts events that had been counted as missing and arrived later.
    pub(crate) fn gap_filled(&self, filled: u64) {
        self.gaps_filled.add(filled);
    }
}

impl PriceMetrics {
    pub(crate) fn spread(&self, ratio: f64) {
        self.spread_series.get_or_init(|| self.spread.handle(self.labels())).set(ratio);
    }

    /// The average and the last price's deviation from it; without trades in the window there is neither.
    pub(crate) fn vwap(&self, value: Option<(f64, f64)>) {
        let labels = self.labels();
        if let Some((average, deviation)) = value {
            self.vwap.with(labels).set(average);
            self.vwap_deviation.with(labels).set(deviation);
        } else {
            self.vwap.remove(labels);
            self.vwap_deviation.remove(labels);
        }
    }

    fn labels(&self) -> [&str; 2] {
        [self.exchange, &self.symbol]
    }
}

struct VenueFamilies {
    connected: Family<IntGauge, 1>,
    symbols: Family<IntGauge, 1>,
    reconnections: Family<Counter, 1>,
    parse_errors: Family<Counter, 1>,
    latency: Family<Histogram, 1>,
    clock_skew: Family<Counter, 1>,
    out_of_order: Family<Counter, 1>,
    inexact: Family<Counter, 1>,
    duplicates: Family<Counter, 1>,
    completeness: CompletenessFamilies,
    messages: Family<Counter, 2>,
    errors: Family<Counter, 2>,
    dropped: Family<Counter, 2>,
    rows_written: Family<Counter, 2>,
    bytes_written: Family<Counter, 2>,
}

impl VenueFamilies {
    fn register(r: &mut Registry) -> Result<VenueFamilies, RegisterError> {
        let mut counter = |name, help| r.counter(name, help).labels(["exchange"]).register();
        let reconnections =
            counter("gpu_charts_exchange_reconnections", "Connections opened again after one had ended")?;
        let parse_errors = counter("gpu_charts_parse_errors", "Frames that were not understood")?;
        let clock_skew = counter(
            "gpu_charts_clock_skew",
            "Messages whose event time lay ahead of our clock; they are not in the latency",
        )?;
        let out_of_order = counter(
            "gpu_charts_rows_out_of_order",
            "Rows whose event time fell within their stream; they are recorded all the same",
        )?;
        let inexact =
            counter("gpu_charts_inexact_values", "Decimals that a 64-bit float cannot give back digit for digit")?;
        let duplicates = counter("gpu_charts_duplicates", "Trades that had been seen before, and are recorded once")?;
        let mut by = |label, name, help| r.counter(name, help).labels(["exchange", label]).register();
        let messages = by("message_type", "gpu_charts_exchange_messages", "Frames received")?;
        let errors = by("error_type", "gpu_charts_exchange_errors", "What went wrong with the venue")?;
        let dropped = by("reason", "gpu_charts_rows_dropped", "Rows received and lost; must stay 0")?;
        let rows_written = by("table", "gpu_charts_rows_written", "Rows that reached the files")?;
        let bytes_written = by("table", "gpu_charts_data_bytes_written", "Bytes that reached the files")?;
        let mut gauge = |name, help| r.int_gauge(name, help).labels(["exchange"]).register();
        let connected =
            gauge("gpu_charts_exchange_connection_status", "1 while all connections of the venue are subscribed")?;
        let symbols = gauge("gpu_charts_symbols_monitored", "Symbols recorded of the venue")?;
        let help = "Receive clock minus the venue's event time, of live messages";
        let latency = r.histogram("gpu_charts_websocket_latency_seconds", help).buckets(LATENCY_BUCKETS);
        let latency = latency.labels(["exchange"]).register()?;
        let completeness = CompletenessFamilies::register(r)?;
        Ok(VenueFamilies {
            completeness,
            connected,
            symbols,
            reconnections,
            parse_errors,
            latency,
            clock_skew,
            out_of_order,
            inexact,
            duplicates,
            messages,
            errors,
            dropped,
            rows_written,
            bytes_written,
        })
    }

    fn venue(&self, exchange: &'static str, symbols: &Symbols) -> VenueMetrics {
        let counters = |family: &Family<Counter, 2>, values: &[&str]| -> Vec<Handle<Counter>> {
            values.iter().map(|value| family.handle([exchange, value])).collect()
        };
        let by_table = |family: &Family<Counter, 2>| {
            [Table::Md, Table::Trades].map(|table| family.handle([exchange, table.name()]))
        };
        let count = symbols.iter().filter(|(_, symbol)| symbol.exchange() == exchange).count();
        self.symbols.with([exchange]).set(i64::try_from(count).unwrap_or(i64::MAX));
        VenueMetrics {
            exchange,
            connected: self.connected.handle([exchange]),
            reconnections: self.reconnections.handle([exchange]),
            parse_errors: self.parse_errors.handle([exchange]),
            latency: self.latency.handle([exchange]),
            clock_skew: self.clock_skew.handle([exchange]),
            out_of_order: self.out_of_order.handle([exchange]),
            inexact: self.inexact.handle([exchange]),
            duplicates: self.duplicates.handle([exchange]),
            messages: counters(&self.messages, &MESSAGE_TYPES.map(|(_, label)| label)),
            errors: counters(&self.errors, &ErrorType::ALL.map(ErrorType::label)),
            completeness: self.completeness.venue(exchange),
            dropped: ["clock", "shutdown", "memory"].map(|reason| self.dropped.handle([exchange, reason])),
            rows_written: by_table(&self.rows_written),
            bytes_written: by_table(&self.bytes_written),
        }
    }
}

struct SymbolFamilies {
    gaps: Family<Counter, 2>,
    gaps_detected: Family<Counter, 2>,
    gaps_filled: Family<Counter, 2>,
    trades: Family<Counter, 2>,
    volume: Family<FloatCounter, 3>,
    volume_usd: Family<FloatCounter, 3>,
    large_trades: Family<Counter, 2>,
    spread: Family<Gauge, 2>,
    vwap: Family<Gauge, 2>,
    vwap_deviation: Family<Gauge, 2>,
}

impl SymbolFamilies {
    /// The number of labelled symbols is bounded by the configuration, so it is the cap that no family reaches.
    fn register(r: &mut Registry, symbols: usize) -> Result<SymbolFamilies, RegisterError> {
        let mut counter = |name, help| by_symbol(r.counter(name, help), symbols);
        let gaps = counter(
            "gpu_charts_data_gaps",
            "Events missing, counted when the gap is detected: trades by the venue's ids, 1 where the number is unknown",
        )?;
        let gaps_detected = counter("gpu_charts_data_gaps_detected", "The same as gpu_charts_data_gaps")?;
        let gaps_filled =
            counter("gpu_charts_data_gaps_filled", "Events that had been counted as missing and arrived later")?;
        let trades = counter("gpu_charts_trades_processed", "Trades recorded")?;
        let large_trades =
            counter("gpu_charts_large_trades", "Trades of at least the configured value in the quote currency")?;
        let mut volume = |name, help| {
            let volume = r.float_counter(name, help).labels(["exchange", "symbol", "side"]);
            volume.cap(2 * symbols).register()
        };
        let in_quote = volume("gpu_charts_trade_volume", "Traded value in the quote currency, by the taker's side")?;
        let in_dollars = volume(
            "gpu_charts_trade_volume_usd",
            "Traded value in US dollars, of symbols quoted in USD, USDT or USDC",
        )?;
        let mut gauge = |name, help| by_symbol(r.gauge(name, help), symbols);
        Ok(SymbolFamilies {
            gaps,
            gaps_detected,
            gaps_filled,
            trades,
            volume: in_quote,
            volume_usd: in_dollars,
            large_trades,
            spread: gauge("gpu_charts_bid_ask_spread", "(ask - bid) / mid, so 0.0005 is 5 basis points")?,
            vwap: gauge("gpu_charts_vwap_price", "Volume-weighted average price of the last 5 minutes")?,
            vwap_deviation: gauge("gpu_charts_vwap_deviation", "(last price - VWAP) / VWAP over the last 5 minutes")?,
        })
    }

    fn symbol(&self, symbol: &Symbol) -> SymbolMetrics {
        let (exchange, label) = (symbol.exchange(), symbol.label.as_str());
        let by_side =
            |family: &Family<FloatCounter, 3>| ["buy", "sell"].map(|side| family.handle([exchange, label, side]));
        let in_dollars = matches!(symbol.venue.quote_currency(&symbol.name), Some("USD" | "USDT" | "USDC"));
        SymbolMetrics {
            gaps: self.gaps.handle([exchange, label]),
            gaps_detected: self.gaps_detected.handle([exchange, label]),
            gaps_filled: self.gaps_filled.handle([exchange, label]),
            trades: self.trades.handle([exchange, label]),
            volume: by_side(&self.volume),
            volume_usd: in_dollars.then(|| by_side(&self.volume_usd)),
            large_trades: self.large_trades.handle([exchange, label]),
            prices: symbol.is_labelled().then(|| PriceMetrics {
                exchange,
                symbol: label.to_owned(),
                spread: self.spread.clone(),
                spread_series: OnceLock::new(),
                vwap: self.vwap.clone(),
                vwap_deviation: self.vwap_deviation.clone(),
            }),
        }
    }
}

fn by_symbol<M: Metric>(builder: Builder<'_, M>, symbols: usize) -> Result<Family<M, 2>, RegisterError> {
    builder.labels(["exchange", "symbol"]).cap(symbols).register()
}

impl RecorderMetrics {
    fn register(r: &mut Registry) -> Result<RecorderMetrics, RegisterError> {
        let pending = "Bytes of rows in memory that no flush has brought to the files yet";
        let sync = "Time to make all written rows durable and note it";
        let flush = "Time to write all pending rows";
        let errors = "Flushes and syncs that failed; the rows stay in memory for the next one";
        let days =
            "Days until the disk is full, at the rate of the last 7 whole days; before there is one, of this run";
        Ok(RecorderMetrics {
            pending_bytes: r.int_gauge("gpu_charts_pending_bytes", pending).register()?,
            open_files: r.int_gauge("gpu_charts_open_files", "Column files open").register()?,
            flush_seconds: r.histogram("gpu_charts_flush_duration_seconds", flush).buckets(DISK_BUCKETS).register()?,
            sync_seconds: r.histogram("gpu_charts_sync_duration_seconds", sync).buckets(DISK_BUCKETS).register()?,
            write_errors: r.counter("gpu_charts_write_errors", errors).register()?,
            disk_free_bytes: r
                .int_gauge("gpu_charts_disk_free_bytes", "Bytes free for the data directory")
                .register()?,
            disk_days_left: r.gauge("gpu_charts_disk_days_left", days).register()?,
        })
    }
}
