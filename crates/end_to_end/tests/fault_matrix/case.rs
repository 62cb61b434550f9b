//! One run: a simulator of one venue, a logger, a fault.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use column_store::IdRule;
use end_to_end::{
    audit,
    metrics::Scrape,
    oracle::{Oracle, Verdict},
    services::{Logger, brisk, brisk_limits},
};
use exchange_simulator::{Config, Fault, FaultId, Simulator, VenueConfig, VenueKind};
use logger::Clock;
use tokio::time::Instant;

use crate::{
    observer::{Observer, Seen},
    table::{Plan, Shows},
};

/// Enough for several, few enough for a lively market of each.
const SYMBOLS: usize = 3;
/// Market events per second.
const RATE: f64 = 300.0;
/// What a busy machine may take for something that takes a second or two; what was refused is asked for again after a minute,
/// and Bitfinex grants few questions a minute over REST.
const DEADLINE: Duration = Duration::from_secs(240);
/// `connection_status` tells of a socket's death within this time.
const DOWN_WITHIN: Duration = Duration::from_secs(2);

/// A summary, or what is wrong.
pub(crate) type Outcome = Result<String, Vec<String>>;

struct Case {
    venue: VenueKind,
    simulator: Simulator,
    logger: Logger,
    data: tempfile::TempDir,
    /// Without those that the venue refuses.
    symbols: Vec<String>,
}

pub(crate) async fn run(venue: VenueKind, plan: Plan, keep: Option<PathBuf>) -> Outcome {
    let case = Case::start(venue, &plan).await;
    let observer = Observer::start(case.logger.metrics);
    case.until("everything is recorded", |scrape| {
        let status = scrape.sum("gpu_charts_exchange_connection_status", "");
        status == 1.0 && case.least_trades(scrape) >= 3.0
    })
    .await?;

    let before = case.scrape().await;
    observer.reset();
    let faults: Vec<FaultId> = plan.during.iter().map(|text| case.inject(text)).collect();
    for (fault, text) in faults.iter().zip(&plan.during) {
        case.until_struck(*fault, text).await?;
    }
    case.until_shown(&plan.shows, &before, &observer).await?;
    case.market_goes_on().await?;
    case.simulator.pause_market();
    let verdicts = match case.until_whole().await {
        Ok(verdicts) => verdicts,
        Err(findings) => {
            if let Some(directory) = keep {
                case.keep(&directory);
            }
            return Err(findings);
        }
    };

    let after = case.scrape().await;
    let mut findings: Vec<String> =
        plan.shows.iter().filter_map(|shows| missing(*shows, &before, &after, observer.seen(), &verdicts)).collect();
    drop(observer);
    let Case { venue, simulator, logger, data, .. } = case;
    if let Err(error) = logger.end().await {
        findings.push(format!("the logger ended with: {error}"));
    }
    let (_, at_rest) = Oracle::of(&simulator, &[venue]).judge_all(data.path());
    findings.extend(at_rest.into_iter().map(|finding| format!("after the end: {finding}")));
    findings.extend(audit(venue, data.path(), &verdicts));
    simulator.shutdown().await.map_err(|error| vec![error.to_string()])?;
    let sum = |count: fn(&Verdict) -> u64| verdicts.iter().map(count).sum::<u64>();
    let summary = format!(
        "{} trades, {} quotes, {} trades lost for ever, {} gaps counted",
        sum(|verdict| verdict.trades),
        sum(|verdict| verdict.quotes),
        sum(|verdict| verdict.undeliverable),
        sum(Verdict::gaps_total),
    );
    if findings.is_empty() { Ok(summary) } else { Err(findings) }
}

impl Case {
    async fn start(venue: VenueKind, plan: &Plan) -> Case {
        let mut symbols = exchange_simulator::symbols(venue, SYMBOLS);
        let faults = plan.before.iter().map(|text| fault(venue, text, &symbols[0])).collect();
        let simulator = Simulator::start(Config {
            venues: vec![VenueConfig::new(venue)],
            rate: RATE,
            symbols: SYMBOLS,
            keep_ledger_in_memory: true,
            faults,
            limits: brisk_limits(),
            ..Config::default()
        })
        .await
        .unwrap();
        let data = tempfile::tempdir().unwrap();
        let logger = Logger::start(&brisk(&simulator), data.path(), Clock::system()).await;
        if plan.refused {
            symbols.remove(0);
        }
        Case { venue, simulator, logger, data, symbols }
    }

