//! Facts as JSON, exact to the bit.

use column_store::Stream;
use exchange_protocol::Side;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::received::{Fact, Fill, FillEnd, LostWhy, QuoteFact, Received, SymbolIndex, TradeFact};

/// A fact about a symbol.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactLine {
    symbol: SymbolIndex,
    receive_ns: u64,
    #[serde(rename = "is")]
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum What {
    Trade(TradeLine),
    Quote(QuoteLine),
    LastTrade(u64),
    Alive(Stream),
    Renumbered,
    Live(Stream),
    Lost { stream: Stream, why: WhyLine, proven_ns: u64 },
    Fill { question: u64, trades: Vec<TradeLine>, end: Option<EndLine> },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhyLine {
    Disconnected,
    Broken,
    Dead,
    Sequence,
    Ended,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndLine {
    Answered,
    Failed,
    Unsupported,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SideLine {
    Buy,
    Sell,
}

#[derive(Debug, Serialize, Deserialize)]
struct TradeLine {
    first_id: u64,
    id: u64,
    event_ns: u64,
    price: Exact,
    size: Exact,
    taker: SideLine,
    #[serde(default, skip_serializing_if = "is_nil")]
    maker_order_id: [u8; 16],
    #[serde(default, skip_serializing_if = "is_nil")]
    taker_order_id: [u8; 16],
    #[serde(default, skip_serializing_if = "is_false")]
    snapshot: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct QuoteLine {
    update_id: u64,
    event_ns: u64,
    bid: Exact,
    bid_size: Exact,
    ask: Exact,
    ask_size: Exact,
}

fn is_nil(id: &[u8; 16]) -> bool {
    *id == [0; 16]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A float as text: the shortest digits that give it back, which the standard library's parser does to the bit. JSON has
/// no NaN.
#[derive(Clone, Copy, Debug)]
struct Exact(f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Exact).map_err(D::Error::custom)
    }
}

impl From<&TradeFact> for TradeLine {
    fn from(trade: &TradeFact) -> TradeLine {
        let TradeFact { first_id, id, event_ns, price, size, taker, maker_order_id, taker_order_id, snapshot } = *trade;
        let taker = match taker {
            Side::Buy => SideLine::Buy,
            Side::Sell => SideLine::Sell,
        };
        let (price, size) = (Exact(price), Exact(size));
        TradeLine { first_id, id, event_ns, price, size, taker, maker_order_id, taker_order_id, snapshot }
    }
}

impl From<TradeLine> for TradeFact {
    fn from(line: TradeLine) -> TradeFact {
        let TradeLine { first_id, id, event_ns, price, size, taker, maker_order_id, taker_order_id, snapshot } = line;
        let taker = match taker {
            SideLine::Buy => Side::Buy,
            SideLine::Sell => Side::Sell,
        };
        let (price, size) = (price.0, size.0);
        TradeFact { first_id, id, event_ns, price, size, taker, maker_order_id, taker_order_id, snapshot }
    }
}

impl From<&Received> for FactLine {
    fn from(received: &Received) -> FactLine {
        let Received { symbol, receive_ns, fact } = received;
        let what = match fact {
            Fact::Trade(trade) => What::Trade(trade.into()),
            Fact::Quote(quote) => {
                let QuoteFact { update_id, event_ns, bid, bid_size, ask, ask_size } = *quote;
                let [bid, bid_size, ask, ask_size] = [bid, bid_size, ask, ask_size].map(Exact);
                What::Quote(QuoteLine { update_id, event_ns, bid, bid_size, ask, ask_size })
            }
            Fact::LastTrade { id } => What::LastTrade(*id),
            Fact::Alive(stream) => What::Alive(*stream),
            Fact::Renumbered => What::Renumbered,
            Fact::Live(stream) => What::Live(*stream),
            Fact::Lost { stream, why, proven_ns } => {
                let why = match why {
                    LostWhy::Disconnected => WhyLine::Disconnected,
                    LostWhy::Broken => WhyLine::Broken,
                    LostWhy::Dead => WhyLine::Dead,
                    LostWhy::Sequence => WhyLine::Sequence,
                    LostWhy::Ended => WhyLine::Ended,
                };
                What::Lost { stream: *stream, why, proven_ns: *proven_ns }
            }
            Fact::Fill(Fill { question, trades, end }) => {
                let end = end.map(|end| match end {
                    FillEnd::Answered => EndLine::Answered,
                    FillEnd::Failed => EndLine::Failed,
                    FillEnd::Unsupported => EndLine::Unsupported,
                });
                What::Fill { question: *question, trades: trades.iter().map(TradeLine::from).collect(), end }
            }
        };
        FactLine { symbol: *symbol, receive_ns: *receive_ns, what }
    }
}

impl From<FactLine> for Received {
    fn from(line: FactLine) -> Received {
        let fact = match line.what {
            What::Trade(trade) => Fact::Trade(trade.into()),
            What::Quote(quote) => {
                let QuoteLine { update_id, event_ns, bid, bid_size, ask, ask_size } = quote;
                let [bid, bid_size, ask, ask_size] = [bid, bid_size, ask, ask_size].map(|Exact(value)| value);
                Fact::Quote(QuoteFact { update_id, event_ns, bid, bid_size, ask, ask_size })
            }
            What::LastTrade(id) => Fact::LastTrade { id },
            What::Alive(stream) => Fact::Alive(stream),
            What::Renumbered => Fact::Renumbered,
            What::Live(stream) => Fact::Live(stream),
            What::Lost { stream, why, proven_ns } => {
                let why = match why {
                    WhyLine::Disconnected => LostWhy::Disconnected,
                    WhyLine::Broken => LostWhy::Broken,
                    WhyLine::Dead => LostWhy::Dead,
                    WhyLine::Sequence => LostWhy::Sequence,
                    WhyLine::Ended => LostWhy::Ended,
                };
                Fact::Lost { stream, why, proven_ns }
            }
            What::Fill { question, trades, end } => {
                let end = end.map(|end| match end {
                    EndLine::Answered => FillEnd::Answered,
                    EndLine::Failed => FillEnd::Failed,
                    EndLine::Unsupported => FillEnd::Unsupported,
                });
                Fact::Fill(Fill { question, trades: trades.into_iter().map(TradeFact::from).collect(), end })
            }
        };
        Received { symbol: line.symbol, receive_ns: line.receive_ns, fact }
    }
}
