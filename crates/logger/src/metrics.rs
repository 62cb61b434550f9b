//! What the logger tells Prometheus. Names and labels are contracts; prometheus-client appends `_total` to counters.

use std::sync::{Arc, OnceLock, atomic::AtomicU64};

use column_store::Table;
use exchange_protocol::MessageType;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use crate::{
    error::LoggerError,
    symbols::{Symbol, Symbols},
};

type FloatGauge = Gauge<f64, AtomicU64>;
type FloatCounter = Counter<f64, AtomicU64>;
/// Label pairs in the order in which they are exposed.
type Labels = Vec<(&'static str, String)>;

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
    /// A quote that was older than the one before it, and is not recorded.
    StaleQuote,
    /// A trade or quote without a sensible time of its own; it is filed under the time it arrived.
    EventTime,
    /// A message of a symbol that was not subscribed.
    UnknownSymbol,
}

impl ErrorType {
    const ALL: [ErrorType; 11] = [
        ErrorType::Connect,
        ErrorType::Closed,
        ErrorType::Broken,
        ErrorType::Silence,
        ErrorType::Protocol,
        ErrorType::Decode,
        ErrorType::Subscribe,
        ErrorType::SubscribeTimeout,
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
}

/// All metrics of a run.
pub(crate) struct Metrics {
    /// By venue, in the order of the configuration.
    pub(crate) venues: Vec<Arc<VenueMetrics>>,
    /// By [`SymbolIndex`](crate::received::SymbolIndex).
    pub(crate) symbols: Vec<SymbolMetrics>,
    pub(crate) recorder: RecorderMetrics,
}

/// Series of one venue.
pub(crate) struct VenueMetrics {
    pub(crate) exchange: &'static str,
    pub(crate) connected: Gauge,
    pub(crate) reconnections: Counter,
    pub(crate) parse_errors: Counter,
    pub(crate) latency: Histogram,
    pub(crate) clock_skew: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) inexact: Counter,
    pub(crate) duplicates: Counter,
    messages: Vec<Counter>,
    errors: Vec<Counter>,
    dropped: [Counter; 2],
    rows_written: [Counter; 2],
    bytes_written: [Counter; 2],
}

/// Series of one symbol; those beyond the limit share theirs and have no price-like gauges.
pub(crate) struct SymbolMetrics {
    gaps: Counter,
    gaps_detected: Counter,
    gaps_filled: Counter,
    pub(crate) trades: Counter,
    /// By taker side: bought, sold.
    pub(crate) volume: [FloatCounter; 2],
    /// The same, for prices in dollars or what is worth one.
    pub(crate) volume_usd: Option<[FloatCounter; 2]>,
    pub(crate) large_trades: Counter,
    pub(crate) prices: Option<PriceMetrics>,
}

/// Price-like gauges of one symbol. They appear with their first value: there is no price before the first trade.
pub(crate) struct PriceMetrics {
    labels: Labels,
    spread: Family<Labels, FloatGauge>,
    /// The spread's series once it is there: quotes are too many to look it up for each.
    spread_series: OnceLock<FloatGauge>,
    vwap: Family<Labels, FloatGauge>,
    vwap_deviation: Family<Labels, FloatGauge>,
}

/// Series of the recorder.
pub(crate) struct RecorderMetrics {
    pub(crate) pending_bytes: Gauge,
    pub(crate) open_files: Gauge,
    pub(crate) flush_seconds: Histogram,
    pub(crate) sync_seconds: Histogram,
    pub(crate) write_errors: Counter,
    pub(crate) disk_free_bytes: Gauge,
    pub(crate) disk_days_left: FloatGauge,
}

