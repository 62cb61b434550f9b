//! What stands above the samples of a family: name, help, kind.

use super::{Format, proto};

/// What the samples of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    Unknown,
}

impl Kind {
    /// What the name of a sample has after the name of its family, for the kinds with one sample a series.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram | Self::Unknown => "",
        }
    }

    pub(crate) fn proto(self) -> proto::MetricType {
        match self {
            Self::Counter => proto::MetricType::Counter,
            Self::Gauge | Self::Info => proto::MetricType::Gauge,
            Self::Histogram => proto::MetricType::Histogram,
            Self::Unknown => proto::MetricType::Untyped,
        }
    }

    fn word(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Counter, _) => "counter",
            (Self::Gauge, _) => "gauge",
            (Self::Histogram, _) => "histogram",
            (Self::Info, Format::OpenMetrics) => "info",
            (Self::Info, _) => "gauge",
            (Self::Unknown, Format::OpenMetrics) => "unknown",
            (Self::Unknown, _) => "untyped",
        }
    }
}

/// Name, help, unit and kind of a family.
#[derive(Clone, Debug)]
pub(crate) struct Descriptor {
    /// As OpenMetrics has it: without `_total` and `_info`.
    pub(crate) name: String,
    pub(crate) help: String,
    /// Empty for none; the name already ends in it.
    pub(crate) unit: String,
    pub(crate) kind: Kind,
}

impl Descriptor {
    /// The name of the family where a family has the name of its samples: in the older text format and in protobuf.
    pub(crate) fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }

    /// Every name that this family needs for itself: its own in all formats, and those of its samples.
    pub(crate) fn claimed_names(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["", "_total"],
            Kind::Info => &["", "_info"],
            Kind::Histogram => &["", "_bucket", "_count", "_sum"],
            Kind::Gauge | Kind::Unknown => &[""],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }

    /// The `# HELP`, `# TYPE` and `# UNIT` lines.
    pub(crate) fn write_text(&self, format: Format, out: &mut Vec<u8>) {
        let name = if format == Format::OpenMetrics { self.name.clone() } else { self.sample_name() };
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        super::escape::help(&self.help, format, out);
        out.extend_from_slice(b"\n# TYPE ");
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.kind.word(format).as_bytes());
        out.push(b'\n');
        if format == Format::OpenMetrics && !self.unit.is_empty() {
            out.extend_from_slice(b"# UNIT ");
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            out.extend_from_slice(self.unit.as_bytes());
            out.push(b'\n');
        }
    }
}
