//! Samples as lines, in both text formats.

use super::number::{bound, float};
use super::{Format, Labels, Number, proto};

/// `name{labels} value # exemplar`
#[inline]
pub(super) fn sample(
    name: &[u8],
    labels: &Labels<'_>,
    value: Number,
    exemplar: Option<&proto::Exemplar>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(name);
    if !labels.is_empty() {
        out.push(b'{');
        labels.write_text(out);
        out.push(b'}');
    }
    out.push(b' ');
    value.write(out);
    if let Some(exemplar) = exemplar {
        write_exemplar(exemplar, out);
    }
    out.push(b'\n');
}

/// The `_bucket`, `_sum` and `_count` lines. A bucket `+Inf` is always there, and equals the count.
pub(super) fn histogram(
    name: &str,
    labels: &Labels<'_>,
    histogram: &proto::Histogram,
    format: Format,
    out: &mut Vec<u8>,
) {
    let finite = histogram.bucket.iter().filter(|bucket| bucket.upper_bound.is_finite());
    for bucket in finite {
        let exemplar = bucket.exemplar.as_ref();
        bucket_line(name, labels, (bucket.upper_bound, bucket.cumulative_count), exemplar, format, out);
    }
    let infinite = histogram.bucket.iter().find(|bucket| bucket.upper_bound == f64::INFINITY);
    let exemplar = infinite.and_then(|bucket| bucket.exemplar.as_ref());
    bucket_line(name, labels, (f64::INFINITY, histogram.sample_count), exemplar, format, out);
    let mut line = |suffix: &str, value| sample(format!("{name}{suffix}").as_bytes(), labels, value, None, out);
    line("_sum", Number::Float(histogram.sample_sum));
    line("_count", Number::Unsigned(histogram.sample_count));
}

fn bucket_line(
    name: &str,
    labels: &Labels<'_>,
    (upper_bound, count): (f64, u64),
    exemplar: Option<&proto::Exemplar>,
    format: Format,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"_bucket{");
    if !labels.is_empty() {
        labels.write_text(out);
        out.push(b',');
    }
    out.extend_from_slice(b"le=\"");
    bound(upper_bound, format, out);
    out.extend_from_slice(b"\"} ");
    Number::Unsigned(count).write(out);
    if let Some(exemplar) = exemplar.filter(|_| format == Format::OpenMetrics) {
        write_exemplar(exemplar, out);
    }
    out.push(b'\n');
}

fn write_exemplar(exemplar: &proto::Exemplar, out: &mut Vec<u8>) {
    out.extend_from_slice(b" # {");
    Labels::Pairs(&exemplar.label).write_text(out);
    out.extend_from_slice(b"} ");
    float(exemplar.value, out);
    if let Some(time) = exemplar.timestamp {
        // Written digit by digit: an f64 has not enough of them for today's time in nanoseconds.
        out.extend_from_slice(format!(" {}.{:09}", time.seconds, time.nanos).as_bytes());
    }
}