impl Metrics {
    /// Registers everything, and gives every series that can be known from the start its first value, so that a rate
    /// over it is right from the first event on.
    pub(crate) fn register(registry: &mut Registry, symbols: &Symbols) -> Metrics {
        let mut exchanges: Vec<&'static str> = symbols.iter().map(|(_, symbol)| symbol.exchange()).collect();
        exchanges.dedup();
        let mut families = VenueFamilies::register(registry);
        let venues = exchanges.iter().map(|exchange| Arc::new(families.venue(exchange, symbols))).collect();
        let families = SymbolFamilies::register(registry);
        let symbols = symbols.iter().map(|(_, symbol)| families.symbol(symbol)).collect();
        Metrics { venues, symbols, recorder: RecorderMetrics::register(registry) }
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

    pub(crate) fn error(&self, kind: ErrorType) {
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.inc();
        }
    }

    pub(crate) fn dropped(&self, reason: DropReason, rows: u64) {
        let [clock, shutdown] = &self.dropped;
        match reason {
            DropReason::Clock => clock.inc_by(rows),
            DropReason::Shutdown => shutdown.inc_by(rows),
        };
    }

    pub(crate) fn written(&self, table: Table, rows: u64, bytes: u64) {
        let of = |[md, trades]: &[Counter; 2]| match table {
            Table::Md => md.clone(),
            Table::Trades => trades.clone(),
        };
        of(&self.rows_written).inc_by(rows);
        of(&self.bytes_written).inc_by(bytes);
    }
}

impl SymbolMetrics {
    /// Counts missing events at detection, under both names that dashboards use.
    pub(crate) fn gap(&self, missing: u64) {
        self.gaps.inc_by(missing);
        self.gaps_detected.inc_by(missing);
    }

    /// Counts events that had been counted as missing and arrived later.
    pub(crate) fn gap_filled(&self, filled: u64) {
        self.gaps_filled.inc_by(filled);
    }
}

impl PriceMetrics {
    pub(crate) fn spread(&self, ratio: f64) {
        self.spread_series.get_or_init(|| self.spread.get_or_create_owned(&self.labels)).set(ratio);
    }

