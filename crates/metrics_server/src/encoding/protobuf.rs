//! Messages written field by field, without a struct for each label of each series.

use super::{Descriptor, Kind, Labels, Number, proto};
use prost::Message;
use prost::encoding::encode_varint;

/// A field's number and how its value is written, as one byte: all numbers used here are below 16.
const fn tag(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// The fields of a `MetricFamily` that stand before its metrics.
pub(super) fn family(descriptor: &Descriptor, out: &mut Vec<u8>) {
    bytes(1, descriptor.sample_name().as_bytes(), out);
    bytes(2, descriptor.help.as_bytes(), out);
    out.push(tag(3, VARINT));
    encode_varint(descriptor.kind.proto() as u64, out);
    if !descriptor.unit.is_empty() {
        bytes(5, descriptor.unit.as_bytes(), out);
    }
}

/// A `Metric` with one number, as a field of its family. `scratch` is only there to be used again.
pub(super) fn number(
    kind: Kind,
    labels: &Labels<'_>,
    value: Number,
    exemplar: Option<&proto::Exemplar>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    scratch.clear();
    write_labels(labels, scratch);
    let field = match kind {
        Kind::Gauge | Kind::Info | Kind::Histogram => 2,
        Kind::Counter => 3,
        Kind::Unknown => 5,
    };
    scratch.push(tag(field, BYTES));
    let exemplar = exemplar.map(Message::encode_to_vec);
    let exemplar_len = exemplar.as_ref().map_or(0, |bytes| 1 + varint_len(bytes.len()) + bytes.len());
    encode_varint((9 + exemplar_len) as u64, scratch);
    scratch.push(tag(1, FIXED64));
    scratch.extend_from_slice(&value.as_f64().to_le_bytes());
    if let Some(exemplar) = exemplar {
        bytes(2, &exemplar, scratch);
    }
    bytes(4, scratch, out);
}

/// A `Metric` with a histogram, as a field of its family.
pub(super) fn histogram(labels: &Labels<'_>, histogram: &proto::Histogram, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.clear();
    write_labels(labels, scratch);
    bytes(7, &histogram.encode_to_vec(), scratch);
    bytes(4, scratch, out);
}

fn write_labels(labels: &Labels<'_>, out: &mut Vec<u8>) {
    labels.for_each(|name, value| {
        out.push(tag(1, BYTES));
        let len = 2 + varint_len(name.len()) + name.len() + varint_len(value.len()) + value.len();
        encode_varint(len as u64, out);
        bytes(1, name, out);
        bytes(2, value, out);
    });
}

fn bytes(field: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(tag(field, BYTES));
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn varint_len(value: usize) -> usize {
    prost::encoding::encoded_len_varint(value as u64)
}
