//! All families of a program, ours and the client library's, with names that do not clash.

use crate::encoding::{Descriptor, Kind, Source, is_label_name, is_metric_name};
use crate::families::{
    Builder, Callback, Constant, Counter, Family, FloatCounter, Gauge, Handle, Histogram, HistogramSettings, IntGauge,
    Metric, Samples, ShardedCounter,
};
use prometheus_client::registry::Registry as ClientRegistry;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// Names of bad families that are remembered so as to be logged only once.
const LOGGED_NAMES: usize = 100;

/// The metrics of a program: our own families, for what is counted often or scraped large, and a registry of the
/// client library beside them. [`Exposition`](crate::Exposition) makes one document of both.
///
/// ```
/// # fn main() -> Result<(), metrics_server::RegisterError> {
/// let mut registry = metrics_server::Registry::new();
/// let messages = registry
///     .counter("gpu_charts_exchange_messages", "Frames received")
///     .labels(["exchange", "message_type"])
///     .cap(500)
///     .register()?;
/// messages.with(["coinbase", "trade"]).inc();
///
/// let text = metrics_server::Exposition::new(registry).encode().unwrap();
/// assert!(text.contains("gpu_charts_exchange_messages_total{exchange=\"coinbase\",message_type=\"trade\"} 1\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Registry {
    client: ClientRegistry,
    sources: Vec<Arc<dyn Source>>,
    /// Every name in use, and the family that uses it.
    claimed: HashMap<String, String>,
    overflowed: Option<Family<Counter, 1>>,
    invalid: Option<Handle<Counter>>,
    logged: Mutex<HashSet<String>>,
}

/// A family cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Not a letter, `_` or `:`, followed by more of them or digits.
    #[error("{0:?} is not a metric name: letters, digits, _ and :, not a digit first")]
    Name(String),
    /// The suffix is added by the encoder.
    #[error("{name} must be registered without {suffix}, which is added in the exposition")]
    Suffix {
        /// The name as it was given.
        name: String,
        /// What it must not end in.
        suffix: &'static str,
    },
    /// Not a letter or `_`, followed by more of them or digits.
    #[error("{label:?} of {name} is not a label name: letters, digits and _, not a digit first")]
    Label {
        /// The family.
        name: String,
        /// The label.
        label: String,
    },
    /// `le` of a histogram, or a name that starts with `__`.
    #[error("{label:?} of {name} is reserved for Prometheus itself")]
    Reserved {
        /// The family.
        name: String,
        /// The label.
        label: String,
    },
    /// The family has this label twice.
    #[error("{name} has the label {label:?} twice")]
    LabelTwice {
        /// The family.
        name: String,
        /// The label.
        label: String,
    },
    /// The name of the family, or of one of its samples, is in use.
    #[error("{name} needs the name {sample}, which {by} uses already")]
    Taken {
        /// The family.
        name: String,
        /// The name that is needed twice.
        sample: String,
        /// The family that was there first.
        by: String,
    },
    /// The bounds or the native buckets of a histogram are impossible.
    #[error("the buckets of {name} are impossible: {reason}")]
    Buckets {
        /// The family.
        name: String,
        /// What is wrong with them.
        reason: &'static str,
    },
}

/// What the numbers of a callback mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackKind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
}

impl Default for Registry {
    fn default() -> Self {
        Self::from(ClientRegistry::default())
    }
}

impl From<ClientRegistry> for Registry {
    fn from(client: ClientRegistry) -> Self {
        let mut registry = Self {
            client,
            sources: Vec::new(),
            claimed: HashMap::new(),
            overflowed: None,
            invalid: None,
            logged: Mutex::default(),
        };
        let help = "Updates that went to the series other because their family had as many series as it may have";
        let builder = registry.counter("metrics_server_series_overflowed", help);
        // The registry is empty and the names are good ones: neither of the two can be refused.
        let overflowed = builder.labels(["family"]).cap(usize::MAX).register().ok();
        let help = "Families left out of an exposition because of their name, their labels or a panic; each time";
        let invalid = registry.counter("metrics_server_families_invalid", help).register().ok();
        registry.overflowed = overflowed;
        registry.invalid = invalid;
        registry
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client library's registry, for its metrics and collectors. What it holds is checked at each scrape.
    pub fn client(&mut self) -> &mut ClientRegistry {
        &mut self.client
    }

    /// A counter of whole numbers. `name` goes without `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> Builder<'_, Counter> {
        self.builder(name, help, ())
    }

