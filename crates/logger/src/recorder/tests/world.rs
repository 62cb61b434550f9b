//! A venue with one symbol, and a core that records it in a directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::Path,
    sync::Arc,
};

use column_store::{
    Audit, Disk, Finding, Gap, GapState, IdRule, Options, OsDisk, Reader, Rules, SeriesAudit, SeriesId, Store, Stream,
    Table, verify,
};
use exchange_protocol::{IdRule as VenueRule, Side};
use metrics_server::{Exposition, Registry};
use tempfile::TempDir;

use crate::{
    backfill::Question,
    clock::Clock,
    config::Config,
    metrics::Metrics,
    received::{Batch, ConnectionId, Fact, Fill, FillEnd, LostWhy, QuoteFact, Received, TradeFact},
    recorder::Core,
    symbols::Symbols,
};

pub(super) const NOW: u64 = 1_794_960_000_000_000_000;
pub(super) const S: u64 = 1_000_000_000;

/// A disk without power losses.
struct Unsynced;

impl Disk for Unsynced {
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        OsDisk.write_at(file, path, bytes, offset)
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_file(&self, _: &File, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// So many trades, which arrive if there is a connection.
    Trade(u64),
    /// So many trades that do not arrive.
    Miss(u64),
    /// The last trade arrives again.
    Repeat,
    /// The trade so many before the last arrives, again or at last.
    Late(u64),
    Disconnect,
    Connect,
    /// Another connection beside the one there is.
    Spare,
    /// The venue answers the question with so many trades at most.
    Answer {
        trades: usize,
        ends: bool,
    },
    Fail,
    /// The venue's word on its last trade.
    Heartbeat,
    /// The venue cannot deliver its last so many trades any more.
    Forget(u64),
    /// Seconds go by.
    Wait(u64),
    Flush,
    /// kill -9, and a start.
    Kill,
    /// An orderly stop, and a start.
    Stop,
}

pub(super) struct World {
    root: TempDir,
    rule: VenueRule,
    pub(super) core: Option<Core>,
    pub(super) exposition: Option<Exposition>,
    pub(super) now_ns: u64,
    /// All trades that ever were: id → its time.
    pub(super) trades: BTreeMap<u64, u64>,
    forgotten: BTreeSet<u64>,
    pub(super) connections: Vec<ConnectionId>,
    opened: u64,
    /// Frames of the connection.
    frames: u64,
    /// When there was a connection first, ns.
    first_live_ns: Option<u64>,
    pub(super) question: Option<Question>,
    /// How many were asked.
    pub(super) asked: u64,
    pub(super) suspected: usize,
}

impl World {
    /// A venue whose ids are contiguous.
    pub(super) fn of_ids() -> World {
        World::new(VenueRule::Contiguous)
    }

    /// A venue whose ids only rise, and which counts its frames.
    pub(super) fn of_times() -> World {
        World::new(VenueRule::Unique)
    }

    fn new(rule: VenueRule) -> World {
        let mut world = World {
            root: tempfile::tempdir().unwrap(),
            rule,
            core: None,
            exposition: None,
            now_ns: NOW,
            trades: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            connections: Vec::new(),
            opened: 0,
            frames: 0,
            first_live_ns: None,
            question: None,
            asked: 0,
            suspected: 0,
        };
        world.start();
        world
    }

    fn venue(&self) -> &'static str {
        if self.rule == VenueRule::Contiguous { "coinbase" } else { "bitfinex" }
    }

    fn symbol(&self) -> &'static str {
        if self.rule == VenueRule::Contiguous { "BTC-USD" } else { "tBTCUSD" }
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn start(&mut self) {
        let mut config = Config::load(&Default::default()).unwrap();
        config.exchanges.truncate(1);
        config.exchanges[0].venue = exchange_protocol::venue(self.venue()).unwrap();
        config.exchanges[0].symbols = vec![self.symbol().to_owned()];
        config.recording.data_path = self.root.path().to_owned();
        let mut registry = Registry::default();
        let symbols = Symbols::new(&config.exchanges, 10, Clock::system());
        let metrics = Arc::new(Metrics::register(&mut registry, &symbols).unwrap());
        let store = Store::open(self.root.path(), Options { disk: Arc::new(Unsynced), ..Options::default() }).unwrap();
        self.core = Some(Core::new(store, &config.recording, &symbols, metrics, true, self.now_ns).unwrap());
        self.exposition = Some(Exposition::new(registry));
        self.question = None;
        self.connections.clear();
    }

