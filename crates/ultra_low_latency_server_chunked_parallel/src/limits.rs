//! Everything that a client could otherwise make grow, in one struct.

use serde::Serialize;

use crate::api_limits::ApiLimits;

/// The limits of the data port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// UTC days that one request may touch (default 366). Every day costs file lookups even where nothing was recorded,
    /// and a range from 0 to the largest second would be 49,711 of them. A year and a day covers any chart.
    pub days: u32,

    /// Columns that one request may name (default 64). The widest table has 17; the rest leaves room for asking twice.
    pub columns: usize,

    /// Column files that one request may need, days times different columns (default 2,048). They stay open until the
    /// answer is sent.
    pub files: usize,

    /// Rows of one answer (default 2,000,000,000). Answers are sent in pieces, so that a long one costs no memory; this is
    /// more than a year of 5 million rows a day.
    pub rows: u64,

    /// Connections open at once (default 1,024); a further one is closed at once. Times two chunks, the HTTP buffers and 64 KiB of HTTP/2
    /// this is what slow clients can make the process hold: about 380 MiB. What connections with many requests at once may hold beside
    /// is [`answer_bytes`](Limits::answer_bytes), and [`small_bytes`](Limits::small_bytes) for each of these requests.
    pub connections: usize,

    /// Requests under way at once on one HTTP/2 connection (default 100, which its specification asks for at least).
    pub http2_streams: u32,

    /// Bytes of an answer that one HTTP/2 stream may hold ready (default 32 KiB), beside its chunks.
    pub http2_send_bytes: usize,

    /// Requests that are being planned at once (default 8); further ones wait. Planning is short and mostly in the page
    /// cache; the bound keeps cold disks from tying up all blocking threads.
    pub plans_at_once: usize,

    /// Chunks that are being read at once (default 32); further ones wait. Apart from the plans, so that large answers
    /// do not hold up small ones.
    pub reads_at_once: usize,

    /// Bytes of a chunk (default 128 KiB). An answer that is not sent out of its files holds at most two: one being sent,
    /// one ahead.
    pub chunk_bytes: usize,

    /// Bytes of large answers that are ready and not sent yet, of all HTTP/2 streams, connections with TLS and answers in other
    /// formats together (default 256 MiB). Further pieces wait until clients have taken theirs; one that takes nothing is cut off
    /// after 30 s.
    pub answer_bytes: usize,

    /// Bytes up to which an answer is read whole and sent at once (default 64 KiB); a longer one is sent out of its files.
    pub small_bytes: usize,

    /// Bytes of sealed days that are kept in memory (default 64 MiB), in blocks that small answers asked for. Larger answers go
    /// past them, out of the page cache.
    pub block_cache_bytes: usize,

    /// Different values of the metrics' `symbol` label (default 500); further symbols share `other`. Each costs some 25
    /// series.
    pub symbol_labels: usize,

    /// Those of the other paths.
    pub api: ApiLimits,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            days: 366,
            columns: 64,
            files: 2_048,
            rows: 2_000_000_000,
            connections: 1_024,
            http2_streams: 100,
            http2_send_bytes: 32 * 1024,
            plans_at_once: 8,
            reads_at_once: 32,
            chunk_bytes: 128 * 1024,
            answer_bytes: 256 << 20,
            small_bytes: 64 * 1024,
            block_cache_bytes: 64 << 20,
            symbol_labels: 500,
            api: ApiLimits::default(),
        }
    }
}
