//! A series to keep.

use super::series::Series;
use std::ops::Deref;
use std::sync::Arc;

/// One metric, found once: `handle.inc()`.
///
/// Cheap to clone. While there is a handle, its series does not expire.
#[derive(Debug)]
pub struct Handle<M> {
    series: Arc<Series<M>>,
}

impl<M> Handle<M> {
    /// The series has counted this handle already.
    pub(super) fn held(series: Arc<Series<M>>) -> Self {
        Self { series }
    }
}

impl<M> Deref for Handle<M> {
    type Target = M;

    #[inline]
    fn deref(&self) -> &M {
        &self.series.metric
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        self.series.hold_again();
        Self { series: Arc::clone(&self.series) }
    }
}

impl<M> Drop for Handle<M> {
    fn drop(&mut self) {
        self.series.release();
    }
}
