//! Native histograms: buckets at powers of 2^(2^-schema), made when a value falls into one.

use crate::encoding::proto;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

const COARSEST: i8 = -4;
const FINEST: i8 = 8;
/// From the finest to the coarsest.
const GENERATIONS: usize = 13;
/// Buckets of both signs that cover every `f64` at the coarsest schema.
const ALL_COARSEST: usize = 272;

/// A series takes 16 bytes for each of twice as many.
const MOST_BUCKETS: usize = 1 << 16;

/// Prometheus' standard exponential buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeBuckets {
    /// Each power of two is divided into 2^schema buckets; -4 to 8 (default 3: bounds grow by 9%).
    pub schema: i8,
    /// Values up to this distance from 0 are counted as 0 (default 2^-128).
    pub zero_threshold: f64,
    /// When more buckets than this are in use, every two are joined into one, as often as needed (default 160). At the
    /// coarsest schema, -4, there is no more to join, and up to 272 buckets cover every number.
    pub max_buckets: usize,
}

impl Default for NativeBuckets {
    fn default() -> Self {
        Self { schema: 3, zero_threshold: 2_f64.powi(-128), max_buckets: 160 }
    }
}

impl NativeBuckets {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !(COARSEST..=FINEST).contains(&self.schema) {
            Err("the schema of native buckets is -4 to 8")
        } else if !self.zero_threshold.is_finite() || self.zero_threshold < 0.0 {
            Err("the zero threshold is a finite number, not negative")
        } else if self.max_buckets == 0 {
            Err("at least one native bucket must be allowed")
        } else if self.max_buckets > MOST_BUCKETS {
            Err("more than 65,536 native buckets are too many for any scraper")
        } else {
            Ok(())
        }
    }

    /// The bounds between 0.5 and 1, by which an index is found.
    pub(super) fn fractions(&self) -> Vec<f64> {
        let parts = 1_u32 << self.schema.clamp(0, FINEST);
        (0..parts).map(|part| 0.5 * (f64::from(part) / f64::from(parts)).exp2()).collect()
    }

    /// The bucket of a positive number: index i is for bound(i-1) < value <= bound(i), with bound(0) = 1.
    fn index(&self, value: f64, fractions: &[f64]) -> i32 {
        if value.is_infinite() {
            return self.index(f64::MAX, fractions) + 1;
        }
        let (fraction, exponent) = split(value);
        if self.schema > 0 {
            let part = fractions.partition_point(|bound| *bound < fraction);
            part as i32 + (exponent - 1) * fractions.len() as i32
        } else {
            let exponent = if fraction == 0.5 { exponent - 1 } else { exponent };
            coarser(exponent, self.schema.unsigned_abs().into())
        }
    }
}

/// A positive number as a fraction from 0.5 up to 1, times a power of two.
fn split(value: f64) -> (f64, i32) {
    const EXPONENT: u64 = 0x7ff << 52;
    if value < f64::MIN_POSITIVE {
        let (fraction, exponent) = split(value * 2_f64.powi(54));
        return (fraction, exponent - 54);
    }
    let exponent = ((value.to_bits() & EXPONENT) >> 52) as i32 - 1022;
    (f64::from_bits(value.to_bits() & !EXPONENT | 1022 << 52), exponent)
}

/// The index at a schema that is lower by `steps`.
fn coarser(index: i32, steps: u32) -> i32 {
    (index + (1 << steps) - 1) >> steps
}

/// The buckets of one series. They are never moved: a coarser generation takes what comes after it, and the counts of
/// all generations are added up when they are read. So no observation is lost, and none waits.
#[derive(Debug)]
pub(super) struct Native {
    zero: AtomicU64,
    current: AtomicUsize,
    generations: [OnceLock<Generation>; GENERATIONS],
}

/// Buckets of one schema, in a hash table without locks.
#[derive(Debug)]
struct Generation {
    places: Box<[(AtomicI64, AtomicU64)]>,
    used: AtomicUsize,
    limit: usize,
}

const EMPTY: i64 = i64::MIN;

/// A bucket of either sign as one number.
fn key(index: i32, negative: bool) -> i64 {
    i64::from(index) * 2 + i64::from(negative)
}

fn coarser_key(key: i64, steps: u32) -> i64 {
    self::key(coarser((key >> 1) as i32, steps), key & 1 == 1)
}

impl Generation {
    fn new(limit: usize, keys: &BTreeSet<i64>) -> Self {
        // Twice what may be used, so that a search ends.
        let places = (2 * limit.max(keys.len()) + 2).next_power_of_two();
        let places = (0..places).map(|_| (AtomicI64::new(EMPTY), AtomicU64::new(0))).collect();
        let generation = Self { places, used: AtomicUsize::new(0), limit: limit.max(keys.len()) };
        for key in keys {
            generation.add(*key, 0);
        }
        generation
    }

