//! What a scrape may take, beside [`Limits::scrapes_in_flight`](crate::Limits::scrapes_in_flight).

use std::time::Duration;

/// How far a reader may fall behind the fastest one of the same document, in bytes as they are sent. Two Prometheus
/// servers at the same moment are never apart by more than what their sockets hold, some 100 KiB; 4 MiB is what a
/// stalled client can make this process keep, once for each document that is being read.
pub(super) const BEHIND_BYTES_MAX: u64 = 4 << 20;

/// The most that is encoded in one go, in bytes before compression; then another document has its turn. Takes single
/// milliseconds, and is a whole exposition of some thousand series.
pub(super) const BURST_BYTES: usize = 512 << 10;

/// The most that one go may produce for the readers, in bytes as they are sent. Without compression it would otherwise
/// be [`BURST_BYTES`] that a client which stops reading makes us keep.
pub(super) const BURST_SENT_BYTES: usize = 256 << 10;

/// Compressed bytes are handed on in pieces of at least this size, except at the end of a go.
pub(super) const PIECE_BYTES_MIN: usize = 32 << 10;

/// The longest that a scrape may take, whatever timeout its client has; also that of a client which tells none.
/// Prometheus' own default is 10 s.
pub(super) const SCRAPE_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// How much earlier than its timeout a scrape is refused, so that the answer is there in time: a tenth of the timeout,
/// at most this. Prometheus' exporters subtract half a second.
pub(super) const TIMEOUT_MARGIN_MAX: Duration = Duration::from_millis(500);

/// Names in one filter. Dashboards and agents ask for dozens; the filter is compared with every family.
pub(crate) const NAMES_MAX: usize = 256;

/// Bytes of one name of a filter, decoded. The longest names in use have some 100.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// The largest exposition for HTTP/1.0, in bytes as it is sent. That version marks the end of a body of unknown length
/// by closing the connection, which a broken-off body does as well, so the whole has to be there first.
pub(super) const HTTP_1_0_BYTES_MAX: u64 = 32 << 20;

/// Expositions for HTTP/1.0 that are in memory at once; a further one is refused. What still speaks that version is a
/// health check or a script, and no scraper that others wait for.
pub(super) const HTTP_1_0_DOCUMENTS_MAX: usize = 8;

/// Documents that are being read at once, beside those whose readers wait for the first byte; for a further one the oldest
/// is given up. Each holds an encoder, a compressor (of zstd about 1 MiB) and up to [`BURST_SENT_BYTES`] until its last
/// reader has gone, and over HTTP/2 each connection may read 32.
pub(super) const DOCUMENTS_READ_MAX: usize = 64;
