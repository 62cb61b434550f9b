//! How observations are distributed.

use super::counter::AtomicFloat;
use super::metric::{Instrument, thread_tables};
use super::native::{Native, NativeBuckets};
use crate::encoding::{FamilyWriter, Kind, Labels, proto};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The usual ones, in seconds.
const DEFAULT_BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A histogram with classic buckets, native ones, or both.
#[derive(Debug)]
pub struct Histogram {
    settings: HistogramSettings,
    /// One for each bound and one for the rest; empty without classic buckets.
    classic: Box<[AtomicU64]>,
    native: Option<Box<Native>>,
    /// Observations that were not a number: part of the count, in no native bucket and in the last classic one.
    nan: AtomicU64,
    sum: AtomicFloat,
}

/// What the series of a family of histograms share.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistogramSettings {
    bounds: Option<Arc<[f64]>>,
    native: Option<Arc<(NativeBuckets, Vec<f64>)>>,
}

impl HistogramSettings {
    pub(super) fn set_bounds(&mut self, upper_bounds: impl IntoIterator<Item = f64>) {
        let mut bounds: Vec<f64> = upper_bounds.into_iter().collect();
        if bounds.last() == Some(&f64::INFINITY) {
            bounds.pop();
        }
        self.bounds = Some(bounds.into());
    }

    pub(super) fn set_native(&mut self, buckets: NativeBuckets) {
        let fractions = buckets.fractions();
        self.native = Some(Arc::new((buckets, fractions)));
    }

    fn bounds(&self) -> Option<&[f64]> {
        self.bounds.as_deref().or(if self.native.is_none() { Some(&DEFAULT_BOUNDS) } else { None })
    }
}

impl Histogram {
    /// Counts an observation. One that is not a number is counted as larger than all bounds, and makes the sum NaN.
    pub fn observe(&self, value: f64) {
        // In the opposite order of `read`: what is counted is in the sum, and what is in a classic bucket is in a
        // native one.
        self.sum.add(value);
        if value.is_nan() {
            self.nan.fetch_add(1, Ordering::Release);
        } else if let (Some(native), Some(settings)) = (&self.native, &self.settings.native) {
            native.observe(value, &settings.0, &settings.1);
        }
        if let Some(bounds) = self.settings.bounds() {
            let bucket = if value.is_nan() { bounds.len() } else { bounds.partition_point(|bound| *bound < value) };
            self.classic[bucket].fetch_add(1, Ordering::Release);
        }
    }

    fn read(&self) -> proto::Histogram {
        let mut histogram = proto::Histogram::default();
        let mut count = 0;
        for (bound, bucket) in self.settings.bounds().unwrap_or_default().iter().zip(&self.classic) {
            count += bucket.load(Ordering::Acquire);
            histogram.bucket.push(proto::Bucket {
                cumulative_count: count,
                upper_bound: *bound,
                ..proto::Bucket::default()
            });
        }
        count += self.classic.last().map_or(0, |rest| rest.load(Ordering::Acquire));
        histogram.sample_count = count;
        if let (Some(native), Some(settings)) = (&self.native, &self.settings.native) {
            let nan = self.nan.load(Ordering::Acquire);
            native.read(&settings.0, &mut histogram);
            histogram.sample_count += nan;
        }
        // Read in pieces, with observations between them: a bucket may have seen one more than the count.
        for bucket in &mut histogram.bucket {
            bucket.cumulative_count = bucket.cumulative_count.min(histogram.sample_count);
        }
        histogram.sample_sum = self.sum.get();
        histogram
    }
}

impl Instrument for Histogram {
    type Settings = HistogramSettings;
    const KIND: Kind = Kind::Histogram;

    fn create(settings: &HistogramSettings) -> Self {
        let places = settings.bounds().map_or(0, |bounds| bounds.len() + 1);
        Self {
            settings: settings.clone(),
            classic: (0..places).map(|_| AtomicU64::new(0)).collect(),
            native: settings.native.as_ref().map(|settings| Box::new(Native::new(&settings.0))),
            nan: AtomicU64::new(0),
            sum: AtomicFloat::default(),
        }
    }

    fn check(settings: &HistogramSettings) -> Result<(), &'static str> {
        if let Some(native) = &settings.native {
            native.0.check()?;
        }
        let bounds = settings.bounds().unwrap_or_default();
        if bounds.iter().any(|bound| !bound.is_finite()) {
            Err("a bound is not a finite number")
        } else if !bounds.is_sorted_by(|low, high| low < high) {
            Err("the bounds do not ascend")
        } else {
            Ok(())
        }
    }

    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>) {
        writer.histogram(labels, &self.read(), out);
    }

    thread_tables!(Histogram);
}