    /// The average and the last price's deviation from it; without trades in the window there is neither.
    pub(crate) fn vwap(&self, value: Option<(f64, f64)>) {
        if let Some((average, deviation)) = value {
            self.vwap.get_or_create_owned(&self.labels).set(average);
            self.vwap_deviation.get_or_create_owned(&self.labels).set(deviation);
        } else {
            self.vwap.remove(&self.labels);
            self.vwap_deviation.remove(&self.labels);
        }
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn family<M>(registry: &mut Registry, name: &str, help: &str) -> Family<Labels, M>
where
    M: Metric + Default + Clone,
    Family<Labels, M>: Metric,
{
    register(registry, name, help, Family::default())
}

struct VenueFamilies {
    connected: Family<Labels, Gauge>,
    symbols: Family<Labels, Gauge>,
    reconnections: Family<Labels, Counter>,
    parse_errors: Family<Labels, Counter>,
    latency: Family<Labels, Histogram, fn() -> Histogram>,
    clock_skew: Family<Labels, Counter>,
    out_of_order: Family<Labels, Counter>,
    inexact: Family<Labels, Counter>,
    duplicates: Family<Labels, Counter>,
    messages: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    dropped: Family<Labels, Counter>,
    rows_written: Family<Labels, Counter>,
    bytes_written: Family<Labels, Counter>,
}

impl VenueFamilies {
    fn register(r: &mut Registry) -> VenueFamilies {
        let latency = Family::new_with_constructor((|| Histogram::new(LATENCY_BUCKETS)) as fn() -> Histogram);
        VenueFamilies {
            connected: family(
                r,
                "gpu_charts_exchange_connection_status",
                "1 while all connections of the venue are subscribed",
            ),
            symbols: family(r, "gpu_charts_symbols_monitored", "Symbols recorded of the venue"),
            reconnections: family(
                r,
                "gpu_charts_exchange_reconnections",
                "Connections opened again after one had ended",
            ),
            parse_errors: family(r, "gpu_charts_parse_errors", "Frames that were not understood"),
            latency: register(
                r,
                "gpu_charts_websocket_latency_seconds",
                "Receive clock minus the venue's event time, of live messages",
                latency,
            ),
            clock_skew: family(
                r,
                "gpu_charts_clock_skew",
                "Messages whose event time lay ahead of our clock; they are not in the latency",
            ),
            out_of_order: family(
                r,
                "gpu_charts_rows_out_of_order",
                "Rows whose event time fell within their stream; they are recorded all the same",
            ),
            inexact: family(
                r,
                "gpu_charts_inexact_values",
                "Decimals that a 64-bit float cannot give back digit for digit",
            ),
            duplicates: family(r, "gpu_charts_duplicates", "Trades that had been seen before, and are recorded once"),
            messages: family(r, "gpu_charts_exchange_messages", "Frames received"),
            errors: family(r, "gpu_charts_exchange_errors", "What went wrong with the venue"),
            dropped: family(r, "gpu_charts_rows_dropped", "Rows received and lost; must stay 0"),
            rows_written: family(r, "gpu_charts_rows_written", "Rows that reached the files"),
            bytes_written: family(r, "gpu_charts_data_bytes_written", "Bytes that reached the files"),
        }
    }

    fn venue(&mut self, exchange: &'static str, symbols: &Symbols) -> VenueMetrics {
        let own = vec![("exchange", exchange.to_owned())];
        let with = |name: &'static str, value: &str| vec![("exchange", exchange.to_owned()), (name, value.to_owned())];
        let counters = |family: &Family<Labels, Counter>, name, values: &[&str]| -> Vec<Counter> {
            values.iter().map(|value| family.get_or_create_owned(&with(name, value))).collect()
        };
        let by_table = |family: &Family<Labels, Counter>| {
            [Table::Md, Table::Trades].map(|table| family.get_or_create_owned(&with("table", table.name())))
        };
        let count = symbols.iter().filter(|(_, symbol)| symbol.exchange() == exchange).count();
        self.symbols.get_or_create_owned(&own).set(i64::try_from(count).unwrap_or(i64::MAX));
        VenueMetrics {
            exchange,
            connected: self.connected.get_or_create_owned(&own),
            reconnections: self.reconnections.get_or_create_owned(&own),
            parse_errors: self.parse_errors.get_or_create_owned(&own),
            latency: self.latency.get_or_create_owned(&own),
            clock_skew: self.clock_skew.get_or_create_owned(&own),
            out_of_order: self.out_of_order.get_or_create_owned(&own),
            inexact: self.inexact.get_or_create_owned(&own),
            duplicates: self.duplicates.get_or_create_owned(&own),
            messages: counters(&self.messages, "message_type", &MESSAGE_TYPES.map(|(_, label)| label)),
            errors: counters(&self.errors, "error_type", &ErrorType::ALL.map(ErrorType::label)),
            dropped: ["clock", "shutdown"].map(|reason| self.dropped.get_or_create_owned(&with("reason", reason))),
            rows_written: by_table(&self.rows_written),
            bytes_written: by_table(&self.bytes_written),
        }
    }
}

struct SymbolFamilies {
    gaps: Family<Labels, Counter>,
    gaps_detected: Family<Labels, Counter>,
    gaps_filled: Family<Labels, Counter>,
    trades: Family<Labels, Counter>,
    volume: Family<Labels, FloatCounter>,
    volume_usd: Family<Labels, FloatCounter>,
    large_trades: Family<Labels, Counter>,
    spread: Family<Labels, FloatGauge>,
    vwap: Family<Labels, FloatGauge>,
    vwap_deviation: Family<Labels, FloatGauge>,
}

impl SymbolFamilies {
    fn register(r: &mut Registry) -> SymbolFamilies {
        SymbolFamilies {
            gaps: family(
                r,
                "gpu_charts_data_gaps",
                "Events missing, counted when the gap is detected: trades by the venue's ids, 1 where the number is unknown",
            ),
            gaps_detected: family(r, "gpu_charts_data_gaps_detected", "The same as gpu_charts_data_gaps"),
            gaps_filled: family(
                r,
                "gpu_charts_data_gaps_filled",
                "Events that had been counted as missing and arrived later",
            ),
            trades: family(r, "gpu_charts_trades_processed", "Trades recorded"),
            volume: family(r, "gpu_charts_trade_volume", "Traded value in the quote currency, by the taker's side"),
            volume_usd: family(
                r,
                "gpu_charts_trade_volume_usd",
                "Traded value in US dollars, of symbols quoted in USD, USDT or USDC",
            ),
            large_trades: family(
                r,
                "gpu_charts_large_trades",
                "Trades of at least the configured value in the quote currency",
            ),
            spread: family(r, "gpu_charts_bid_ask_spread", "(ask - bid) / mid, so 0.0005 is 5 basis points"),
            vwap: family(r, "gpu_charts_vwap_price", "Volume-weighted average price of the last 5 minutes"),
            vwap_deviation: family(
                r,
                "gpu_charts_vwap_deviation",
                "(last price - VWAP) / VWAP over the last 5 minutes",
            ),
        }
    }

    fn symbol(&self, symbol: &Symbol) -> SymbolMetrics {
        let labels = vec![("exchange", symbol.exchange().to_owned()), ("symbol", symbol.label.clone())];
        let by_side = |family: &Family<Labels, FloatCounter>| {
            ["buy", "sell"].map(|side| {
                let side = [("side", side.to_owned())];
                family.get_or_create_owned(&labels.iter().cloned().chain(side).collect())
            })
        };
        let in_dollars = matches!(symbol.venue.quote_currency(&symbol.name), Some("USD" | "USDT" | "USDC"));
        SymbolMetrics {
            gaps: self.gaps.get_or_create_owned(&labels),
            gaps_detected: self.gaps_detected.get_or_create_owned(&labels),
            gaps_filled: self.gaps_filled.get_or_create_owned(&labels),
            trades: self.trades.get_or_create_owned(&labels),
            volume: by_side(&self.volume),
            volume_usd: in_dollars.then(|| by_side(&self.volume_usd)),
            large_trades: self.large_trades.get_or_create_owned(&labels),
            prices: symbol.is_labelled().then(|| PriceMetrics {
                labels: labels.clone(),
                spread: self.spread.clone(),
                spread_series: OnceLock::new(),
                vwap: self.vwap.clone(),
                vwap_deviation: self.vwap_deviation.clone(),
            }),
        }
    }
}

impl RecorderMetrics {
    fn register(r: &mut Registry) -> RecorderMetrics {
        let (flush, sync) = (Histogram::new(DISK_BUCKETS), Histogram::new(DISK_BUCKETS));
        RecorderMetrics {
            pending_bytes: register(
                r,
                "gpu_charts_pending_bytes",
                "Bytes of rows in memory that no flush has brought to the files yet",
                Gauge::default(),
            ),
            open_files: register(r, "gpu_charts_open_files", "Column files open", Gauge::default()),
            flush_seconds: register(r, "gpu_charts_flush_duration_seconds", "Time to write all pending rows", flush),
            sync_seconds: register(
                r,
                "gpu_charts_sync_duration_seconds",
                "Time to make all written rows durable and note it",
                sync,
            ),
            write_errors: register(
                r,
                "gpu_charts_write_errors",
                "Flushes and syncs that failed; the rows stay in memory for the next one",
                Counter::default(),
            ),
            disk_free_bytes: register(
                r,
                "gpu_charts_disk_free_bytes",
                "Bytes free for the data directory",
                Gauge::default(),
            ),
            disk_days_left: register(
                r,
                "gpu_charts_disk_days_left",
                "Days until the disk is full at this run's rate of writing; +Inf before anything was written",
                FloatGauge::default(),
            ),
        }
    }
}