    /// The value of a series; 0 if it is not there.
    pub(super) fn value(&self, name: &str) -> f64 {
        let text = self.exposition.as_ref().unwrap().encode().unwrap();
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(super) fn fact(&mut self, connection: ConnectionId, fact: Fact) {
        let counts = self.rule == VenueRule::Unique && connection != ConnectionId::REST;
        self.frames += u64::from(counts);
        let received = Received { symbol: 0, receive_ns: self.now_ns, fact };
        let mut batch = Batch::new(connection, vec![received]);
        batch.sequence = counts.then_some(self.frames);
        let core = self.core.as_mut().unwrap();
        core.batch(&batch, self.now_ns);
        self.listen();
    }

    fn listen(&mut self) {
        let core = self.core.as_mut().unwrap();
        for question in core.questions().drain(..) {
            assert!(self.question.is_none(), "one at a time");
            self.question = Some(question);
            self.asked += 1;
        }
        self.suspected += core.suspicions().drain(..).count();
    }

    fn fact_of(&self, id: u64) -> TradeFact {
        TradeFact {
            first_id: id,
            id,
            event_ns: self.trades[&id],
            price: 100.0,
            size: 1.0,
            taker: Side::Buy,
            maker_order_id: [0; 16],
            taker_order_id: [0; 16],
            snapshot: false,
        }
    }

    pub(super) fn happen(&mut self) -> u64 {
        let last = self.trades.last_key_value().map_or(99, |(id, _)| *id);
        let id = last + if self.rule == VenueRule::Contiguous { 1 } else { 7 };
        self.now_ns += S / 100;
        self.trades.insert(id, self.now_ns);
        id
    }

    /// A trade that is not there yet happens, or one that was arrives.
    pub(super) fn arrive(&mut self, id: u64) {
        let trade = self.fact_of(id);
        for connection in self.connections.clone() {
            self.fact(connection, Fact::Trade(trade));
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Trade(count) => {
                for _ in 0..count {
                    let id = self.happen();
                    self.arrive(id);
                }
            }
            // On a venue that counts frames such a loss shows at once.
            Step::Miss(count) if self.rule == VenueRule::Unique => {
                let proven_ns = self.now_ns;
                (0..count).for_each(|_| _ = self.happen());
                for connection in self.connections.clone() {
                    for stream in [Stream::Trades, Stream::Quotes] {
                        self.fact(connection, Fact::Lost { stream, why: LostWhy::Sequence, proven_ns });
                        self.fact(connection, Fact::Live(stream));
                    }
                    self.quote(connection);
                }
            }
            Step::Miss(count) => (0..count).for_each(|_| _ = self.happen()),
            Step::Repeat => self.repeat(0),
            Step::Late(before) => self.repeat(before),
            Step::Disconnect => {
                for connection in std::mem::take(&mut self.connections) {
                    for stream in [Stream::Trades, Stream::Quotes] {
                        let (why, proven_ns) = (LostWhy::Disconnected, self.now_ns);
                        self.fact(connection, Fact::Lost { stream, why, proven_ns });
                    }
                }
            }
            Step::Connect if self.connections.is_empty() => self.connect(),
            Step::Spare if self.connections.len() == 1 => self.connect(),
            Step::Connect | Step::Spare => {}
            Step::Answer { trades, ends } => self.answer(trades, ends.then_some(FillEnd::Answered)),
            Step::Fail => self.answer(0, Some(FillEnd::Failed)),
            Step::Heartbeat => {
                if let Some((id, _)) = self.trades.last_key_value() {
                    let id = *id;
                    for connection in self.connections.clone() {
                        self.fact(connection, Fact::LastTrade { id });
                    }
                }
            }
            Step::Forget(count) => {
                self.forgotten.extend(self.trades.keys().rev().take(usize::try_from(count).unwrap()));
            }
            Step::Wait(seconds) => self.wait(seconds),
            Step::Flush => self.flush(),
            Step::Kill => {
                self.core = None;
                if self.ids().is_empty() {
                    // Nothing had reached the files: it is the first start again.
                    self.first_live_ns = None;
                }
                self.start();
            }
            Step::Stop => self.stop(),
        }
    }

    fn repeat(&mut self, before: u64) {
        let id = self.trades.keys().rev().nth(usize::try_from(before).unwrap()).copied();
        // A venue does not send what was before the first connection.
        let may_come = |id: &u64| self.first_live_ns.is_some_and(|first_ns| self.trades[id] >= first_ns);
        if let Some(id) = id.filter(may_come).filter(|_| self.rule == VenueRule::Contiguous) {
            self.arrive(id);
        }
    }

    pub(super) fn connect(&mut self) {
        self.opened += 1;
        self.first_live_ns.get_or_insert(self.now_ns);
        let connection = ConnectionId(self.now_ns + self.opened);
        self.connections.push(connection);
        for stream in [Stream::Trades, Stream::Quotes] {
            self.fact(connection, Fact::Live(stream));
        }
        self.quote(connection);
    }

    fn quote(&mut self, connection: ConnectionId) {
        let quote = QuoteFact { update_id: 0, event_ns: self.now_ns, bid: 1.0, bid_size: 1.0, ask: 2.0, ask_size: 1.0 };
        self.fact(connection, Fact::Quote(quote));
    }

    /// Answers the question with so many of the trades that are asked for.
    pub(super) fn answer(&mut self, most: usize, end: Option<FillEnd>) {
        let Some(question) = self.question.clone() else { return };
        let asked = |(id, ns): (&u64, &u64)| match question.ids {
            Some((first, last)) => (first..=last).contains(id),
            None => (question.times.0..=question.times.1).contains(ns),
        };
        let ids: Vec<u64> = self.trades.iter().filter(|(id, ns)| asked((id, ns))).map(|(id, _)| *id).collect();
        let there: Vec<u64> = ids.into_iter().filter(|id| !self.forgotten.contains(id)).collect();
        // A venue that says that it told all has told all.
        let count = if end == Some(FillEnd::Answered) { there.len() } else { most };
        let told: Vec<u64> = there.into_iter().rev().take(count).collect();
        self.piece(&told, end);
    }

    /// A part of the answer to the question.
    pub(super) fn piece(&mut self, ids: &[u64], end: Option<FillEnd>) {
        let Some(Question { number: question, .. }) = self.question else { return };
        let trades = ids.iter().map(|id| self.fact_of(*id)).collect();
        if end.is_some() {
            self.question = None;
        }
        self.fact(ConnectionId::REST, Fact::Fill(Fill { question, trades, end }));
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds * 2 {
            self.now_ns += S / 2;
            self.core.as_mut().unwrap().tick(self.now_ns);
            self.listen();
        }
    }

    pub(super) fn flush(&mut self) {
        let core = self.core.as_mut().unwrap();
        core.flush(self.now_ns).unwrap();
        core.sync().unwrap();
    }

    pub(super) fn stop(&mut self) {
        let mut core = self.core.take().unwrap();
        core.release(self.now_ns);
        core.flush(self.now_ns).unwrap();
        core.finish().unwrap();
        drop(core);
        self.start();
    }

    /// Trades come again, and the venue answers all that it is asked.
    pub(super) fn settle(&mut self) {
        self.step(Step::Connect);
        self.step(Step::Trade(1));
        for _ in 0..40 {
            self.answer(0, Some(FillEnd::Answered));
            self.wait(5);
        }
        self.step(Step::Trade(1));
        self.flush();
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        let series = self.series(Table::Trades);
        let column = Table::Trades.column("id").unwrap();
        let selection = Reader::open(self.root()).unwrap().select(&series, &[column], 0, u32::MAX).unwrap();
        let mut ids = Vec::new();
        for slice in &selection.columns[0].slices {
            let mut bytes = vec![0; usize::try_from(slice.len()).unwrap()];
            slice.read_at(&mut bytes, 0).unwrap();
            ids.extend(bytes.chunks_exact(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())));
        }
        ids
    }

