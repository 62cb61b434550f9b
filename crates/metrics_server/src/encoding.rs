//! The three formats of an exposition, and how a document is made in them piece by piece.

mod bridge;
mod descriptor;
mod encoder;
mod escape;
mod labels;
mod names;
mod number;
mod protobuf;
mod text;
mod writer;

pub use encoder::{EncodeError, Encoder};
pub use names::NameFilter;

pub(crate) use bridge::Bridge;
pub(crate) use descriptor::{Descriptor, Kind};
pub(crate) use labels::Labels;
pub(crate) use names::{is_label_name, is_metric_name};
pub(crate) use number::Number;
pub(crate) use writer::FamilyWriter;

/// Prometheus' protobuf messages, as the client library already generates them.
pub(crate) use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as proto;

/// A format that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The older text format, 0.0.4: what every scraper reads. No exemplars, no native histograms.
    Text,
    /// OpenMetrics text 1.0.0: with exemplars, without native histograms, ends in `# EOF`.
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily` messages, each after its length: the only format with native histograms.
    Protobuf,
}

impl Format {
    /// The media type, as `Content-Type` has it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// Where the encoder finds a family of ours.
pub(crate) trait Source: std::fmt::Debug + Send + Sync {
    fn descriptor(&self) -> &std::sync::Arc<Descriptor>;
    /// The series there are now; quick, and without a look at their values.
    fn snapshot(&self) -> Box<dyn Snapshot>;
}

/// The series of a family at one moment, to be encoded bit by bit.
pub(crate) trait Snapshot: Send {
    /// Encodes series until `out` is `limit` bytes long; false when there are no more.
    fn encode(&mut self, writer: &mut FamilyWriter, out: &mut Vec<u8>, limit: usize) -> bool;
}
