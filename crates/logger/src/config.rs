//! The configuration: flag > environment > file > default, parsed once into [`Config`].

mod completeness;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use exchange_protocol::{Stream, Venue};
use metrics_server::{ListenAddr, MetricsArgs, MetricsArgsError, SecuritySource};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing_subscriber::EnvFilter;

use crate::{cli::RunArgs, discovery::Pattern};
pub use completeness::Completeness;

/// The effective configuration of a run.
#[derive(Clone, Serialize)]
pub struct Config {
    /// What concerns the recorder and the disk.
    #[serde(flatten)]
    pub recording: Recording,
    /// Addresses of the metrics endpoint.
    #[serde(serialize_with = "as_texts")]
    pub metrics_listen: Vec<ListenAddr>,
    /// TLS and credentials of the metrics endpoint.
    #[serde(flatten)]
    pub security: SecuritySource,
    /// What to log, in the syntax of `RUST_LOG`.
    #[serde(skip)]
    pub log: String,
    /// Symbols with labels of their own in the metrics; the rest share the label `other`.
    pub symbol_label_limit: usize,
    /// Facts between the feeds and the recorder at most; a full queue slows the feeds down.
    pub queue_capacity: usize,
    /// Time that the parts get to end after SIGTERM.
    #[serde(serialize_with = "as_duration")]
    pub shutdown_grace: Duration,
    /// Whether missed trades are asked for over REST.
    pub backfill: bool,
    /// How often the venues are asked which instruments they list.
    #[serde(serialize_with = "as_duration")]
    pub listing_refresh: Duration,
    /// Directory that all received data goes to as well, as it came; none if it is not captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_capture: Option<PathBuf>,
    /// What is recorded, sorted by name.
    #[serde(serialize_with = "by_name")]
    pub exchanges: Vec<Exchange>,
}

/// What concerns the recorder and the disk.
#[derive(Clone, Serialize)]
pub struct Recording {
    /// Root of the column files.
    pub data_path: PathBuf,
    /// How often rows are written to the files: what a kill -9 can lose.
    #[serde(serialize_with = "as_duration")]
    pub flush_interval: Duration,
    /// How often written rows are made durable: what a power loss can lose.
    #[serde(serialize_with = "as_duration")]
    pub sync_interval: Duration,
    /// Bytes of rows kept in memory while the disk fails; beyond it the feeds are slowed down.
    pub memory_limit_bytes: usize,
    /// Column files kept open at most.
    pub open_files: usize,
    /// A trade is large from this value on, in the quote currency.
    pub large_trade: f64,
    /// Whole days before today that are kept; none keeps all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    /// When what is missing is asked about, and a day is over.
    pub completeness: Completeness,
}

/// One exchange to record.
#[derive(Clone, Serialize)]
pub struct Exchange {
    /// The venue.
    #[serde(skip)]
    pub venue: &'static dyn Venue,
    /// `ws://` or `wss://` address without path.
    pub ws_url: String,
    /// `http://` or `https://` address of the REST interface, without path.
    pub rest_url: String,
    /// Symbols by the venue's names, or patterns with `*` and `?` that stand for what the venue lists.
    pub symbols: Vec<String>,
    /// Names and patterns of what is not recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// What is subscribed of each symbol.
    #[serde(rename = "trades", serialize_with = "trades_of_streams")]
    pub streams: Vec<Stream>,
    /// PEM file of certificates to trust beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Further connections that carry each stream too.
    #[serde(skip_serializing_if = "is_zero")]
    pub spare_connections: usize,
    /// In place of the venue's own.
    #[serde(skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
}

/// How long a venue may take, where it shall differ from what is known of the venue.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Until it answers a subscription.
    #[serde(default, deserialize_with = "duration", serialize_with = "as_some_duration")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Duration>,
    /// Without a sign of life on a connection.
    #[serde(default, deserialize_with = "duration", serialize_with = "as_some_duration")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Duration>,
    /// Until a subscription's first data, where the venue opens with some.
    #[serde(default, deserialize_with = "duration", serialize_with = "as_some_duration")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_data: Option<Duration>,
    /// Between two signs of life of one subscription, where the venue promises them.
    #[serde(default, deserialize_with = "duration", serialize_with = "as_some_duration")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Duration>,
    /// Until the venue ends a connection, which is replaced a little earlier.
    #[serde(default, deserialize_with = "duration", serialize_with = "as_some_duration")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
}

