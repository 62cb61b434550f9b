//! The core of the recorder: owns the store and every market. What it does follows from the batches it is handed and the
//! times it is told, and from nothing else, so that a capture of these can be replayed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use column_store::{
    GapState, MdKind, MdRow, Proof, Reader, SeriesHandle, SeriesId, Store, StoreError, Stream, Table, TimeRule,
    TradeRow,
};
use exchange_protocol::IdRule;
use tracing::error;

use super::{share::Shares, stored::Stored};
use crate::{
    backfill::Question,
    config::Recording,
    error::LoggerError,
    market::{Context, Effect, Market, Provability, Rules},
    metrics::{DropReason, Metrics, VenueMetrics},
    received::{Batch, ConnectionId, Fact, Received, SymbolIndex},
    symbols::{Symbol, Symbols},
    trade_ids::{REMEMBERED, UniqueIds},
};

/// Files whose newest row lies further ahead of our clock than this are not written on, ns.
const FUTURE_LIMIT: u64 = 86_400 * 1_000_000_000;
/// What frames prove is told this often, ns: connections have many symbols, and a line is written once a minute at most.
const SEQUENCE_INTERVAL: u64 = 5 * 1_000_000_000;
/// Bytes of memory for a trade that waits.
const HELD_BYTES: usize = 128;
/// Of the memory for rows, trades that wait may have one part in so many.
const HELD_SHARE: usize = 4;

/// Markets, and the store that their rows go to.
pub(crate) struct Core {
    store: Store,
    reader: Reader,
    rules: Rules,
    metrics: Arc<Metrics>,
    /// By [`SymbolIndex`].
    symbols: Vec<Recorded>,
    /// By venue, as in [`Metrics::venues`].
    provability: Vec<Provability>,
    by_series: HashMap<SeriesId, (SymbolIndex, Stream)>,
    /// Connections whose frames are counted.
    lines: BTreeMap<ConnectionId, Line>,
    /// Symbols of which something arrived since the last flush.
    changed: Vec<SymbolIndex>,
    shares: Shares,
    memory_limit_bytes: usize,
    /// Trades that wait, in all markets.
    held: usize,
    /// Number of the last question.
    asked: u64,
    questions: VecDeque<Question>,
    suspicions: VecDeque<(SymbolIndex, Stream)>,
    effects: Vec<Effect>,
    bytes_written: u64,
}

struct Recorded {
    venue: Arc<VenueMetrics>,
    /// Index into `Core::provability`.
    venue_index: usize,
    market: Market,
    md: SeriesHandle<MdRow>,
    trades: SeriesHandle<TradeRow>,
    trades_id: SeriesId,
    md_id: SeriesId,
    changed: bool,
    /// Streams whose rows are dropped because their files alone cannot be written.
    cut: [bool; 2],
}

/// A connection that counts its frames.
#[derive(Default)]
struct Line {
    /// Number of its newest frame, and when that arrived, ns.
    newest: Option<(u64, u64)>,
    /// When it was last told what this proves, ns.
    told_ns: u64,
    symbols: Vec<SymbolIndex>,
}

impl Core {
    /// Opens the series of all symbols and goes on after what their files hold. `asks`: somebody answers questions.
    pub(crate) fn new(
        mut store: Store,
        recording: &Recording,
        symbols: &Symbols,
        metrics: Arc<Metrics>,
        asks: bool,
        now_ns: u64,
    ) -> Result<Core, LoggerError> {
        let mut recorded = Vec::new();
        let mut by_series = HashMap::new();
        for (index, symbol) in symbols.iter() {
            let opened = Recorded::open(&mut store, symbol, &metrics, now_ns)?;
            by_series.insert(opened.md_id.clone(), (index, Stream::Quotes));
            by_series.insert(opened.trades_id.clone(), (index, Stream::Trades));
            recorded.push(opened);
        }
        let venues = metrics.venues.iter();
        let provability =
            venues.map(|venue| Provability::new(venue.exchange, venue.completeness.provable.clone())).collect();
        let mut core = Core {
            store,
            reader: Reader::open(&recording.data_path)?,
            rules: Rules::new(&recording.completeness, recording.large_trade, asks),
            metrics,
            symbols: recorded,
            provability,
            by_series,
            lines: BTreeMap::new(),
            changed: Vec::new(),
            shares: Shares::default(),
            memory_limit_bytes: recording.memory_limit_bytes,
            held: 0,
            asked: 0,
            questions: VecDeque::new(),
            suspicions: VecDeque::new(),
            effects: Vec::new(),
            bytes_written: 0,
        };
        for (index, symbol) in symbols.iter() {
            core.resume(index, symbol, now_ns)?;
        }
        Ok(core)
    }

