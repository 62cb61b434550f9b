//! Which faults each venue is put through, and what must show.

use exchange_simulator::VenueKind;

/// One cell of the matrix: a kind of fault at a venue.
pub(crate) enum Cell {
    /// It is put through these.
    Runs(Vec<Plan>),
    /// It cannot happen there, and why.
    Never(&'static str),
}

/// One run.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Tells it from others of the same kind.
    pub(crate) name: &'static str,
    /// Faults that are there when the logger starts, as text without a venue; `{symbol}` is the venue's first symbol.
    pub(crate) before: Vec<&'static str>,
    /// Faults that come over a logger that records everything.
    pub(crate) during: Vec<&'static str>,
    /// The first symbol is never recorded: the venue does not have it.
    pub(crate) refused: bool,
    /// What must show beside whole files.
    pub(crate) shows: Vec<Shows>,
}

/// What a fault shows in the metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shows {
    /// `connection_status` falls to 0 within 2 s and is 1 again at the end.
    Down,
    /// No connection ends.
    NoReconnect,
    /// A connection is opened anew.
    Reconnect,
    /// An error of this type is counted.
    Error(&'static str),
    /// No error of this type is counted.
    NoError(&'static str),
    /// At least so many frames are not understood.
    ParseErrors(u64),
    /// `data_freshness_seconds` rises above 1.5 s.
    Stale,
    /// Trades come that were there already.
    Duplicates,
    /// Clock skew is counted.
    Skew,
    /// Event times fall.
    OutOfOrder,
    /// Latencies in the histogram do not sum up to less than they were.
    Latency,
    /// Missing trades are counted and filled.
    Filled,
    /// Trades are missing for ever, and are told to be.
    Lost,
    /// No gap is counted at all.
    NoGap,
}

use Shows::*;

fn plan(name: &'static str, during: &[&'static str], shows: &[Shows]) -> Plan {
    Plan { name, before: Vec::new(), during: during.to_vec(), refused: false, shows: shows.to_vec() }
}

fn started_with(name: &'static str, before: &[&'static str], shows: &[Shows]) -> Plan {
    Plan { name, before: before.to_vec(), during: Vec::new(), refused: false, shows: shows.to_vec() }
}

/// Kinds of faults, by their names on the command line.
pub(crate) const KINDS: [&str; 17] = [
    "stall",
    "ack-silence",
    "close",
    "reset",
    "ping-flood",
    "corrupt",
    "oversized",
    "out-of-order",
    "duplicate",
    "gap",
    "notice",
    "maintenance",
    "http",
    "glued",
    "bad-symbol",
    "clock-skew",
    "slow-rest",
];

