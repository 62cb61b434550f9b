//! What went over a connection, beside the facts that came of it.

use exchange_protocol::{Stream, Subscription};

/// What went over a connection since the batch before, and how the batch's facts came of it: decoding it again gives the
/// facts again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wire {
    items: Vec<WireItem>,
    bytes: usize,
}

/// One step. Facts are counted where they come about, in the batch's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireItem {
    /// The connection was opened, to the venue of this name.
    Opened(String),
    /// The connection is gone.
    Closed,
    /// The session was made to subscribe to these.
    Subscribe(Vec<Subscription>),
    /// The session was made to unsubscribe from these.
    Unsubscribe(Vec<Subscription>),
    /// A text frame arrived, at this time by our clock, ns since the Unix epoch.
    Frame { receive_ns: u64, text: String },
    /// So many events of the newest frame are the batch's next facts.
    Kept(u32),
    /// So many events of the newest frame became no facts.
    Left(u32),
    /// So many of the batch's next facts come from the feed itself.
    Own(u32),
}

impl Wire {
    /// That of a connection to an exchange that was just opened.
    pub(crate) fn opened(exchange: &str) -> Wire {
        Wire::of(vec![WireItem::Opened(exchange.to_owned())])
    }

    /// As read from a capture.
    pub(crate) fn of(items: Vec<WireItem>) -> Wire {
        let bytes = items.iter().map(size).sum();
        Wire { items, bytes }
    }

    pub(crate) fn items(&self) -> &[WireItem] {
        &self.items
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that it holds, give or take some.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn closed(&mut self) {
        self.push(WireItem::Closed);
    }

    pub(crate) fn subscribe(&mut self, wanted: &[Subscription]) {
        self.push(WireItem::Subscribe(wanted.to_vec()));
    }

    pub(crate) fn unsubscribe(&mut self, unwanted: &[Subscription]) {
        self.push(WireItem::Unsubscribe(unwanted.to_vec()));
    }

    pub(crate) fn frame(&mut self, receive_ns: u64, text: &str) {
        self.push(WireItem::Frame { receive_ns, text: text.to_owned() });
    }

    /// The newest frame's next event became a fact.
    pub(crate) fn kept(&mut self) {
        match self.items.last_mut() {
            Some(WireItem::Kept(count)) => *count += 1,
            _ => self.push(WireItem::Kept(1)),
        }
    }

    /// The newest frame's next event, which could be a fact, became none.
    pub(crate) fn left(&mut self) {
        match self.items.last_mut() {
            Some(WireItem::Left(count)) => *count += 1,
            _ => self.push(WireItem::Left(1)),
        }
    }

    /// The feed said something itself.
    pub(crate) fn own(&mut self) {
        match self.items.last_mut() {
            Some(WireItem::Own(count)) => *count += 1,
            _ => self.push(WireItem::Own(1)),
        }
    }

    fn push(&mut self, item: WireItem) {
        self.bytes += size(&item);
        self.items.push(item);
    }
}

fn size(item: &WireItem) -> usize {
    size_of::<WireItem>()
        + match item {
            WireItem::Frame { text, .. } => text.len(),
            WireItem::Subscribe(of) | WireItem::Unsubscribe(of) => 32 * of.len(),
            _ => 0,
        }
}

/// A stream's name in captures.
pub(crate) fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Trades => "trades",
        Stream::AggregatedTrades => "aggregated_trades",
        Stream::Quotes => "quotes",
    }
}

/// The stream of that name.
pub(crate) fn stream(name: &str) -> Option<Stream> {
    [Stream::Trades, Stream::AggregatedTrades, Stream::Quotes].into_iter().find(|stream| stream_name(*stream) == name)
}