impl Timeouts {
    fn is_default(&self) -> bool {
        *self == Timeouts::default()
    }

    fn check(&self, key: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        let Timeouts { acknowledge, silence, first_data, repeats, lifetime } = *self;
        let named =
            [("acknowledge", acknowledge), ("silence", silence), ("first_data", first_data), ("repeats", repeats)];
        for (name, duration) in named {
            if let Some(duration) = duration {
                within(&key(&format!("timeouts.{name}")), duration, 50, 3_600_000)?;
            }
        }
        if let Some(lifetime) = lifetime {
            within(&key("timeouts.lifetime"), lifetime, 1_000, 30 * 86_400_000)?;
        }
        Ok(())
    }
}

/// A configuration that cannot be used; each says where it is wrong and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not YAML, or has a key that does not exist or a value of the wrong type.
    #[error("{path}: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A flag, a variable or a key of the metrics endpoint.
    #[error(transparent)]
    Metrics(#[from] MetricsArgsError),
    /// A value is not allowed.
    #[error("{key}: {reason}")]
    Value {
        /// The key in the file, or the flag.
        key: String,
        /// What is wrong with its value and what is allowed.
        reason: String,
    },
}

fn value(key: impl Into<String>, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { key: key.into(), reason: reason.into() }
}

/// The file's keys; what is absent has its default.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_path: Option<PathBuf>,
    metrics_listen: Option<Vec<String>>,
    web_config: Option<PathBuf>,
    metrics_tls_cert: Option<PathBuf>,
    metrics_tls_key: Option<PathBuf>,
    metrics_user: Option<String>,
    metrics_password_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "duration")]
    flush_interval: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    sync_interval: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    shutdown_grace: Option<Duration>,
    memory_limit_bytes: Option<usize>,
    open_files: Option<usize>,
    large_trade: Option<f64>,
    keep_days: Option<u32>,
    raw_capture: Option<PathBuf>,
    completeness: Option<completeness::File>,
    symbol_label_limit: Option<usize>,
    queue_capacity: Option<usize>,
    backfill: Option<bool>,
    #[serde(default, deserialize_with = "duration")]
    listing_refresh: Option<Duration>,
    exchanges: Option<BTreeMap<String, ExchangeFile>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeFile {
    ws_url: Option<String>,
    rest_url: Option<String>,
    exclude: Option<Vec<String>>,
    symbols: Option<Vec<String>>,
    trades: Option<Trades>,
    ca_file: Option<PathBuf>,
    spare_connections: Option<usize>,
    #[serde(default)]
    timeouts: Timeouts,
}

/// Which of a venue's trade streams to record.
#[derive(Clone, Copy, Deserialize, Serialize)]
enum Trades {
    #[serde(rename = "trade")]
    Each,
    #[serde(rename = "aggTrade")]
    Aggregated,
}

impl Config {
    /// Puts flags, environment and file together.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file, key or flag.
    pub fn load(args: &RunArgs) -> Result<Config, ConfigError> {
        Config::of(args.config.as_deref().map(read).transpose()?.unwrap_or_default(), args)
    }

    /// The configuration of a run that was captured, for its columns in another directory.
    pub(crate) fn of_capture(rules: serde_json::Value, data_path: PathBuf) -> Result<Config, ConfigError> {
        let file = serde_json::from_value(rules).map_err(|error| value("rules", error.to_string()))?;
        Config::of(file, &RunArgs { data_path: Some(data_path), ..RunArgs::default() })
    }

