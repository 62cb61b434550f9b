//! The one list of tables and columns: which columns a table has, how wide each is, and how a row fills them.

use crate::row_time::RowTime;

/// What a cell is, and so how wide: all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 4 bytes, unsigned.
    U32,
    /// 8 bytes, unsigned.
    U64,
    /// 4 bytes, IEEE 754.
    F32,
    /// 8 bytes, IEEE 754.
    F64,
    /// 16 bytes of a UUID in RFC 4122 order; nil means none.
    Uuid,
}

impl Kind {
    /// Bytes per row.
    pub const fn width(self) -> usize {
        match self {
            Kind::U32 | Kind::F32 => 4,
            Kind::U64 | Kind::F64 => 8,
            Kind::Uuid => 16,
        }
    }

    /// The cell that says "unknown": NaN for floats, 0 for the rest. A column that a day lacked is padded with it.
    pub(crate) fn unknown(self) -> Vec<u8> {
        match self {
            Kind::F32 => f32::NAN.to_le_bytes().to_vec(),
            Kind::F64 => f64::NAN.to_le_bytes().to_vec(),
            Kind::U32 | Kind::U64 | Kind::Uuid => vec![0; self.width()],
        }
    }
}

/// One column of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, which begins its file names.
    pub name: &'static str,
    /// What its cells are.
    pub kind: Kind,
}

/// The tables that a symbol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The state of the market after each quote and each trade.
    Md,
    /// Every trade.
    Trades,
}

impl Table {
    /// All tables.
    pub const ALL: [Table; 2] = [Table::Md, Table::Trades];

    /// The table's directory name, which is also its name in the data API.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Md => "MD",
            Table::Trades => "TRADES",
        }
    }

    /// The table with that name.
    pub fn from_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its columns; the first is always `time`, the second `nanos` where there is one.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Table::Md => MdRow::COLUMNS,
            Table::Trades => TradeRow::COLUMNS,
        }
    }

    /// The column with the venue's id of each row; 0 where it gave none.
    pub const fn id_column(self) -> &'static str {
        match self {
            Table::Md => "event_id",
            Table::Trades => "id",
        }
    }

    /// The column with that name.
    pub fn column(self, name: &str) -> Option<&'static Column> {
        self.columns().iter().find(|column| column.name == name)
    }
}

/// Who took liquidity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Side {
    /// The taker bought.
    Buy = 0,
    /// The taker sold.
    Sell = 1,
    /// No trade seen yet, or the venue does not say.
    Unknown = 2,
}

/// What made an `MD` row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MdKind {
    /// The best bid or ask changed.
    Quote = 0,
    /// A trade happened.
    Trade = 1,
    /// The state as first told after subscribing; its event may be old.
    Snapshot = 2,
}

/// The market's state after an event. Prices and sizes are the correctly rounded `f64` of the venue's decimals; NaN is
/// unknown, 0 an unknown id or time.
#[derive(Clone, Debug, PartialEq)]
pub struct MdRow {
    /// What made the row.
    pub kind: MdKind,
    /// The trade's id, or the quote's update id.
    pub event_id: u64,
    /// The venue's timestamp, ns since the Unix epoch.
    pub event_ns: u64,
    /// Our clock when the frame arrived, ns since the Unix epoch.
    pub receive_ns: u64,
    /// Price of the last trade.
    pub price: f64,
    /// Size of the last trade, base currency.
    pub volume: f64,
    /// Taker side of the last trade.
    pub side: Side,
    /// Best bid price.
    pub best_bid: f64,
    /// Best ask price.
    pub best_ask: f64,
    /// Size at the best bid, base currency.
    pub bid_size: f64,
    /// Size at the best ask, base currency.
    pub ask_size: f64,
}

/// One trade. Numbers as in [`MdRow`].
#[derive(Clone, Debug, PartialEq)]
pub struct TradeRow {
    /// The venue's trade id; of an aggregate, its last.
    pub id: u64,
    /// The venue's timestamp, ns since the Unix epoch.
    pub event_ns: u64,
    /// Our clock when the frame arrived, ns since the Unix epoch.
    pub receive_ns: u64,
    /// Price.
    pub price: f64,
    /// Size, base currency.
    pub size: f64,
    /// Taker side.
    pub side: Side,
    /// Maker's order id, RFC 4122 bytes; nil = none.
    pub maker_order_id: [u8; 16],
    /// Taker's order id, RFC 4122 bytes; nil = none.
    pub taker_order_id: [u8; 16],
}

