//! Numbers that only grow.

use super::metric::{Instrument, thread_tables};
use crate::encoding::{FamilyWriter, Kind, Labels, Number};
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of whole numbers; wraps around at 2^64.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Instrument for Counter {
    type Settings = ();
    const KIND: Kind = Kind::Counter;

    fn create((): &()) -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>) {
        writer.number(labels, Number::Unsigned(self.get()), None, out);
    }

    thread_tables!(Counter);
}

/// A counter of fractions, such as seconds or an amount of money.
#[derive(Debug, Default)]
pub struct FloatCounter(AtomicFloat);

impl FloatCounter {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// Adds `amount`. One that is negative, infinite or not a number is ignored: it would spoil the sum for ever.
    #[inline]
    pub fn add(&self, amount: f64) {
        if amount.is_finite() && amount >= 0.0 {
            self.0.add(amount);
        }
    }

    /// The sum so far.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

impl Instrument for FloatCounter {
    type Settings = ();
    const KIND: Kind = Kind::Counter;

    fn create((): &()) -> Self {
        Self::default()
    }

    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>) {
        writer.number(labels, Number::Float(self.get()), None, out);
    }

    thread_tables!(FloatCounter);
}

/// An `f64` that threads share. Zero bits are 0.0.
#[derive(Debug, Default)]
pub(super) struct AtomicFloat(AtomicU64);

impl AtomicFloat {
    #[inline]
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn add(&self, value: f64) {
        let mut bits = self.0.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(bits) + value).to_bits();
            match self.0.compare_exchange_weak(bits, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => bits = now,
            }
        }
    }
}