    /// A counter of fractions, such as seconds. `name` goes without `_total`.
    pub fn float_counter(&mut self, name: &str, help: &str) -> Builder<'_, FloatCounter> {
        self.builder(name, help, ())
    }

    /// A counter of whole numbers that many threads increment at once, each in a place of its own. `name` goes
    /// without `_total`.
    pub fn sharded_counter(&mut self, name: &str, help: &str) -> Builder<'_, ShardedCounter> {
        self.builder(name, help, ())
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str) -> Builder<'_, Gauge> {
        self.builder(name, help, ())
    }

    /// A whole number that goes up and down.
    pub fn int_gauge(&mut self, name: &str, help: &str) -> Builder<'_, IntGauge> {
        self.builder(name, help, ())
    }

    /// A histogram; with the buckets 0.005 to 10 that are usual for seconds, unless the builder is told others.
    pub fn histogram(&mut self, name: &str, help: &str) -> Builder<'_, Histogram> {
        self.builder(name, help, HistogramSettings::default())
    }

    /// A series whose labels tell something and whose value is 1. `name` goes without `_info`.
    ///
    /// # Errors
    ///
    /// The name or a label is refused.
    pub fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [(&str, &str); N],
    ) -> Result<(), RegisterError> {
        let descriptor = self.describe(name, help, Kind::Info, &labels.map(|(name, _)| name))?;
        let constant = Constant::new(descriptor, &labels);
        self.add(Arc::new(constant));
        Ok(())
    }

    /// Numbers that are asked for at each scrape: `callback` adds one for each series it knows. It runs on the thread
    /// that encodes, which it holds up; if it panics, its family is missing from that exposition.
    ///
    /// A counter's `name` goes without `_total`.
    ///
    /// # Errors
    ///
    /// The name or a label is refused.
    pub fn callback<const N: usize>(
        &mut self,
        kind: CallbackKind,
        name: &str,
        help: &str,
        labels: [&str; N],
        callback: impl Fn(&mut Samples<N>) + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        let kind = match kind {
            CallbackKind::Counter => Kind::Counter,
            CallbackKind::Gauge => Kind::Gauge,
        };
        let descriptor = self.describe(name, help, kind, &labels)?;
        let source = Callback::new(descriptor, labels, Box::new(callback), self.invalid.clone());
        self.add(Arc::new(source));
        Ok(())
    }

    fn builder<M: Metric>(&mut self, name: &str, help: &str, settings: M::Settings) -> Builder<'_, M> {
        Builder::new(self, name, help, settings)
    }

    /// Checks all names, and takes them if they are good.
    pub(crate) fn describe(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        labels: &[&str],
    ) -> Result<Arc<Descriptor>, RegisterError> {
        if !is_metric_name(name) {
            return Err(RegisterError::Name(name.to_owned()));
        }
        let suffix = kind.suffix();
        if !suffix.is_empty() && name.ends_with(suffix) {
            return Err(RegisterError::Suffix { name: name.to_owned(), suffix });
        }
        check_labels(name, kind, labels)?;
        let descriptor = Descriptor { name: name.to_owned(), help: help.to_owned(), unit: String::new(), kind };
        let names = descriptor.claimed_names();
        for sample in &names {
            if let Some(by) = self.claimed.get(sample) {
                let (name, sample, by) = (name.to_owned(), sample.clone(), by.clone());
                return Err(RegisterError::Taken { name, sample, by });
            }
        }
        self.claimed.extend(names.into_iter().map(|sample| (sample, name.to_owned())));
        Ok(Arc::new(descriptor))
    }

    pub(crate) fn add(&mut self, source: Arc<dyn Source>) {
        self.sources.push(source);
    }

    /// The counter of a family's overflow, which is there from the start so that its rate is right from the start.
    pub(crate) fn overflowed(&self, name: &str) -> Option<Handle<Counter>> {
        self.overflowed.as_ref().map(|overflowed| overflowed.handle([name]))
    }

    pub(crate) fn sources(&self) -> &[Arc<dyn Source>] {
        &self.sources
    }

    pub(crate) fn client_ref(&self) -> &ClientRegistry {
        &self.client
    }

    pub(crate) fn claimed_names(&self) -> HashSet<String> {
        self.claimed.keys().cloned().collect()
    }

    /// Counts a family that is left out, and logs it the first time.
    pub(crate) fn invalid(&self, name: &str, reason: &dyn Display) {
        if let Some(invalid) = &self.invalid {
            invalid.inc();
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < LOGGED_NAMES && logged.insert(name.to_owned()) {
            drop(logged);
            tracing::error!(family = name, %reason, "metric family left out of the exposition");
        }
    }
}

fn check_labels(name: &str, kind: Kind, labels: &[&str]) -> Result<(), RegisterError> {
    for (index, label) in labels.iter().enumerate() {
        let (name, owned) = (name.to_owned(), (*label).to_owned());
        if !is_label_name(label) {
            return Err(RegisterError::Label { name, label: owned });
        }
        if label.starts_with("__") || (kind == Kind::Histogram && *label == "le") {
            return Err(RegisterError::Reserved { name, label: owned });
        }
        if labels[..index].contains(label) {
            return Err(RegisterError::LabelTwice { name, label: owned });
        }
    }
    Ok(())
}