    fn resume(&mut self, index: SymbolIndex, symbol: &Symbol, now_ns: u64) -> Result<(), LoggerError> {
        let Some(recorded) = self.symbols.get(index) else { return Ok(()) };
        let last_trade_ns = self.store.last_time_ns(recorded.trades);
        let mut ids = self.store.last_cells(recorded.trades, "id", REMEMBERED as u64)?;
        // 0 is an unknown id.
        ids.retain(|id| *id != 0);
        let trades = Stored { reader: &self.reader, series: &recorded.trades_id };
        let mut gaps = trades.gaps(Stream::Trades, now_ns.max(last_trade_ns))?;
        if symbol.venue.facts().trade_ids == IdRule::Contiguous {
            let resumed = trades.trade_ids(&ids, &mut gaps, last_trade_ns, symbol.aggregates)?;
            if let Some(resumed) = resumed {
                // A lost one below what is known can be told from a filled one by nobody.
                let floor = resumed.floor();
                gaps.retain(|gap| match gap.state {
                    GapState::Open => true,
                    GapState::Lost => gap.from_id.is_some_and(|from| from >= floor),
                    GapState::Filled => false,
                });
                self.with(index, now_ns, |market, context| {
                    market.trades.resume_ids(resumed, gaps, last_trade_ns, context);
                });
            }
        } else {
            let covered_ns = trades.proven_ns(Proof::Sequence, last_trade_ns, now_ns)?;
            let proven_ns = (covered_ns, last_trade_ns.min(now_ns));
            let open = gaps.into_iter().filter(|gap| gap.state == GapState::Open && gap.from_id.is_none()).collect();
            let ids = UniqueIds::resume(&ids);
            self.with(index, now_ns, |market, context| market.trades.resume_times(ids, open, proven_ns, context));
        }
        let Some(recorded) = self.symbols.get(index) else { return Ok(()) };
        let last_md_ns = self.store.last_time_ns(recorded.md);
        let md = Stored { reader: &self.reader, series: &recorded.md_id };
        let gaps = md.gaps(Stream::Quotes, now_ns.max(last_md_ns))?;
        let (open, ended): (Vec<_>, Vec<_>) = gaps.into_iter().partition(|gap| gap.state == GapState::Open);
        // An interval ends with a quote.
        let ended_ns = ended.iter().map(|gap| gap.to_ns).max().unwrap_or(0);
        let quote_ns = self.last_quote_ns(recorded, last_md_ns)?.max(ended_ns);
        let proven_ns = md.proven_ns(Proof::Live, last_md_ns, now_ns)?.max(quote_ns.min(now_ns));
        self.with(index, now_ns, |market, context| market.quotes.resume(proven_ns, open, context));
        Ok(())
    }

    /// When the newest row of a quote arrived, ns. Rows of trades prove nothing: another connection may have brought them. If no
    /// row of those that are looked at is surely a quote, the oldest of them counts: what comes first is one.
    fn last_quote_ns(&self, recorded: &Recorded, last_md_ns: u64) -> Result<u64, LoggerError> {
        let [kinds, receive_ns] =
            ["kind", "receive_ns"].map(|column| self.store.last_cells(recorded.md, column, REMEMBERED as u64));
        let (kinds, receive_ns) = (kinds?, receive_ns?);
        let quote = kinds.iter().rposition(|kind| *kind == MdKind::Quote as u64).unwrap_or(0);
        // Directories of the first programs have no such columns.
        Ok(receive_ns.get(quote).copied().filter(|ns| *ns > 0).unwrap_or(last_md_ns).min(last_md_ns))
    }