    fn series(&self, table: Table) -> SeriesId {
        SeriesId { exchange: self.venue().to_owned(), symbol: self.symbol().to_owned(), table }
    }

    pub(super) fn gaps(&self, table: Table) -> Vec<Gap> {
        Reader::open(self.root()).unwrap().gaps(&self.series(table), 0, u64::MAX, 10_000).unwrap().gaps
    }

    pub(super) fn coverage(&self, table: Table) -> Vec<column_store::Covered> {
        let (first, last) = ("01.01.00".parse().unwrap(), "31.12.99".parse().unwrap());
        let history = Reader::open(self.root()).unwrap().coverage(&self.series(table), first, last, 10_000).unwrap();
        history.coverage.ranges().cloned().collect()
    }

    pub(super) fn audit(&self) -> Vec<SeriesAudit> {
        let mut rules = Rules::new();
        let rule = if self.rule == VenueRule::Contiguous { IdRule::Contiguous } else { IdRule::Unique };
        rules.insert((self.venue().to_owned(), Table::Trades), rule);
        let audit = Audit { rules, recording: true, ..Audit::default() };
        let mut series = Vec::new();
        verify(self.root(), &audit, &mut |_| {}, &mut |audited| series.push(audited.clone())).unwrap();
        series
    }

    /// Every trade since the first recorded one is in the files once, or missing on record.
    pub(super) fn check(&mut self) {
        let ids = self.ids();
        let recorded: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(ids.len(), recorded.len(), "no trade twice: {ids:?}");
        let first = recorded.first().copied().unwrap_or(u64::MAX);
        let gaps = self.gaps(Table::Trades);
        let unfilled: Vec<&Gap> = gaps.iter().filter(|gap| gap.state != GapState::Filled).collect();
        for (id, ns) in self.trades.range(first..) {
            // What REST tells of an interval reaches beyond it; of what was when the first connection began nothing was promised.
            if recorded.contains(id) || self.first_live_ns.is_none_or(|first_ns| *ns <= first_ns) {
                continue;
            }
            assert!(self.forgotten.contains(id), "{id} can be had of the venue, and is not in the files: {gaps:#?}");
            let on_record = gaps.iter().any(|gap| match gap.from_id.zip(gap.to_id) {
                Some((from, to)) => gap.state != GapState::Filled && (from..=to).contains(id),
                // What an interval hid that the venue does not tell of, nobody can know.
                None => (gap.from_ns..=gap.to_ns).contains(ns),
            });
            assert!(on_record, "{id} is missing, and not on record: {gaps:#?}");
        }
        if self.rule == VenueRule::Contiguous {
            for gap in &unfilled {
                let missing = (gap.from_id.unwrap()..=gap.to_id.unwrap()).filter(|id| !recorded.contains(id)).count();
                assert!(missing > 0 && gap.state == GapState::Lost, "nothing of {gap:?} is missing");
                assert_eq!(gap.missing, Some(missing as u64), "{gap:?}");
            }
            for range in self.coverage(Table::Trades) {
                assert!((range.from..=range.to).all(|id| recorded.contains(&id)), "{range:?} is not whole");
            }
        } else {
            assert!(unfilled.is_empty(), "{unfilled:?}");
        }
        assert_eq!(self.gaps(Table::Md).iter().filter(|gap| gap.state == GapState::Open).count(), 0);
        for series in self.audit() {
            for finding in series.days.iter().flat_map(|day| &day.findings) {
                let is_fine = match finding {
                    Finding::MissingIds { unrecorded, .. } => *unrecorded == 0,
                    Finding::Gap { lost, .. } => *lost,
                    _ => false,
                };
                assert!(is_fine, "{}: {finding:?}", series.series);
            }
        }
    }
}
