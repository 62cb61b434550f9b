//! What is known about scraping itself.

use super::cut::Cut;
use crate::encoding::Format;
use crate::negotiation::Coding;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const FORMATS: [(Format, &str); 3] =
    [(Format::Text, "text"), (Format::OpenMetrics, "openmetrics"), (Format::Protobuf, "protobuf")];
const CODINGS: [(Coding, &str); 3] = [(Coding::Identity, "identity"), (Coding::Gzip, "gzip"), (Coding::Zstd, "zstd")];

/// Why a scrape was not let in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// More scrapes waited than [`Limits::scrapes_in_flight`](crate::Limits::scrapes_in_flight), or were
    /// being read over HTTP/1.0.
    InFlight,
    /// Its own timeout passed before the exposition was begun.
    Timeout,
    /// More names, or longer ones, than a filter may have.
    Names,
}

/// The metrics of all scrapes of one exposition. Cheap to clone; every series is there from the start.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    pub(super) in_flight: Gauge,
    pub(super) errors: Counter,
    pub(super) shared: Counter,
    scrapes: [[Counter; CODINGS.len()]; FORMATS.len()],
    refused: [Counter; 3],
    cut: [Counter; 3],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FormatLabels {
    format: &'static str,
    encoding: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl ScrapeMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let (scrapes, refused, cut) = (Family::default(), Family::default(), Family::default());
        let by_format = |format| {
            CODINGS.map(|(_, encoding)| Clone::clone(&*scrapes.get_or_create(&FormatLabels { format, encoding })))
        };
        let by_reason =
            |family: &Family<ReasonLabels, Counter>, reason| family.get_or_create_owned(&ReasonLabels { reason });
        let metrics = Self {
            in_flight: Gauge::default(),
            errors: Counter::default(),
            shared: Counter::default(),
            scrapes: FORMATS.map(|(_, format)| by_format(format)),
            refused: ["in_flight", "timeout", "names"].map(|reason| by_reason(&refused, reason)),
            cut: ["behind", "deadline", "room"].map(|reason| by_reason(&cut, reason)),
        };
        let help = "Scrapes that wait for the first byte, this one included";
        registry.register("metrics_server_scrapes_in_flight", help, metrics.in_flight.clone());
        let help = "Expositions that could not be encoded";
        registry.register("metrics_server_scrape_errors", help, metrics.errors.clone());
        let help = "Scrapes begun, by format and compression";
        registry.register("metrics_server_scrapes", help, scrapes);
        let help = "Scrapes that were answered with the encoding another one had asked for just before";
        registry.register("metrics_server_scrapes_shared", help, metrics.shared.clone());
        let help = "Scrapes answered 503 or 400: too many wait, their timeout passed, their name filter is too large";
        registry.register("metrics_server_scrapes_refused", help, refused);
        let help = "Scrapes broken off because the client read too slowly: behind others, past the scrape's timeout, or too many newer ones came";
        registry.register("metrics_server_scrapes_cut", help, cut);
        metrics
    }

    pub(super) fn started(&self, format: Format, coding: Coding) {
        // The discriminants are the places in the tables; a test holds them together.
        self.scrapes[format as usize][coding as usize].inc();
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].inc();
    }

    pub(super) fn cut(&self, cut: Cut) {
        self.cut[cut as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_the_order_their_indices_assume() {
        for (place, (format, _)) in FORMATS.into_iter().enumerate() {
            assert_eq!(format as usize, place);
        }
        for (place, (coding, _)) in CODINGS.into_iter().enumerate() {
            assert_eq!(coding as usize, place);
        }
        assert_eq!([Refusal::InFlight as usize, Refusal::Timeout as usize, Refusal::Names as usize], [0, 1, 2]);
        assert_eq!([Cut::Behind as usize, Cut::Deadline as usize, Cut::Room as usize], [0, 1, 2]);
    }
}