    /// Takes in a batch.
    pub(crate) fn batch(&mut self, batch: &Batch, now_ns: u64) {
        for received in &batch.facts {
            self.fact(batch, received, now_ns);
        }
        if let Some(sequence) = batch.sequence
            && let Some(line) = self.lines.get_mut(&batch.connection)
        {
            line.newest = Some((sequence, batch.facts.last().map_or(now_ns, |received| received.receive_ns)));
        }
    }

    fn fact(&mut self, batch: &Batch, received: &Received, now_ns: u64) {
        let symbol = received.symbol;
        let Some(recorded) = self.symbols.get_mut(symbol) else { return };
        if !recorded.changed {
            recorded.changed = true;
            self.changed.push(symbol);
        }
        let [cut_trades, cut_quotes] = recorded.cut;
        match &received.fact {
            Fact::Trade(_) if cut_trades => return recorded.venue.dropped(DropReason::Memory, 1),
            Fact::Quote(_) if cut_quotes => return recorded.venue.dropped(DropReason::Memory, 1),
            Fact::Fill(fill) if cut_trades => {
                self.with(symbol, now_ns, |market, context| market.trades.fill_refused(fill, context));
                return;
            }
            Fact::Live(Stream::Trades) if batch.sequence.is_some() => {
                let line = self.lines.entry(batch.connection).or_default();
                if !line.symbols.contains(&symbol) {
                    line.symbols.push(symbol);
                }
            }
            Fact::Lost { stream: Stream::Trades, .. } => self.leave_line(batch.connection, symbol, now_ns),
            _ => {}
        }
        self.with(symbol, now_ns, |market, context| {
            market.take(batch.connection, batch.sequence, received, context);
        });
    }

    /// The connection carries the symbol no more; up to here nothing of it was missing.
    fn leave_line(&mut self, connection: ConnectionId, symbol: SymbolIndex, now_ns: u64) {
        let Some(line) = self.lines.get_mut(&connection) else { return };
        line.symbols.retain(|carried| *carried != symbol);
        let newest = line.newest;
        if line.symbols.is_empty() {
            self.lines.remove(&connection);
        }
        if let Some((to, to_ns)) = newest {
            self.with(symbol, now_ns, |market, context| {
                market.trades.cover_sequence(connection, to, to_ns, context);
            });
        }
    }