/// A row of one of the tables.
pub trait Row {
    /// The table it belongs to.
    const TABLE: Table;
    /// The table's columns, in the order in which [`Row::put`] fills them.
    const COLUMNS: &'static [Column];

    /// The venue's timestamp, ns since the Unix epoch, 0 if unknown.
    fn event_ns(&self) -> u64;
    /// Our clock when the frame arrived, ns since the Unix epoch.
    fn receive_ns(&self) -> u64;
    /// Appends the cells of all columns, one behind the other; `time` is the row's place in the search key.
    fn put(&self, time: RowTime, row: &mut Vec<u8>);
}

trait Cell {
    const KIND: Kind;
    /// Writes itself to the beginning of `place` and returns what is behind it.
    fn put(self, place: &mut [u8]) -> &mut [u8];
}

macro_rules! cell {
    ($($kind:ident: $type:ty = |$cell:ident| $bytes:expr,)*) => {
        $(impl Cell for $type {
            const KIND: Kind = Kind::$kind;
            fn put(self, place: &mut [u8]) -> &mut [u8] {
                let $cell = self;
                match place.split_first_chunk_mut() {
                    Some((place, rest)) => {
                        *place = $bytes;
                        rest
                    }
                    None => &mut [],
                }
            }
        })*
    };
}
cell! {
    U32: u32 = |cell| cell.to_le_bytes(),
    U64: u64 = |cell| cell.to_le_bytes(),
    F32: f32 = |cell| cell.to_le_bytes(),
    F64: f64 = |cell| cell.to_le_bytes(),
    Uuid: [u8; 16] = |cell| cell,
}

/// Makes a table's column list and the code that fills it from the same lines.
macro_rules! columns {
    ($row:ident, $table:expr, |$self:ident, $time:ident| { $($name:ident: $cell:ty = $value:expr,)* }) => {
        impl Row for $row {
            const TABLE: Table = $table;
            const COLUMNS: &'static [Column] =
                &[$(Column { name: stringify!($name), kind: <$cell as Cell>::KIND },)*];

            fn event_ns(&self) -> u64 {
                self.event_ns
            }

            fn receive_ns(&self) -> u64 {
                self.receive_ns
            }

            fn put(&self, $time: RowTime, row: &mut Vec<u8>) {
                let $self = self;
                let mut cells = [0; 0 $(+ size_of::<$cell>())*];
                let rest = cells.as_mut_slice();
                $(let cell: $cell = $value;
                let rest = cell.put(rest);)*
                debug_assert!(rest.is_empty(), "a cell is as wide as its type");
                row.extend_from_slice(&cells);
            }
        }
    };
}

columns!(MdRow, Table::Md, |row, time| {
    time: u32 = time.seconds(),
    nanos: u32 = time.nanos(),
    price: f32 = row.price as f32,
    volume: f32 = row.volume as f32,
    side: u32 = row.side as u32,
    best_bid: f32 = row.best_bid as f32,
    best_ask: f32 = row.best_ask as f32,
    kind: u32 = row.kind as u32,
    event_id: u64 = row.event_id,
    event_ns: u64 = row.event_ns,
    receive_ns: u64 = row.receive_ns,
    price_f64: f64 = row.price,
    volume_f64: f64 = row.volume,
    best_bid_f64: f64 = row.best_bid,
    best_ask_f64: f64 = row.best_ask,
    bid_size_f64: f64 = row.bid_size,
    ask_size_f64: f64 = row.ask_size,
});

columns!(TradeRow, Table::Trades, |row, time| {
    time: u32 = time.seconds(),
    nanos: u32 = time.nanos(),
    id: u64 = row.id,
    price: f32 = row.price as f32,
    size: f32 = row.size as f32,
    side: u32 = row.side as u32,
    maker_order_id: [u8; 16] = row.maker_order_id,
    taker_order_id: [u8; 16] = row.taker_order_id,
    event_ns: u64 = row.event_ns,
    receive_ns: u64 = row.receive_ns,
    price_f64: f64 = row.price,
    size_f64: f64 = row.size,
});