    /// What a capture must know of this configuration, as [`Config::of_capture`] reads it, with what is recorded in fact.
    pub(crate) fn for_capture(&self, exchanges: &[Exchange]) -> serde_json::Value {
        let exchange = |exchange: &Exchange| {
            let aggregated = exchange.streams.contains(&Stream::AggregatedTrades);
            let trades = if aggregated { Trades::Aggregated } else { Trades::Each };
            let name = exchange.venue.facts().name.to_owned();
            (name, serde_json::json!({"symbols": exchange.symbols, "trades": trades}))
        };
        let exchanges: serde_json::Map<_, _> = exchanges.iter().map(exchange).collect();
        let Recording { large_trade, completeness, .. } = &self.recording;
        serde_json::json!({
            "exchanges": exchanges, "completeness": completeness, "large_trade": large_trade, "backfill": self.backfill,
        })
    }

    fn of(file: File, args: &RunArgs) -> Result<Config, ConfigError> {
        let metrics = metrics_args(args, &file)?;
        let config = Config {
            recording: Recording {
                data_path: args.data_path.clone().or(file.data_path).unwrap_or_else(|| PathBuf::from("./data")),
                flush_interval: file.flush_interval.unwrap_or(Duration::from_millis(500)),
                sync_interval: file.sync_interval.unwrap_or(Duration::from_secs(4)),
                memory_limit_bytes: file.memory_limit_bytes.unwrap_or(256 << 20),
                open_files: file.open_files.unwrap_or(65_536),
                large_trade: file.large_trade.unwrap_or(100_000.0),
                keep_days: args.keep_days.or(file.keep_days),
                completeness: file.completeness.unwrap_or_default().or_default()?,
            },
            metrics_listen: metrics.listen(DEFAULT_METRICS_PORT)?,
            security: metrics.security()?,
            log: args.log.clone().filter(|log| !log.is_empty()).unwrap_or_else(|| "info".to_owned()),
            symbol_label_limit: file.symbol_label_limit.unwrap_or(500),
            queue_capacity: file.queue_capacity.unwrap_or(65_536),
            shutdown_grace: file.shutdown_grace.unwrap_or(Duration::from_secs(20)),
            backfill: file.backfill.unwrap_or(true),
            listing_refresh: file.listing_refresh.unwrap_or(Duration::from_secs(3_600)),
            raw_capture: args.raw_capture.clone().or(file.raw_capture),
            exchanges: exchanges(file.exchanges, &args.exchanges)?,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let recording = &self.recording;
        if let Err(error) = EnvFilter::try_new(&self.log) {
            return Err(value("--log (RUST_LOG)", format!("`{}` is not a log filter: {error}", self.log)));
        }
        within("flush_interval", recording.flush_interval, 10, 60_000)?;
        within("sync_interval", recording.sync_interval, 100, 3_600_000)?;
        within("shutdown_grace", self.shutdown_grace, 1_000, 600_000)?;
        within("listing_refresh", self.listing_refresh, 1_000, 7 * 86_400_000)?;
        at_least("memory_limit_bytes", recording.memory_limit_bytes, 1 << 20)?;
        at_least("open_files", recording.open_files, 64)?;
        at_least("symbol_label_limit", self.symbol_label_limit, 1)?;
        at_least("queue_capacity", self.queue_capacity, 1)?;
        if self.queue_capacity > MOST_QUEUED {
            return Err(value("queue_capacity", format!("{} is more than {MOST_QUEUED}", self.queue_capacity)));
        }
        if recording.data_path.as_os_str().is_empty() {
            return Err(value("data_path", "is empty; leave it away to use ./data"));
        }
        if !(recording.large_trade > 0.0 && recording.large_trade.is_finite()) {
            return Err(value("large_trade", "must be a positive number in the quote currency"));
        }
        if self.raw_capture.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(value("raw_capture", "is empty; leave it away to capture nothing"));
        }
        if recording.keep_days == Some(0) {
            return Err(value("keep_days", "0 would keep nothing; leave it away to keep all days"));
        }
        recording.completeness.check()
    }
}

const DEFAULT_METRICS_PORT: u16 = 9090;