    /// Does what time makes due.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        for symbol in 0..self.symbols.len() {
            self.with(symbol, now_ns, Market::tick);
        }
        if self.held * HELD_BYTES > self.memory_limit_bytes / HELD_SHARE {
            for symbol in 0..self.symbols.len() {
                self.with(symbol, now_ns, |market, context| {
                    if market.trades.held() > 0 {
                        context.venue.completeness.holds_cut.inc();
                        market.trades.release(context);
                    }
                });
            }
        }
    }

    /// Brings the gauges that age by themselves up to date.
    pub(crate) fn refresh(&mut self, now_ns: u64) {
        let mut open = vec![0; self.provability.len()];
        for symbol in 0..self.symbols.len() {
            self.with(symbol, now_ns, |market, context| market.refresh(context));
            let Some(recorded) = self.symbols.get(symbol) else { continue };
            if let Some(open) = open.get_mut(recorded.venue_index) {
                *open += recorded.market.trades.open_gaps() + recorded.market.quotes.open_gaps();
            }
        }
        for (venue, open) in self.metrics.venues.iter().zip(open) {
            venue.completeness.open_gaps.set(i64::try_from(open).unwrap_or(i64::MAX));
        }
        self.metrics.record.held.set(i64::try_from(self.held).unwrap_or(i64::MAX));
    }

    /// Brings all rows to the files that do not wait for a fill, and tells what they prove.
    ///
    /// # Errors
    /// As [`Store::flush`]; the rows stay in memory.
    pub(crate) fn flush(&mut self, now_ns: u64) -> Result<(), StoreError> {
        self.cover(now_ns);
        let (metrics, bytes_written) = (&self.metrics, &mut self.bytes_written);
        let mut any_written = false;
        let result = self.store.flush(|series, written| {
            *bytes_written += written.bytes;
            any_written = true;
            if let Ok(venue) = metrics.venue(&series.exchange) {
                venue.written(series.table, written.rows, written.bytes);
            }
        });
        self.share_memory(any_written, result.is_err(), now_ns);
        result
    }

    fn cover(&mut self, now_ns: u64) {
        for symbol in std::mem::take(&mut self.changed) {
            self.with(symbol, now_ns, Market::cover);
            if let Some(recorded) = self.symbols.get_mut(symbol) {
                recorded.changed = false;
            }
        }
        let mut due = Vec::new();
        for (connection, line) in &mut self.lines {
            if let Some((to, to_ns)) = line.newest
                && now_ns.saturating_sub(line.told_ns) >= SEQUENCE_INTERVAL
            {
                line.told_ns = now_ns;
                due.extend(line.symbols.iter().map(|symbol| (*symbol, *connection, to, to_ns)));
            }
        }
        for (symbol, connection, to, to_ns) in due {
            self.with(symbol, now_ns, |market, context| {
                market.trades.cover_sequence(connection, to, to_ns, context);
            });
        }
    }

    /// A series that alone cannot be written must not use up the memory of all others: beyond its share its rows are dropped,
    /// counted, and recorded as a gap.
    fn share_memory(&mut self, any_written: bool, failed: bool, now_ns: u64) {
        if !failed && self.shares.is_idle() {
            return;
        }
        let failing =
            if failed { self.store.pending().map(|(id, rows)| (id.clone(), rows)).collect() } else { Vec::new() };
        let cut = self.shares.judge(failing, any_written, self.memory_limit_bytes);
        for (id, cut) in cut {
            let Some((symbol, stream)) = self.by_series.get(&id).copied() else { continue };
            let recorded = self.symbols.get_mut(symbol);
            if let Some(is_cut) =
                recorded.and_then(|recorded| recorded.cut.get_mut(usize::from(stream == Stream::Quotes)))
            {
                *is_cut = cut;
            }
            if cut {
                error!(series = %id, "these files alone cannot be written: rows of them are dropped until they can");
            }
            self.with(symbol, now_ns, |market, context| match stream {
                Stream::Trades if cut => market.trades.cut("memory full", now_ns, context),
                Stream::Trades => market.trades.restored(context),
                Stream::Quotes if cut => market.quotes.cut("memory full", context),
                Stream::Quotes => {}
            });
        }
    }

    /// Makes what is flushed durable.
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.store.sync()
    }

    /// Begins to make what is flushed durable, while recording goes on.
    ///
    /// # Errors
    /// As [`Store::begin_sync`].
    pub(crate) fn begin_sync(&mut self) -> Result<(), StoreError> {
        self.store.begin_sync()
    }

    /// How that went; none while it is under way.
    pub(crate) fn end_sync(&mut self) -> Option<Result<(), StoreError>> {
        self.store.end_sync()
    }

    /// Nothing more comes: no trade waits any longer. Flush and [`Core::finish`] are to follow.
    pub(crate) fn release(&mut self, now_ns: u64) {
        for symbol in 0..self.symbols.len() {
            self.with(symbol, now_ns, |market, context| {
                market.trades.release(context);
                market.cover(context);
            });
        }
        self.lines.values_mut().for_each(|line| line.told_ns = 0);
        self.cover(now_ns);
    }

    /// Makes everything durable that was flushed, with all that is claimed of it.
    ///
    /// # Errors
    /// As [`Store::finish`].
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        self.store.finish()
    }

    /// Questions that are to be asked, oldest first; of each symbol there is one at most.
    pub(crate) fn questions(&mut self) -> &mut VecDeque<Question> {
        &mut self.questions
    }

    /// Streams that should be subscribed anew.
    pub(crate) fn suspicions(&mut self) -> &mut VecDeque<(SymbolIndex, Stream)> {
        &mut self.suspicions
    }

    /// Bytes that rows and waiting trades take at most: the buffers of rows grow by doubling.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.pending_bytes().saturating_mul(2).saturating_add(self.held * HELD_BYTES)
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    pub(crate) fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Whether something of a day of the series may still be filled in.
    pub(crate) fn has_open_gap(&self, id: &SeriesId, before_ns: u64) -> bool {
        let Some(recorded) = self.by_series.get(id).and_then(|(symbol, _)| self.symbols.get(*symbol)) else {
            return false;
        };
        match id.table {
            Table::Trades => recorded.market.trades.has_open_gap_before(before_ns),
            Table::Md => recorded.market.quotes.has_open_gap_before(before_ns),
        }
    }

    /// Lets a market act, and does what it asks for.
    fn with(&mut self, symbol: SymbolIndex, now_ns: u64, act: impl FnOnce(&mut Market, &mut Context<'_>)) {
        let Some(recorded) = self.symbols.get_mut(symbol) else { return };
        let Some(metrics) = self.metrics.symbols.get(symbol) else { return };
        let Some(provability) = self.provability.get_mut(recorded.venue_index) else { return };
        let held = recorded.market.trades.held();
        let mut context = Context {
            now_ns,
            symbol,
            rules: &self.rules,
            venue: &recorded.venue,
            metrics,
            provability,
            questions: &mut self.asked,
            files: &Stored { reader: &self.reader, series: &recorded.trades_id },
            out: &mut self.effects,
        };
        act(&mut recorded.market, &mut context);
        self.held = (self.held + recorded.market.trades.held()).saturating_sub(held);
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.apply(symbol, effect);
        }
        self.effects = effects;
    }

    fn apply(&mut self, symbol: SymbolIndex, effect: Effect) {
        let Some(recorded) = self.symbols.get(symbol) else { return };
        let (md, trades) = (recorded.md, recorded.trades);
        let result = match effect {
            Effect::Md(row) => dropped(&recorded.venue, self.store.append(md, &row, TimeRule::Live)),
            Effect::Trade(row, rule) => dropped(&recorded.venue, self.store.append(trades, &row, rule)),
            Effect::Gap(gap) if gap.stream == Stream::Trades => self.store.gap(trades, gap),
            Effect::Gap(gap) => self.store.gap(md, gap),
            Effect::Cover(Stream::Trades, range) => self.store.cover(trades, range),
            Effect::Cover(Stream::Quotes, range) => self.store.cover(md, range),
            Effect::Ask(question) => {
                self.questions.push_back(question);
                Ok(())
            }
            Effect::Suspect(stream) => {
                self.suspicions.push_back((symbol, stream));
                Ok(())
            }
        };
        if let Err(error) = result {
            self.metrics.record.refused.inc();
            error!(%error, "something cannot be recorded");
        }
    }
}

