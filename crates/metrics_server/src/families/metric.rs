//! What all kinds of metrics have in common.

use super::local::Tables;
use crate::encoding::{FamilyWriter, Kind, Labels};
use std::fmt::Debug;

/// A kind of metric that a [`Family`](super::Family) can be made of: the counters, gauges and histograms of this crate.
#[expect(private_bounds, reason = "nobody else makes kinds of metrics")]
pub trait Metric: Instrument {}

impl<M: Instrument> Metric for M {}

/// The inside of [`Metric`].
pub(crate) trait Instrument: Debug + Send + Sync + Sized + 'static {
    /// What all series of a family share.
    type Settings: Clone + Debug + Send + Sync + 'static;

    const KIND: Kind;

    fn create(settings: &Self::Settings) -> Self;

    /// Why the settings are impossible.
    fn check(_settings: &Self::Settings) -> Result<(), &'static str> {
        Ok(())
    }

    fn encode(&self, labels: &Labels<'_>, writer: &mut FamilyWriter, out: &mut Vec<u8>);

    /// What the calling thread remembers of the families of this kind; `None` at its end.
    fn tables<R>(read: impl FnOnce(&Tables<Self>) -> R) -> Option<R>;
}

/// Each kind has a thread-local of its own, because there are no generic ones.
macro_rules! thread_tables {
    ($metric:ty) => {
        #[inline]
        fn tables<R>(read: impl FnOnce(&$crate::families::local::Tables<Self>) -> R) -> Option<R> {
            thread_local! {
                static TABLES: $crate::families::local::Tables<$metric> =
                    const { $crate::families::local::Tables::new() };
            }
            TABLES.try_with(read).ok()
        }
    };
}
pub(super) use thread_tables;
