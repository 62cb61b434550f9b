//! STAND-IN, to be deleted when the encoder of its own is merged: the same names over prometheus-client's encoders.

use crate::exposition::{EncodeError, Exposition};
use prometheus_client::encoding::{prometheus_protobuf, text};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct NameFilter(BTreeSet<String>);

impl<S: Into<String>> FromIterator<S> for NameFilter {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

pub(crate) struct Encoder {
    document: Result<Vec<u8>, Option<EncodeError>>,
    at: usize,
}

impl Encoder {
    pub(crate) fn encode_chunk(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        let document = match &mut self.document {
            Ok(document) => document,
            Err(error) => return Err(error.take().unwrap_or(EncodeError::from(std::fmt::Error))),
        };
        let end = (self.at + 64 * 1024).min(document.len());
        out.extend_from_slice(&document[self.at..end]);
        self.at = end;
        Ok(end < document.len())
    }
}

impl Exposition {
    pub(crate) fn encoder(&self, format: Format, names: Option<NameFilter>) -> Encoder {
        let document = match format {
            Format::Protobuf => {
                prometheus_protobuf::encode_to_vec(&self.registry).map_err(|_| Some(std::fmt::Error.into()))
            }
            format => {
                let mut all = String::new();
                text::encode(&mut all, &self.registry).map_err(|error| Some(error.into())).map(|()| {
                    let kept = |line: &&str| match (&names, format) {
                        _ if *line == "# EOF" => format == Format::OpenMetrics,
                        (None, _) => true,
                        (Some(names), _) => {
                            let word = line.strip_prefix("# TYPE ").or(line.strip_prefix("# HELP ")).unwrap_or(line);
                            let name = word.split([' ', '{']).next().unwrap_or("");
                            names.0.iter().any(|wanted| name.starts_with(wanted.trim_end_matches("_total")))
                        }
                    };
                    let lines: Vec<&str> = all.lines().filter(kept).collect();
                    (lines.join("\n") + "\n").into_bytes()
                })
            }
        };
        Encoder { document, at: 0 }
    }
}
