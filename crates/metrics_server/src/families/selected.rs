//! A series by its labels, for one update.

use super::metric::Metric;
use super::store::Store;
use super::{Counter, FloatCounter, Gauge, Histogram, IntGauge, ShardedCounter};

/// A series that is looked up by the update that follows; from [`Family::with`](super::Family::with).
#[derive(Debug)]
#[must_use = "nothing is looked up or created before the update"]
pub struct Selected<'a, M: Metric, const N: usize> {
    store: &'a Store<M>,
    labels: [&'a str; N],
}

impl<'a, M: Metric, const N: usize> Selected<'a, M, N> {
    #[inline]
    pub(super) fn new(store: &'a Store<M>, labels: [&'a str; N]) -> Self {
        Self { store, labels }
    }

    #[inline]
    fn update<R>(&self, update: impl Fn(&M) -> R) -> R {
        self.store.update(&self.labels, update)
    }
}

/// The updates of a kind of metric, under the same names.
macro_rules! updates {
    ($metric:ident: $($update:ident($($argument:ident: $kind:ty)?) $(-> $result:ty)?),+) => {
        impl<const N: usize> Selected<'_, $metric, N> {
            $(
                #[doc = concat!("[`", stringify!($metric), "::", stringify!($update), "`] of the series.")]
                #[inline]
                pub fn $update(&self $(, $argument: $kind)?) $(-> $result)? {
                    self.update(|metric| metric.$update($($argument)?))
                }
            )+
        }
    };
}

updates!(Counter: inc(), add(count: u64), get() -> u64);
updates!(FloatCounter: inc(), add(amount: f64), get() -> f64);
updates!(ShardedCounter: inc(), add(count: u64), get() -> u64);
updates!(Gauge: set(value: f64), add(amount: f64), get() -> f64);
updates!(IntGauge: set(value: i64), add(amount: i64), get() -> i64);
updates!(Histogram: observe(value: f64));