/// The cell of a kind and a venue.
pub(crate) fn cell(kind: &str, venue: VenueKind) -> Cell {
    use VenueKind::{Binance, Bitfinex, Coinbase, Kraken, Okx};
    // Where each connection or channel counts or chains what it sends, also lost quotes show.
    let counts_frames = venue == Bitfinex;
    let plans = match kind {
        "stall" => vec![
            // Where only REST shows that something is amiss, subscribing anew is tried before connecting anew.
            plan(
                "all",
                &["stall"],
                if matches!(venue, Binance | Okx) { &[Stale, Filled] } else { &[Reconnect, Stale, Filled] },
            ),
            plan("one symbol", &["stall:symbol={symbol}"], &[Stale, Filled]),
        ],
        "ack-silence" => vec![
            plan("after a reconnect", &["ack-silence:for=1s", "close"], &[Reconnect, Filled]),
            plan(
                "one symbol after a reconnect",
                &["ack-silence:for=1s,symbol={symbol}", "close"],
                &[Reconnect, Filled],
            ),
            // Binance and OKX promise nothing after the acknowledgement: what never comes is suspected after a minute.
            started_with("from the start", &["ack-silence:for=1s"], &[]),
            started_with("one symbol from the start", &["ack-silence:for=1s,symbol={symbol}"], &[]),
        ],
        "close" => vec![plan("refused meanwhile", &["close:refuse=1s"], &[Down, Reconnect, Error("closed"), Filled])],
        "reset" => vec![
            plan("refused meanwhile", &["reset:refuse=1s"], &[Down, Reconnect, Error("broken"), Filled]),
            plan("at once", &["reset"], &[Reconnect, Error("broken")]),
        ],
        "ping-flood" => vec![plan("", &["ping-flood"], &[NoReconnect, NoGap])],
        "corrupt" => {
            let mut plans = vec![plan("trades", &["corrupt:times=3,stream=trades"], &[ParseErrors(3), Filled])];
            if matches!(venue, Coinbase | Bitfinex) {
                plans.push(plan("books", &["corrupt:times=3,stream=quotes"], &[ParseErrors(3)]));
            }
            plans
        }
        "oversized" => vec![plan("", &["oversized"], &[Reconnect, Filled])],
        "out-of-order" => vec![plan("trades", &["out-of-order:times=3"], &[])],
        "duplicate" => {
            vec![plan("trades", &["duplicate:times=3"], if counts_frames { &[] } else { &[Duplicates, NoGap] })]
        }
        "gap" => {
            let mut plans = vec![
                plan("REST can fill it", &["gap:times=20"], &[NoReconnect, Filled]),
                // Each gap of Bitfinex' frames is one of all symbols, and REST answers few questions a minute.
                plan(
                    "REST cannot",
                    &[if counts_frames { "gap:times=4,rest=no" } else { "gap:times=20,rest=no" }],
                    &[Lost],
                ),
            ];
            if counts_frames {
                plans.push(plan("quotes", &["gap:times=3,stream=quotes"], &[]));
            }
            plans
        }
        "notice" => match venue {
            Binance | Okx | Bitfinex => {
                vec![plan("", &["notice:lead=2s"], &[Reconnect, NoError("closed"), NoError("broken")])]
            }
            Coinbase => return Cell::Never("Coinbase announces nothing"),
            Kraken => return Cell::Never("Kraken announces maintenance only"),
        },
        "maintenance" => match venue {
            Kraken => vec![plan("", &["maintenance:for=2s"], &[Filled])],
            Bitfinex => vec![
                plan("subscriptions forgotten", &["maintenance:for=2s"], &[Filled]),
                plan("subscriptions kept", &["maintenance:keeps=yes,for=2s"], &[Filled]),
            ],
            _ => return Cell::Never("the venue's protocol has no such announcement"),
        },
        "http" => vec![
            plan("429", &["http:status=429,retry-after=1s,for=2s", "close"], &[Down, Reconnect, Filled]),
            plan("418", &["http:status=418,retry-after=2s,times=2", "reset"], &[Down, Reconnect, Filled]),
            plan("503 of REST", &["http:status=503,retry-after=none,on=rest,for=2s", "gap:times=5"], &[Filled]),
        ],
        "glued" => vec![plan("", &["glued", "close"], &[Reconnect])],
        "bad-symbol" => vec![
            Plan { refused: true, ..started_with("alone", &["bad-symbol:symbol={symbol}"], &[]) },
            Plan { refused: true, ..started_with("with its batch", &["bad-symbol:symbol={symbol},batch=yes"], &[]) },
        ],
        "clock-skew" => vec![
            plan("ahead", &["clock-skew:by=3s,for=2s"], &[Skew, NoReconnect, NoGap]),
            plan("behind", &["clock-skew:by=-3s,for=2s"], &[Latency, OutOfOrder, NoReconnect, NoGap]),
            plan("a day behind", &["clock-skew:by=-1day,for=1s"], &[OutOfOrder, NoReconnect, NoGap]),
        ],
        "slow-rest" => vec![plan("", &["slow-rest:delay=2s,for=6s", "gap:times=20"], &[Filled])],
        unknown => panic!("{unknown} is no kind of fault"),
    };
    Cell::Runs(if counts_frames { plans.into_iter().map(sparing).collect() } else { plans })
}

/// Each jump of Bitfinex' frames is a question about every symbol, and REST answers few of them a minute: fewer messages are hit.
fn sparing(plan: Plan) -> Plan {
    let fewer = |text: &'static str| match text {
        "corrupt:times=3,stream=trades" => "corrupt:times=1,stream=trades",
        "out-of-order:times=3" => "out-of-order",
        "duplicate:times=3" => "duplicate",
        "gap:times=20" | "gap:times=5" => "gap:times=2",
        other => other,
    };
    let during = plan.during.into_iter().map(fewer).collect();
    let shows = plan.shows.into_iter().map(|shows| if shows == ParseErrors(3) { ParseErrors(1) } else { shows });
    // Whether what is hit is a trade or its confirmation, which loses nothing, is chance.
    let shows = shows.filter(|shows| *shows != Filled && *shows != Lost).collect();
    Plan { during, shows, ..plan }
}