    fn inject(&self, text: &str) -> FaultId {
        let symbols = self.simulator.symbols(self.venue.name());
        self.simulator.inject(&fault(self.venue, text, &symbols[0])).unwrap()
    }

    /// Leaves the files and the ledger for whoever looks for the mistake.
    fn keep(self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        let lines = self.simulator.ledger().into_iter().map(|entry| serde_json::to_string(&entry).unwrap() + "\n");
        fs::write(directory.join("ledger.jsonl"), lines.collect::<String>()).unwrap();
        println!("kept: {} and {}", directory.display(), self.data.keep().display());
    }

    async fn scrape(&self) -> Scrape {
        Scrape::of(self.logger.metrics).await.unwrap()
    }

    /// The trades of the symbol that has the fewest.
    fn least_trades(&self, scrape: &Scrape) -> f64 {
        let trades = |symbol: &String| {
            let part = format!(r#"symbol="{symbol}""#);
            scrape.sum("gpu_charts_trades_processed_total", &part)
        };
        self.symbols.iter().map(trades).fold(f64::INFINITY, f64::min)
    }

    async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + DEADLINE;
        while !holds(&self.scrape().await) {
            if Instant::now() > deadline {
                return Err(vec![format!("waited {} s until {what}", DEADLINE.as_secs()), self.told().await]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What the logger says of its connections, for whoever has to find out what went wrong.
    async fn told(&self) -> String {
        let scrape = self.scrape().await;
        let lines = scrape.text().lines().filter(|line| {
            let name = line.split('{').next().unwrap_or_default();
            !line.starts_with('#')
                && !name.contains("bucket")
                && ["gpu_charts_exchange", "gpu_charts_data_gaps", "gpu_charts_backfill", "gpu_charts_feed"]
                    .iter()
                    .any(|known| name.starts_with(known))
                && !line.ends_with(" 0")
        });
        lines.collect::<Vec<_>>().join("\n      ")
    }

    /// Waits until a fault of single messages or requests struck as often as it says.
    async fn until_struck(&self, id: FaultId, text: &str) -> Result<(), Vec<String>> {
        let times =
            text.split([':', ',']).find_map(|part| part.strip_prefix("times=")).map(|times| times.parse().unwrap());
        let Some(times) = times else { return Ok(()) };
        let deadline = Instant::now() + DEADLINE;
        while self.simulator.fault_hits(id) < times {
            if Instant::now() > deadline {
                return Err(vec![format!("{text} struck {} times only", self.simulator.fault_hits(id))]);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until everything shows that must; what does not is told later with the rest.
    async fn until_shown(&self, shows: &[Shows], before: &Scrape, observer: &Observer) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let now = self.scrape().await;
            // Gaps are filled, or found to be lost, until the end.
            let later = |shows: &&Shows| !matches!(shows, Shows::Filled | Shows::Lost);
            let open =
                shows.iter().filter(later).filter_map(|shows| missing(*shows, before, &now, observer.seen(), &[]));
            let open: Vec<String> = open.collect();
            let connected = now.sum("gpu_charts_exchange_connection_status", "") == 1.0;
            if open.is_empty() && connected {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err([open, vec![format!("connected: {connected}"), self.told().await]].concat());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets the market move a while, so that what comes after the fault is there.
    async fn market_goes_on(&self) -> Result<(), Vec<String>> {
        let trades = self.least_trades(&self.scrape().await);
        self.until("trades of all symbols come again", |scrape| self.least_trades(scrape) >= trades + 5.0).await
    }

    /// Waits until the files hold what they must, the metrics tell the same, and nothing is open any more.
    async fn until_whole(&self) -> Result<Vec<Verdict>, Vec<String>> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let oracle = Oracle::of(&self.simulator, &[self.venue]);
            let (verdicts, mut findings) = oracle.judge_all(self.data.path());
            let scrape = self.scrape().await;
            for ((_, symbol), verdict) in &verdicts {
                findings.extend(uncounted(self.venue, symbol, verdict, &scrape));
            }
            if findings.is_empty() {
                return Ok(verdicts.into_values().collect());
            }
            if Instant::now() > deadline {
                findings.push(self.told().await);
                return Err(findings);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn fault(venue: VenueKind, text: &str, symbol: &str) -> Fault {
    let (kind, keys) = text.split_once(':').unwrap_or((text, ""));
    format!("{kind}@{venue}:{keys}").replace("{symbol}", symbol).parse().unwrap()
}

/// Gaps on record that the metrics do not count, and those that are not decided yet.
fn uncounted(venue: VenueKind, symbol: &str, verdict: &Verdict, scrape: &Scrape) -> Vec<String> {
    let part = format!(r#"symbol="{symbol}""#);
    let mut findings = Vec::new();
    let counted = scrape.sum("gpu_charts_data_gaps_total", &part);
    // Where ids prove nothing, an interval counts as one, and what REST then fills of it counts too.
    let on_record = verdict.gaps_total() as f64;
    if if venue == VenueKind::Bitfinex { counted < on_record } else { counted != on_record } {
        let gaps = verdict.trade_gaps.iter().chain(&verdict.quote_gaps);
        let gaps: Vec<_> = gaps.map(|gap| format!("{} {} {:?}", gap.id, gap.state, gap.missing)).collect();
        findings
            .push(format!("{symbol}: data_gaps_total is {counted}, on record are {}: {gaps:?}", verdict.gaps_total()));
    }
    let filled: u64 =
        verdict.trade_gaps.iter().filter(|gap| !gap.is_missing()).map(|gap| gap.missing.unwrap_or(1)).sum();
    let counted = scrape.sum("gpu_charts_data_gaps_filled_total", &part);
    if counted < filled as f64 {
        findings.push(format!("{symbol}: data_gaps_filled_total is {counted}, on record are {filled}"));
    }
    let open = verdict.trade_gaps.iter().filter(|gap| gap.state == "open");
    findings.extend(open.map(|gap| format!("{symbol}: {} of {:?} is open still", gap.id, gap.ids)));
    findings
}

/// What should show and does not, in words.
fn missing(shows: Shows, before: &Scrape, after: &Scrape, seen: Seen, verdicts: &[Verdict]) -> Option<String> {
    let grown = |name: &str, part: &str| after.sum(name, part) - before.sum(name, part);
    let error = |error_type: &str| grown("gpu_charts_exchange_errors_total", &format!(r#"error_type="{error_type}""#));
    let reconnections = grown("gpu_charts_exchange_reconnections_total", "");
    let shown = match shows {
        Shows::Down => seen.down_after.is_some_and(|after| after <= DOWN_WITHIN + seen.blind),
        Shows::NoReconnect => reconnections == 0.0,
        Shows::Reconnect => reconnections >= 1.0,
        Shows::Error(error_type) => error(error_type) >= 1.0,
        Shows::NoError(error_type) => error(error_type) == 0.0,
        Shows::ParseErrors(frames) => grown("gpu_charts_parse_errors_total", "") >= frames as f64,
        Shows::Stale => seen.stalest > 1.5,
        Shows::Duplicates => grown("gpu_charts_duplicates_total", "") >= 1.0,
        Shows::Skew => grown("gpu_charts_clock_skew_total", "") >= 1.0,
        Shows::OutOfOrder => grown("gpu_charts_rows_out_of_order_total", "") >= 1.0,
        Shows::Latency => grown("gpu_charts_websocket_latency_seconds_sum", "") >= 2.0,
        Shows::Filled => grown("gpu_charts_data_gaps_filled_total", "") >= 1.0,
        Shows::Lost => verdicts.iter().any(|verdict| verdict.undeliverable > 0),
        Shows::NoGap => grown("gpu_charts_data_gaps_total", "") == 0.0,
    };
    (!shown).then(|| format!("{shows:?} does not show: {seen:?}, {reconnections} reconnections"))
}

/// The audit must find what the ledger says: no damage, and exactly what is lost for ever.
fn audit(venue: VenueKind, data: &Path, verdicts: &[Verdict]) -> Vec<String> {
    let totals = match audit::audit(data, &[venue]) {
        Ok(totals) => totals,
        Err(error) => return vec![format!("the audit fails: {error}")],
    };
    let mut findings = Vec::new();
    if totals.damage > 0 {
        findings.push(format!("the audit finds damage: {totals}"));
    }
    let missing: u64 = verdicts.iter().map(|verdict| verdict.undeliverable).sum();
    if audit::id_rule(venue) == IdRule::Contiguous && totals.missing != missing {
        findings.push(format!("the audit finds {totals}, and {missing} trades are lost for ever"));
    }
    findings
}
