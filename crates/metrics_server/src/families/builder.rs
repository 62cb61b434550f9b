//! How a family is asked for.

use super::Family;
use super::handle::Handle;
use super::histogram::Histogram;
use super::metric::Metric;
use super::native::NativeBuckets;
use super::store::{Settings, Shared, Store};
use crate::registry::{RegisterError, Registry};
use std::sync::Arc;
use std::time::Duration;

/// Series in a family that says nothing else: enough for a venue's symbols, few enough that a label which was not
/// meant to be unbounded hurts nobody.
const CAP: usize = 2000;

/// A metric about to be registered; from [`Registry::counter`] and its siblings. With [`labels`](Self::labels) it
/// becomes a [`Family`], without them a single series.
#[derive(Debug)]
#[must_use = "it is not registered before `register`"]
pub struct Builder<'r, M: Metric, L = ()> {
    registry: &'r mut Registry,
    name: String,
    help: String,
    metric: M::Settings,
    labels: L,
    cap: usize,
    expire_after: Option<Duration>,
}

impl<'r, M: Metric> Builder<'r, M> {
    pub(crate) fn new(registry: &'r mut Registry, name: &str, help: &str, metric: M::Settings) -> Self {
        let (name, help) = (name.to_owned(), help.to_owned());
        Self { registry, name, help, metric, labels: (), cap: CAP, expire_after: None }
    }

    /// Tells series apart by these labels.
    pub fn labels<const N: usize>(self, labels: [&str; N]) -> Builder<'r, M, [String; N]> {
        let Self { registry, name, help, metric, cap, expire_after, .. } = self;
        let labels = labels.map(str::to_owned);
        Builder { registry, name, help, metric, labels, cap, expire_after }
    }

    /// Registers the metric.
    ///
    /// # Errors
    ///
    /// The name is none or in use, or the settings are impossible.
    pub fn register(self) -> Result<Handle<M>, RegisterError> {
        let family: Family<M, 0> = self.labels([]).register()?;
        Ok(family.handle([]))
    }
}

impl<M: Metric, const N: usize> Builder<'_, M, [String; N]> {
    /// How many series there may be (default 2000). The updates of further ones go to a series whose label values are
    /// all `other`: sums stay right, and a gauge shows whoever came last.
    pub fn cap(mut self, series: usize) -> Self {
        self.cap = series;
        self
    }

    /// Removes a series that was not updated for this long, and has no [`Handle`] (default: never). It is looked for
    /// at scrapes, so it takes up to a scrape's interval longer, and two scrapes.
    pub fn expire_after(mut self, idle: Duration) -> Self {
        self.expire_after = Some(idle);
        self
    }

    /// Registers the family.
    ///
    /// # Errors
    ///
    /// The name is none or in use, a label name is none, reserved or there twice, or the settings are impossible.
    pub fn register(self) -> Result<Family<M, N>, RegisterError> {
        let Self { registry, name, help, metric, labels, cap, expire_after } = self;
        M::check(&metric).map_err(|reason| RegisterError::Buckets { name: name.clone(), reason })?;
        let descriptor = registry.describe(&name, &help, M::KIND, &labels.each_ref().map(String::as_str))?;
        let overflowed = if N == 0 || cap == usize::MAX { None } else { registry.overflowed(&name) };
        let names = labels.into_iter().map(String::into_boxed_str).collect();
        let store = Arc::new(Store::new(Settings { descriptor, names, metric, cap, expire_after, overflowed }));
        registry.add(Arc::new(Shared(Arc::clone(&store))));
        Ok(Family { store })
    }
}

impl<L> Builder<'_, Histogram, L> {
    /// Upper bounds of the buckets, ascending; the last one, infinity, is added. They are inclusive.
    pub fn buckets(mut self, upper_bounds: impl IntoIterator<Item = f64>) -> Self {
        self.metric.set_bounds(upper_bounds);
        self
    }

    /// Counts in native buckets, which the protobuf format shows. Without [`buckets`](Self::buckets) beside them the
    /// text formats show only count and sum.
    pub fn native(mut self, buckets: NativeBuckets) -> Self {
        self.metric.set_native(buckets);
        self
    }
}
