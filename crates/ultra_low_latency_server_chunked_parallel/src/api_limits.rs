//! What the paths beside the plain data path may use up.

use serde::Serialize;

/// Limits of the other answers. All are fixed by whoever builds the program.
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
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        ApiLimits { reduced_points: 100_000, reductions_at_once: 2, listed_symbols: 100_000, gaps: 10_000 }
    }
}