/// The flags and variables of the metrics endpoint, with the file's keys for what they leave open. Flags for its
/// security replace all that the file says of it, so that no mixture of both comes about.
fn metrics_args(args: &RunArgs, file: &File) -> Result<MetricsArgs, ConfigError> {
    let mut metrics = args.metrics.clone();
    let is_asked = |texts: &[String]| texts.iter().any(|text| !text.is_empty());
    let has_port = metrics.metrics_port.as_ref().is_some_and(|port| !port.is_empty());
    if let Some(listen) = file.metrics_listen.clone().filter(|_| !has_port && !is_asked(&metrics.metrics_listen)) {
        if !is_asked(&listen) {
            return Err(value("metrics_listen", "is empty; leave the key away to listen on 0.0.0.0:9090"));
        }
        for address in &listen {
            address.parse::<ListenAddr>().map_err(|error| value("metrics_listen", error.to_string()))?;
        }
        metrics.metrics_listen = listen;
    }
    if metrics.security()?.is_open() {
        metrics.web_config = file.web_config.clone();
        metrics.metrics_tls_cert = file.metrics_tls_cert.clone();
        metrics.metrics_tls_key = file.metrics_tls_key.clone();
        metrics.metrics_user = file.metrics_user.clone();
        metrics.metrics_password_file = file.metrics_password_file.clone();
    }
    Ok(metrics)
}

/// A fact takes about 150 bytes: more would be gigabytes, which say that something is wrong and do not help.
const MOST_QUEUED: usize = 10_000_000;

/// Each carries everything once more: two survive what any one of three does.
const MOST_SPARES: usize = 3;

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn within(key: &str, duration: Duration, least_ms: u64, most_ms: u64) -> Result<(), ConfigError> {
    let (least, most) = (Duration::from_millis(least_ms), Duration::from_millis(most_ms));
    if (least..=most).contains(&duration) {
        return Ok(());
    }
    let text = humantime::format_duration;
    Err(value(key, format!("{} is not between {} and {}", text(duration), text(least), text(most))))
}

fn at_least(key: &str, number: usize, least: usize) -> Result<(), ConfigError> {
    if number < least { Err(value(key, format!("{number} is less than {least}"))) } else { Ok(()) }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_owned(), reason: error.to_string() })
}

/// The exchanges of the file, or those of `only`; an exchange that the file does not describe records its majors.
fn exchanges(file: Option<BTreeMap<String, ExchangeFile>>, only: &[String]) -> Result<Vec<Exchange>, ConfigError> {
    let all = || exchange_protocol::venues().iter().map(|venue| venue.facts().name.to_owned()).collect();
    if file.as_ref().is_some_and(BTreeMap::is_empty) {
        return Err(value("exchanges", "is empty; leave the key away to record the majors of all venues"));
    }
    let mut described = file.unwrap_or_default();
    let names: BTreeSet<String> = if !only.is_empty() {
        only.iter().cloned().collect()
    } else if described.is_empty() {
        all()
    } else {
        described.keys().cloned().collect()
    };
    // A mistake in an exchange that is not recorded this time is a mistake all the same.
    for name in described.keys() {
        venue(name, "exchanges")?;
    }
    names
        .into_iter()
        .map(|name| {
            let venue = venue(&name, if only.contains(&name) { "--exchanges" } else { "exchanges" })?;
            exchange(venue, described.remove(&name).unwrap_or_default())
        })
        .collect()
}

fn venue(name: &str, key: &str) -> Result<&'static dyn Venue, ConfigError> {
    exchange_protocol::venue(name).ok_or_else(|| {
        let known: Vec<_> = exchange_protocol::venues().iter().map(|venue| venue.facts().name).collect();
        value(key, format!("`{name}` is not an exchange; known are {}", known.join(", ")))
    })
}

