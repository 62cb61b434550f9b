//! Series that tell something by their labels alone.

use super::Key;
use crate::encoding::{Descriptor, FamilyWriter, Labels, Number, Snapshot, Source};
use std::sync::Arc;

/// One series of value 1.
#[derive(Debug)]
pub(crate) struct Constant {
    descriptor: Arc<Descriptor>,
    series: Arc<Telling>,
}

#[derive(Debug)]
struct Telling {
    names: Box<[Box<str>]>,
    key: Key,
    text: Box<[u8]>,
}

impl Constant {
    pub(crate) fn new(descriptor: Arc<Descriptor>, labels: &[(&str, &str)]) -> Self {
        let names = labels.iter().map(|(name, _)| Box::from(*name)).collect();
        let values: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
        let text = Labels::text(labels.iter().copied());
        Self { descriptor, series: Arc::new(Telling { names, key: Key::new(&values), text }) }
    }
}

impl Source for Constant {
    fn descriptor(&self) -> &Arc<Descriptor> {
        &self.descriptor
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(Once(Arc::clone(&self.series)))
    }
}

struct Once(Arc<Telling>);

impl Snapshot for Once {
    fn encode(&mut self, writer: &mut FamilyWriter, out: &mut Vec<u8>, _: usize) -> bool {
        let Telling { names, key, text } = &*self.0;
        writer.number(&Labels::Ready { text, names, key }, Number::Unsigned(1), None, out);
        false
    }
}