/// Counts a row that the store did not take.
fn dropped(venue: &VenueMetrics, result: Result<(), StoreError>) -> Result<(), StoreError> {
    if let Err(error) = result {
        venue.dropped(DropReason::Clock, 1);
        error!(%error, "a row cannot be recorded");
    }
    Ok(())
}

impl Recorded {
    fn open(store: &mut Store, symbol: &Symbol, metrics: &Metrics, now_ns: u64) -> Result<Recorded, LoggerError> {
        let facts = symbol.venue.facts();
        let stored = symbol.venue.stored_symbol(&symbol.name);
        let trades = store.series::<TradeRow>(facts.name, &stored)?;
        let md = store.series::<MdRow>(facts.name, &stored)?;
        for (table, last_ns) in [("MD", store.last_time_ns(md)), ("TRADES", store.last_time_ns(trades))] {
            // Every row would be filed under that time from here on.
            if last_ns > now_ns.saturating_add(FUTURE_LIMIT) {
                let series = format!("{}/{stored}/{table}", facts.name);
                return Err(LoggerError::Future { series, ahead: Duration::from_nanos(last_ns - now_ns) });
            }
        }
        let directory = column_store::layout::symbol_directory(&stored)?;
        let id = |table| SeriesId { exchange: facts.name.to_owned(), symbol: directory.clone(), table };
        let venue = metrics.venue(facts.name)?;
        Ok(Recorded {
            venue: Arc::clone(venue),
            venue_index: metrics.venues.iter().position(|known| Arc::ptr_eq(known, venue)).unwrap_or_default(),
            market: Market::new(facts.trade_ids, facts.quotes_have_time),
            md,
            trades,
            trades_id: id(Table::Trades),
            md_id: id(Table::Md),
            changed: false,
            cut: [false; 2],
        })
    }
}
