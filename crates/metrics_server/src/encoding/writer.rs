//! One family, series by series, in any of the formats.

use super::{Descriptor, Format, Labels, Number, proto, protobuf, text};
use std::sync::Arc;

/// Writes one family. The head is written with the first series, so that a family without series leaves no trace.
#[derive(Debug)]
pub(crate) struct FamilyWriter {
    descriptor: Arc<Descriptor>,
    format: Format,
    sample_name: Vec<u8>,
    begun: bool,
    /// Protobuf only: a message starts with its length, so the family is put together here.
    message: Vec<u8>,
    scratch: Vec<u8>,
}

impl FamilyWriter {
    pub(crate) fn new(descriptor: Arc<Descriptor>, format: Format) -> Self {
        let sample_name = descriptor.sample_name().into_bytes();
        Self { descriptor, format, sample_name, begun: false, message: Vec::new(), scratch: Vec::new() }
    }

    /// A series with one sample.
    #[inline]
    pub(crate) fn number(
        &mut self,
        labels: &Labels<'_>,
        value: Number,
        exemplar: Option<&proto::Exemplar>,
        out: &mut Vec<u8>,
    ) {
        if !self.begun {
            self.begin(out);
        }
        match self.format {
            Format::Text => text::sample(&self.sample_name, labels, value, None, out),
            Format::OpenMetrics => text::sample(&self.sample_name, labels, value, exemplar, out),
            Format::Protobuf => {
                let kind = self.descriptor.kind;
                protobuf::number(kind, labels, value, exemplar, &mut self.scratch, &mut self.message);
            }
        }
    }

    /// A series that is a histogram.
    pub(crate) fn histogram(&mut self, labels: &Labels<'_>, value: &proto::Histogram, out: &mut Vec<u8>) {
        if !self.begun {
            self.begin(out);
        }
        match self.format {
            Format::Text | Format::OpenMetrics => {
                text::histogram(&self.descriptor.name, labels, value, self.format, out);
            }
            Format::Protobuf => protobuf::histogram(labels, value, &mut self.scratch, &mut self.message),
        }
    }

    /// To be called after the last series.
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        if self.begun && self.format == Format::Protobuf {
            prost::encoding::encode_varint(self.message.len() as u64, out);
            out.extend_from_slice(&self.message);
        }
    }

    #[cold]
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.begun = true;
        match self.format {
            Format::Text | Format::OpenMetrics => self.descriptor.write_text(self.format, out),
            Format::Protobuf => protobuf::family(&self.descriptor, &mut self.message),
        }
    }
}
