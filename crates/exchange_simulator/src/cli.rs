//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use exchange_simulator::{
    ClockPace, Config, Error, FAULT_HELP, Fault, Limits, MAX_SYMBOLS, MarketState, Replay, Tls, VenueConfig, VenueKind,
};

const EXAMPLES: &str = "\
Examples:
  Coinbase and Binance on free ports; the file appears when they listen:
    exchange_simulator --logger-config simulator.yaml --ledger ledger.jsonl

  One busy venue on known ports, the same market every time, 100,000 events and no more:
    exchange_simulator run --exchanges coinbase --coinbase-port 41001 --coinbase-rest-port 41002 \\
        --rate 5000 --symbols 20 --seed 7 --max-events 100000

  Begin ten seconds before a UTC midnight, or let a whole day pass in a minute:
    exchange_simulator --start-time 2026-03-01T23:59:50Z --duration 30s
    exchange_simulator --start-time 2026-03-01T23:59:00Z --clock-speed 1440 --duration 62s

  Send the frames of a capture again, ten times as fast:
    exchange_simulator replay COINBASE.ws.28.0 --speed 10 --logger-config -

  All five venues. After 5 s Binance resets its connections and refuses new ones for 1 s, Kraken
  drops 20 trades of a symbol that REST still has, and Bitfinex announces the end of its connections:
    exchange_simulator run --exchanges coinbase,binance,kraken,okx,bitfinex \
        --fault reset@binance:after=5s,refuse=1s \
        --fault gap@kraken:symbol=BTC/USD,times=20,after=5s \
        --fault notice@bitfinex:lead=2s,after=5s

  REST answers 429 for a minute, and OKX' clock is 3 s behind from the 1,000th event on:
    exchange_simulator --exchanges coinbase,okx --fault http:on=rest,retry-after=10s,for=1m \
        --fault clock-skew@okx:by=-3s,at=1000

Exit codes: 0 after SIGTERM, SIGINT or --duration; 64 for bad arguments; 1 for anything else.";

/// What stands below the flags.
fn help() -> String {
    format!("{FAULT_HELP}\n\n{EXAMPLES}")
}

/// Exchanges to test against: real WebSocket and REST servers with a simulated market, or with captured frames.
#[derive(Debug, Parser)]
#[command(version, after_help = help(), args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate a market (this is also what happens without a subcommand)
    #[command(after_help = help())]
    Run(RunArgs),
    /// Send captured frames to every client that subscribes
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Venues to stand for, separated by commas: coinbase, binance, kraken, okx, bitfinex
    #[arg(long, value_delimiter = ',', default_value = "coinbase,binance", value_name = "NAMES")]
    exchanges: Vec<VenueKind>,
    /// Market events per second and venue, over all symbols
    #[arg(long, default_value_t = 200.0, value_name = "PER_SECOND", allow_negative_numbers = true)]
    rate: f64,
    /// Symbols per venue
    #[arg(long, default_value_t = 10, value_name = "N", help = format!("Symbols per venue, 1 to {MAX_SYMBOLS}"))]
    symbols: usize,
    /// Same seed, same prices, sizes, ids and sides
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The market of each venue stops by itself after so many events
    #[arg(long, value_name = "N")]
    max_events: Option<u64>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// Capture files; each says by its URLs which venue it is of
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// 1 is the captured pace, 10 ten times as fast, 0 as fast as the client reads
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", allow_negative_numbers = true)]
    speed: f64,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What both modes have.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    listen: IpAddr,
    /// Coinbase's WebSocket port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    coinbase_port: u16,
    /// Coinbase's REST port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    coinbase_rest_port: u16,
    /// Binance's WebSocket port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    binance_port: u16,
    /// Binance's REST port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    binance_rest_port: u16,
    /// Kraken's WebSocket port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    kraken_port: u16,
    /// Kraken's REST port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    kraken_rest_port: u16,
    /// OKX' WebSocket port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    okx_port: u16,
    /// OKX' REST port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    okx_rest_port: u16,
    /// Bitfinex' WebSocket port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    bitfinex_port: u16,
    /// Bitfinex' REST port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    bitfinex_rest_port: u16,
    /// The market's clock shows this at the start and goes on from there [default: the system clock]
    #[arg(long, value_name = "RFC3339")]
    start_time: Option<jiff::Timestamp>,
    /// The market's clock runs so many times as fast: 1440 makes a day of a minute. Rates, heartbeats and time limits do not
    #[arg(long, default_value_t = 1, value_name = "N")]
    clock_speed: u32,
    /// Write what is sent, to whom, and what nobody got, one JSON object per line
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Write the logger's configuration for these ports once they listen; `-` prints it
    #[arg(long, value_name = "FILE")]
    logger_config: Option<PathBuf>,
    /// Certificate chain (PEM) to offer wss:// with
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key (PEM) of the certificate
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Shut down by itself after so long, e.g. 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// How often Binance pings
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = humantime::parse_duration)]
    ping_interval: Duration,
    /// How long Binance waits for a pong
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pong_timeout: Duration,
    /// How long Coinbase waits for a subscription
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    subscribe_timeout: Duration,
    /// Time between rounds of heartbeats [default: the venue's]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    heartbeat_interval: Option<Duration>,
    /// How long OKX, Kraken and Bitfinex keep a silent connection [default: the venue's]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    idle_timeout: Option<Duration>,
    /// When Binance ends every connection
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    connection_lifetime: Duration,
    /// How long after a trade Bitfinex confirms it
    #[arg(long, value_name = "DURATION", default_value = "1500ms", value_parser = humantime::parse_duration)]
    confirm_after: Duration,
    /// Hold clients of one address to the venues' limits on handshakes and REST requests
    #[arg(long)]
    per_address_limits: bool,
    /// Let something go wrong; can be given several times, see below
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Frames that may wait for one connection before it is closed as a slow consumer
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    queue_frames: usize,
}

