//! What the paths beside the plain data path may use up.

use serde::Serialize;

/// Limits of the other answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiLimits {
    /// Rows that `reduce=minmax` and `lttb` give at most (default 100,000); who asks for more gets these. 8 bytes each
    /// while an answer is sent, and far beyond what a screen can show.
    pub reduced_points: u64,

    /// Reductions under way at once (default 2); further ones wait. Each reads whole columns: 100 million rows take
    /// seconds.
    pub reductions_at_once: usize,

    /// Symbols in listings and in the search (default 100,000); with more, the last ones are left out.
    pub listed_symbols: usize,

    /// Gaps, and ranges of coverage, in one answer (default 10,000); with more, the answer says so.
    pub gaps: usize,

    /// Clients of `/api/stream` at once (default 256); a further one is told to come again.
    pub stream_clients: usize,

    /// Series that one client follows (default 32).
    pub stream_subscriptions: usize,

    /// Time between two looks at the files of all series that are followed, ms (default 200). The logger flushes every
    /// 500 ms.
    pub stream_poll_ms: u64,

    /// Rows in a message at most (default 2,000): about 100 KB. Fewer if they might take more than 960 KiB.
    pub stream_message_rows: u64,

    /// How long a client may take for a message, ms (default 10,000); then it is dropped.
    pub stream_stall_ms: u64,

    /// Rows by which a client that once had them all may fall behind (default 200,000); then it is dropped, and told
    /// where to go on.
    pub stream_behind_rows: u64,
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        ApiLimits {
            reduced_points: 100_000,
            reductions_at_once: 2,
            listed_symbols: 100_000,
            gaps: 10_000,
            stream_clients: 256,
            stream_subscriptions: 32,
            stream_poll_ms: 200,
            stream_message_rows: 2_000,
            stream_stall_ms: 10_000,
            stream_behind_rows: 200_000,
        }
    }
}