    /// False if it would take one bucket too many.
    fn add(&self, key: i64, count: u64) -> bool {
        let mut at = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        loop {
            let (place, counter) = &self.places[at as usize & (self.places.len() - 1)];
            let mut found = place.load(Ordering::Acquire);
            if found == EMPTY {
                if self.used.fetch_add(1, Ordering::Relaxed) >= self.limit {
                    self.used.fetch_sub(1, Ordering::Relaxed);
                    return false;
                }
                found = match place.compare_exchange(EMPTY, key, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => key,
                    Err(other) => {
                        self.used.fetch_sub(1, Ordering::Relaxed);
                        other
                    }
                };
            }
            if found == key {
                counter.fetch_add(count, Ordering::Release);
                return true;
            }
            at = at.wrapping_add(1);
        }
    }

    fn counts(&self) -> impl Iterator<Item = (i64, u64)> {
        let places = self.places.iter();
        places
            .map(|(key, count)| (key.load(Ordering::Acquire), count.load(Ordering::Acquire)))
            .filter(|(key, _)| *key != EMPTY)
    }
}

impl Native {
    pub(super) fn new(buckets: &NativeBuckets) -> Self {
        let native = Self {
            zero: AtomicU64::new(0),
            current: AtomicUsize::new(0),
            generations: [const { OnceLock::new() }; GENERATIONS],
        };
        native.begin(0, buckets, &BTreeSet::new());
        native
    }

    fn begin(&self, number: usize, buckets: &NativeBuckets, keys: &BTreeSet<i64>) {
        let limit = if number == coarsest(buckets) { ALL_COARSEST } else { buckets.max_buckets };
        // Whoever came first has made the same one, but for buckets that are made when needed.
        let _ = self.generations[number].set(Generation::new(limit, keys));
        self.current.fetch_max(number, Ordering::AcqRel);
    }

    /// Counts a number that is not NaN.
    pub(super) fn observe(&self, value: f64, buckets: &NativeBuckets, fractions: &[f64]) {
        let distance = value.abs();
        if distance <= buckets.zero_threshold {
            self.zero.fetch_add(1, Ordering::Release);
            return;
        }
        let index = buckets.index(distance, fractions);
        loop {
            let number = self.current.load(Ordering::Acquire);
            let Some(generation) = self.generations[number].get() else { return };
            if generation.add(key(coarser(index, number as u32), value < 0.0), 1) {
                return;
            }
            self.coarsen(number, generation, buckets);
        }
    }

    #[cold]
    fn coarsen(&self, from: usize, full: &Generation, buckets: &NativeBuckets) {
        for to in from + 1..=coarsest(buckets) {
            let joined = full.counts().map(|(key, _)| coarser_key(key, (to - from) as u32));
            let keys: BTreeSet<i64> = joined.collect();
            // Half, so that it does not happen again at once.
            if keys.len() <= buckets.max_buckets / 2 || to == coarsest(buckets) {
                self.begin(to, buckets, &keys);
                return;
            }
        }
    }

    /// Fills in the fields of native buckets, and the count: of what is in buckets.
    pub(super) fn read(&self, buckets: &NativeBuckets, histogram: &mut proto::Histogram) {
        let begun = |number: &usize| self.generations[*number].get().is_some();
        let last = (0..GENERATIONS).rev().find(begun).unwrap_or(0);
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let mut count = self.zero.load(Ordering::Acquire);
        histogram.zero_count = count;
        for (number, generation) in self.generations[..=last].iter().enumerate() {
            for (key, in_bucket) in generation.get().into_iter().flat_map(Generation::counts) {
                let key = coarser_key(key, (last - number) as u32);
                if in_bucket > 0 {
                    *sides[usize::from(key & 1 == 1)].entry((key >> 1) as i32).or_insert(0) += in_bucket;
                    count += in_bucket;
                }
            }
        }
        histogram.sample_count = count;
        histogram.schema = i32::from(buckets.schema) - last as i32;
        histogram.zero_threshold = buckets.zero_threshold;
        let [positive, negative] = sides;
        (histogram.positive_span, histogram.positive_delta) = spans(&positive);
        (histogram.negative_span, histogram.negative_delta) = spans(&negative);
        if positive.is_empty() && negative.is_empty() {
            // What tells an empty native histogram from a classic one.
            histogram.positive_span.push(proto::BucketSpan { offset: 0, length: 0 });
        }
    }
}

/// The number of the last generation.
fn coarsest(buckets: &NativeBuckets) -> usize {
    usize::try_from(buckets.schema - COARSEST).unwrap_or(0).min(GENERATIONS - 1)
}

/// Buckets that follow each other share a span; each count is told as its difference to the one before.
fn spans(buckets: &BTreeMap<i32, u64>) -> (Vec<proto::BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<proto::BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut expected, mut previous) = (None, 0_i64);
    for (&index, &count) in buckets {
        match spans.last_mut().filter(|_| expected == Some(index)) {
            Some(span) => span.length += 1,
            None => spans.push(proto::BucketSpan { offset: index - expected.unwrap_or(0), length: 1 }),
        }
        expected = Some(index + 1);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        deltas.push(count - previous);
        previous = count;
    }
    (spans, deltas)
}