/// What the program is to do.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) config: Config,
    pub(crate) logger_config: Option<PathBuf>,
    pub(crate) duration: Option<Duration>,
}

impl Cli {
    /// The settings the arguments stand for.
    pub(crate) fn invocation(self) -> Result<Invocation, Error> {
        match self.command {
            Some(Command::Replay(replay)) => {
                let mut invocation = replay.serve.invocation(&VenueKind::ALL)?;
                invocation.config.replay = Some(Replay { files: replay.files, speed: replay.speed });
                Ok(invocation)
            }
            Some(Command::Run(run)) => run.invocation(),
            None => self.run.invocation(),
        }
    }
}

impl RunArgs {
    fn invocation(self) -> Result<Invocation, Error> {
        let mut invocation = self.serve.invocation(&self.exchanges)?;
        let config = &mut invocation.config;
        config.rate = self.rate;
        config.symbols = self.symbols;
        config.seed = self.seed;
        config.max_events = self.max_events;
        Ok(invocation)
    }
}

impl ServeArgs {
    fn invocation(self, kinds: &[VenueKind]) -> Result<Invocation, Error> {
        let venue = |kind: &VenueKind| {
            let (ws_port, rest_port) = match kind {
                VenueKind::Coinbase => (self.coinbase_port, self.coinbase_rest_port),
                VenueKind::Binance => (self.binance_port, self.binance_rest_port),
                VenueKind::Kraken => (self.kraken_port, self.kraken_rest_port),
                VenueKind::Okx => (self.okx_port, self.okx_rest_port),
                VenueKind::Bitfinex => (self.bitfinex_port, self.bitfinex_rest_port),
            };
            VenueConfig { kind: *kind, ws_port, rest_port }
        };
        let config = Config {
            venues: kinds.iter().map(venue).collect(),
            listen: self.listen,
            market: MarketState::Running,
            clock_offset_ns: self.start_time.map_or(Ok(0), clock_offset_ns)?,
            clock_pace: ClockPace { since_ns: system_ns(), speed: self.clock_speed },
            ledger: self.ledger,
            tls: self.tls_cert.zip(self.tls_key).map(|(cert, key)| Tls { cert, key }),
            limits: Limits {
                subscribe_timeout: self.subscribe_timeout,
                ping_interval: self.ping_interval,
                pong_timeout: self.pong_timeout,
                heartbeat_interval: self.heartbeat_interval,
                idle_timeout: self.idle_timeout,
                connection_lifetime: self.connection_lifetime,
                confirm_after: self.confirm_after,
                per_address: self.per_address_limits,
                queue_frames: self.queue_frames,
            },
            faults: self.faults,
            ..Config::default()
        };
        Ok(Invocation { config, logger_config: self.logger_config, duration: self.duration })
    }
}

/// The system's clock, ns since the epoch.
fn system_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How far `start` is ahead of the system clock.
fn clock_offset_ns(start: jiff::Timestamp) -> Result<i64, Error> {
    let offset = i64::try_from(start.as_nanosecond() - i128::from(system_ns())).ok();
    let reason = || format!("{start} is too far away");
    offset.ok_or_else(|| Error::Setting { setting: "start-time", reason: reason() })
}
