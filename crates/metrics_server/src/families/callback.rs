//! Numbers that are asked for at each scrape.

use super::{Counter, Handle, Key};
use crate::encoding::{Descriptor, FamilyWriter, Labels, Number, Snapshot, Source};
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a callback knows: a number for each of its series.
#[derive(Debug)]
pub struct Samples<const N: usize> {
    samples: Vec<([String; N], f64)>,
    seen: HashSet<[String; N]>,
}

impl<const N: usize> Samples<N> {
    /// Adds a series. One with the same label values as an earlier one is ignored: a series has one value.
    pub fn push(&mut self, labels: [&str; N], value: f64) {
        let labels = labels.map(str::to_owned);
        if self.seen.insert(labels.clone()) {
            self.samples.push((labels, value));
        }
    }
}

type Function<const N: usize> = dyn Fn(&mut Samples<N>) + Send + Sync;

/// A family whose series come from a function.
pub(crate) struct Callback<const N: usize> {
    descriptor: Arc<Descriptor>,
    inner: Arc<Inner<N>>,
}

struct Inner<const N: usize> {
    name: String,
    labels: Box<[Box<str>]>,
    function: Box<Function<N>>,
    panics: Option<Handle<Counter>>,
}

impl<const N: usize> Callback<N> {
    pub(crate) fn new(
        descriptor: Arc<Descriptor>,
        labels: [&str; N],
        function: Box<Function<N>>,
        panics: Option<Handle<Counter>>,
    ) -> Self {
        let labels = labels.into_iter().map(Box::from).collect();
        let inner = Inner { name: descriptor.name.clone(), labels, function, panics };
        Self { descriptor, inner: Arc::new(inner) }
    }
}

impl<const N: usize> fmt::Debug for Callback<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

impl<const N: usize> Source for Callback<N> {
    fn descriptor(&self) -> &Arc<Descriptor> {
        &self.descriptor
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(Waiting { inner: Arc::clone(&self.inner), samples: None })
    }
}

/// Not called before it is its turn.
struct Waiting<const N: usize> {
    inner: Arc<Inner<N>>,
    samples: Option<std::vec::IntoIter<([String; N], f64)>>,
}

impl<const N: usize> Inner<N> {
    fn call(&self) -> Vec<([String; N], f64)> {
        let mut samples = Samples { samples: Vec::new(), seen: HashSet::new() };
        if catch_unwind(AssertUnwindSafe(|| (self.function)(&mut samples))).is_ok() {
            return samples.samples;
        }
        // The panic itself was told by the panic hook.
        if let Some(panics) = &self.panics {
            panics.inc();
        }
        tracing::debug!(family = self.name, "a callback panicked; its family is left out");
        Vec::new()
    }
}

impl<const N: usize> Snapshot for Waiting<N> {
    fn encode(&mut self, writer: &mut FamilyWriter, out: &mut Vec<u8>, limit: usize) -> bool {
        let inner = &self.inner;
        let samples = self.samples.get_or_insert_with(|| inner.call().into_iter());
        while out.len() < limit {
            let Some((values, value)) = samples.next() else { return false };
            let values = values.each_ref().map(String::as_str);
            let text = Labels::text(inner.labels.iter().map(AsRef::as_ref).zip(values));
            let labels = Labels::Ready { text: &text, names: &inner.labels, key: &Key::new(&values) };
            writer.number(&labels, Number::Float(value), None, out);
        }
        true
    }
}
