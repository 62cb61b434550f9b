//! The families of the client library's registry, checked: it checks next to nothing itself.

use super::{Descriptor, FamilyWriter, Format, Kind, Labels, Number, Snapshot, is_label_name, is_metric_name, proto};
use std::collections::HashSet;
use std::sync::Arc;

/// OpenMetrics' limit on the characters in the labels of an exemplar.
const EXEMPLAR_CHARACTERS: usize = 128;

/// A family of the client library's registry, on its way into the exposition.
#[derive(Debug)]
pub(crate) struct Bridge {
    descriptor: Arc<Descriptor>,
    metrics: std::vec::IntoIter<proto::Metric>,
}

/// Why a family is left out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Invalid {
    #[error("the name is not one")]
    Name,
    #[error("another family is called, or has samples called, {0}")]
    Taken(String),
    #[error("the label name {0:?} is not allowed here")]
    Label(String),
    #[error("a label appears twice: {0}")]
    LabelTwice(String),
    #[error("two series have the same labels")]
    SeriesTwice,
    #[error("a series is not of the family's type, which is number {0}")]
    Type(i32),
}

impl Bridge {
    /// Checks a family; `taken` has the names of those before it, and gets its names if it is a good one.
    pub(crate) fn new(family: proto::MetricFamily, taken: &mut HashSet<String>) -> Result<Self, Invalid> {
        let descriptor = describe(&family)?;
        let mut metrics = family.metric;
        for metric in &mut metrics {
            check_labels(&metric.label, descriptor.kind)?;
            normalise(metric, descriptor.kind).ok_or(Invalid::Type(family.r#type))?;
        }
        if twice(&metrics) {
            return Err(Invalid::SeriesTwice);
        }
        let names = descriptor.claimed_names();
        if let Some(name) = names.iter().find(|name| taken.contains(*name)) {
            return Err(Invalid::Taken(name.clone()));
        }
        taken.extend(names);
        Ok(Self { descriptor: Arc::new(descriptor), metrics: metrics.into_iter() })
    }

    pub(crate) fn descriptor(&self) -> &Arc<Descriptor> {
        &self.descriptor
    }
}

impl Snapshot for Bridge {
    fn encode(&mut self, writer: &mut FamilyWriter, out: &mut Vec<u8>, limit: usize) -> bool {
        while out.len() < limit {
            let Some(metric) = self.metrics.next() else { return false };
            let labels = Labels::Pairs(&metric.label);
            if let Some(histogram) = &metric.histogram {
                writer.histogram(&labels, histogram, out);
            } else if let Some(counter) = &metric.counter {
                writer.number(&labels, Number::Float(counter.value), counter.exemplar.as_ref(), out);
            } else if let Some(gauge) = metric.gauge {
                writer.number(&labels, Number::Float(gauge.value), None, out);
            }
        }
        true
    }
}

/// The family's head. What the client library calls an info arrives as a gauge; it is one if its name ends in `_info`
/// and all its values are 1.
fn describe(family: &proto::MetricFamily) -> Result<Descriptor, Invalid> {
    let is_one = |metric: &proto::Metric| metric.gauge.is_some_and(|gauge| gauge.value == 1.0);
    let (name, kind) = match family.r#type() {
        proto::MetricType::Counter => (family.name.strip_suffix("_total").ok_or(Invalid::Name)?, Kind::Counter),
        proto::MetricType::Histogram => (family.name.as_str(), Kind::Histogram),
        proto::MetricType::Untyped => (family.name.as_str(), Kind::Unknown),
        proto::MetricType::Gauge => match family.name.strip_suffix("_info") {
            Some(name) if !name.is_empty() && family.metric.iter().all(is_one) => (name, Kind::Info),
            _ => (family.name.as_str(), Kind::Gauge),
        },
        proto::MetricType::Summary | proto::MetricType::GaugeHistogram => return Err(Invalid::Type(family.r#type)),
    };
    // A unit is not escaped anywhere, and a part of the name.
    let unit_fits = family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit));
    if !is_metric_name(name) || !unit_fits {
        return Err(Invalid::Name);
    }
    Ok(Descriptor { name: name.to_owned(), help: family.help.clone(), unit: family.unit.clone(), kind })
}

fn check_labels(labels: &[proto::LabelPair], kind: Kind) -> Result<(), Invalid> {
    for (index, label) in labels.iter().enumerate() {
        let reserved = label.name.starts_with("__") || (kind == Kind::Histogram && label.name == "le");
        if reserved || !is_label_name(&label.name) {
            return Err(Invalid::Label(label.name.clone()));
        }
        if labels[..index].iter().any(|other| other.name == label.name) {
            return Err(Invalid::LabelTwice(label.name.clone()));
        }
    }
    Ok(())
}

fn twice(metrics: &[proto::Metric]) -> bool {
    let mut seen = HashSet::with_capacity(metrics.len());
    metrics.iter().any(|metric| {
        let mut labels: Vec<_> = metric.label.iter().map(|label| (&label.name, &label.value)).collect();
        labels.sort_unstable();
        !seen.insert(labels)
    })
}

/// Brings a series into the one shape that is written from: a counter, a gauge or a histogram. `None` if it is not
/// what its family says.
fn normalise(metric: &mut proto::Metric, kind: Kind) -> Option<()> {
    match kind {
        Kind::Counter => drop_bad_exemplar(&mut metric.counter.as_mut()?.exemplar),
        Kind::Gauge | Kind::Info => drop(metric.gauge.as_ref()?),
        Kind::Unknown => {
            let untyped = metric.untyped.take().map(|untyped| untyped.value);
            let counter = metric.counter.take().map(|counter| counter.value);
            let value = untyped.or(counter).or(metric.gauge.map(|gauge| gauge.value))?;
            metric.gauge = Some(proto::Gauge { value });
        }
        Kind::Histogram => normalise_histogram(metric.histogram.as_mut()?),
    }
    Some(())
}

/// The library's last bucket ends at `f64::MAX` and stands for infinity; an observation of NaN is counted in none.
fn normalise_histogram(histogram: &mut proto::Histogram) {
    for bucket in &mut histogram.bucket {
        if bucket.upper_bound >= f64::MAX {
            bucket.upper_bound = f64::INFINITY;
            bucket.cumulative_count = histogram.sample_count;
        }
        drop_bad_exemplar(&mut bucket.exemplar);
    }
    histogram.bucket.retain(|bucket| !bucket.upper_bound.is_nan());
}

/// An exemplar is not worth a refused scrape.
fn drop_bad_exemplar(exemplar: &mut Option<proto::Exemplar>) {
    let good = |exemplar: &proto::Exemplar| {
        let characters = |label: &proto::LabelPair| label.name.chars().count() + label.value.chars().count();
        check_labels(&exemplar.label, Kind::Gauge).is_ok()
            && exemplar.label.iter().map(characters).sum::<usize>() <= EXEMPLAR_CHARACTERS
    };
    if !exemplar.as_ref().is_some_and(good) {
        *exemplar = None;
    }
}

impl Bridge {
    /// The writer that goes with it.
    pub(crate) fn writer(&self, format: Format) -> FamilyWriter {
        FamilyWriter::new(Arc::clone(&self.descriptor), format)
    }
}
