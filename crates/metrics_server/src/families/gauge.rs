//! Numbers that go up and down.

use super::counter::AtomicFloat;
use super::metric::{Instrument, thread_tables};
use crate::encoding::{FamilyWriter, Kind, Labels, Number};
use std::sync::atomic::{AtomicI64, Ordering};

/// A gauge; NaN and the infinities are values like others.
#[derive(Debug, Default)]
pub struct Gauge(AtomicFloat);

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `amount`, which may be negative.
    #[inline]
    pub fn add(&self, amount: f64) {
        self.0.add(amount);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

impl Instrument for Gauge {
    type Settings = ();
    const KIND: Kind = Kind::Gauge;

    fn create((): &()) -> Self {
        Self::default()
    }

    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>) {
        writer.number(labels, Number::Float(self.get()), None, out);
    }

    thread_tables!(Gauge);
}

/// A gauge of whole numbers, which is exact under concurrent additions; wraps around at the ends of `i64`.
#[derive(Debug, Default)]
pub struct IntGauge(AtomicI64);

impl IntGauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `amount`, which may be negative.
    #[inline]
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Instrument for IntGauge {
    type Settings = ();
    const KIND: Kind = Kind::Gauge;

    fn create((): &()) -> Self {
        Self::default()
    }

    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>) {
        writer.number(labels, Number::Signed(self.get()), None, out);
    }

    thread_tables!(IntGauge);
}