fn exchange(venue: &'static dyn Venue, file: ExchangeFile) -> Result<Exchange, ConfigError> {
    let facts = venue.facts();
    let key = |name: &str| format!("exchanges.{}.{name}", facts.name);
    let ws_url = bare_url(file.ws_url.as_deref().unwrap_or(facts.ws_url), ["ws", "wss"])
        .map_err(|reason| value(key("ws_url"), reason))?;
    let rest_url = bare_url(file.rest_url.as_deref().unwrap_or(venue.rest().facts().url), ["http", "https"])
        .map_err(|reason| value(key("rest_url"), reason))?;
    let symbols = file.symbols.unwrap_or_else(|| facts.majors.iter().map(|symbol| (*symbol).to_owned()).collect());
    if symbols.is_empty() {
        return Err(value(key("symbols"), "is empty; leave the key away to record the majors"));
    }
    let mut seen = BTreeSet::new();
    for symbol in &symbols {
        if !seen.insert(symbol) {
            return Err(value(key("symbols"), format!("`{symbol}` stands there twice")));
        }
        if Pattern::is_one(symbol) {
            continue;
        }
        column_store::layout::symbol_directory(symbol).map_err(|error| value(key("symbols"), error.to_string()))?;
        // The venue's messages have its own spelling; another one is subscribed, and then nothing matches what comes.
        let spelling = venue.spelling(symbol);
        if *symbol != spelling {
            return Err(value(key("symbols"), format!("`{symbol}` must be `{spelling}`")));
        }
    }
    if let Some(path) = file.ca_file.as_ref().filter(|path| !path.is_file()) {
        return Err(value(key("ca_file"), format!("{} is not a file", path.display())));
    }
    let streams = match file.trades {
        Some(Trades::Aggregated) if facts.name != "binance" => {
            return Err(value(key("trades"), "aggTrade is known at binance only"));
        }
        Some(Trades::Aggregated) => vec![Stream::AggregatedTrades, Stream::Quotes],
        Some(Trades::Each) | None => venue.streams().to_vec(),
    };
    let exclude = file.exclude.unwrap_or_default();
    if exclude.iter().any(String::is_empty) {
        return Err(value(key("exclude"), "has an empty name"));
    }
    file.timeouts.check(key)?;
    let spare_connections = file.spare_connections.unwrap_or(0);
    if spare_connections > MOST_SPARES {
        return Err(value(key("spare_connections"), format!("{spare_connections} is more than {MOST_SPARES}")));
    }
    Ok(Exchange {
        venue,
        ws_url,
        rest_url,
        symbols,
        exclude,
        streams,
        ca_file: file.ca_file,
        spare_connections,
        timeouts: file.timeouts,
    })
}

/// An address without path: that belongs to the venue's protocol and is added to it.
fn bare_url(url: &str, [plain, secure]: [&str; 2]) -> Result<String, String> {
    let bare = url.strip_suffix('/').unwrap_or(url);
    let is_bare = bare.split_once("://").is_some_and(|(scheme, rest)| {
        let has_host = |uri: http::Uri| uri.host().is_some_and(|host| !host.is_empty());
        [plain, secure].contains(&scheme) && !rest.contains(['/', '?', '#']) && bare.parse().is_ok_and(has_host)
    });
    let form = format!("{plain}://HOST:PORT or {secure}://HOST:PORT");
    if url.contains('@') {
        // Not repeated: it may be a password.
        return Err(format!("has a user or a password, which no venue wants; the form is {form}"));
    }
    let wrong = || format!("`{url}` is not of the form {form}");
    if is_bare { Ok(bare.to_owned()) } else { Err(wrong()) }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map(Some)
        .map_err(|error| serde::de::Error::custom(format!("`{text}` is not a duration such as 500ms or 5s: {error}")))
}

fn as_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

fn as_some_duration<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| humantime::format_duration(duration).to_string()).serialize(serializer)
}

fn as_texts<S: Serializer>(addresses: &[ListenAddr], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(addresses.iter().map(ToString::to_string))
}

fn by_name<S: Serializer>(exchanges: &[Exchange], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(exchanges.iter().map(|exchange| (exchange.venue.facts().name, exchange)))
}

fn trades_of_streams<S: Serializer>(streams: &[Stream], serializer: S) -> Result<S::Ok, S::Error> {
    let trades = if streams.contains(&Stream::AggregatedTrades) { Trades::Aggregated } else { Trades::Each };
    trades.serialize(serializer)
}
