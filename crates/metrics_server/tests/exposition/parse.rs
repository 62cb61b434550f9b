//! A reader of both text formats, strict where Prometheus is.

use std::collections::{BTreeMap, BTreeSet};

/// A sample's name and its labels, by which it is found whatever their order.
pub(crate) type SeriesId = (String, BTreeMap<String, String>);

#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) samples: BTreeMap<SeriesId, f64>,
    /// By the name in the `# TYPE` line.
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) help: BTreeMap<String, String>,
    pub(crate) exemplars: Vec<String>,
}

impl Document {
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }
}

/// Reads a document; any irregularity is a panic that quotes the line.
pub(crate) fn parse(text: &str, openmetrics: bool) -> Document {
    let body = if openmetrics { text.strip_suffix("# EOF\n").expect("ends in # EOF") } else { text };
    assert!(body.is_empty() || body.ends_with('\n'));
    let (mut document, mut family) = (Document::default(), String::new());
    let mut finished = BTreeSet::new();
    for line in body.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# ") {
            let (keyword, rest) = rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let (name, rest) = rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            if name != family {
                assert!(finished.insert(name.to_owned()), "a family in two places: {line:?}");
                family = name.to_owned();
            }
            match keyword {
                "HELP" => drop(document.help.insert(name.to_owned(), unescape(rest, openmetrics))),
                "TYPE" => drop(document.types.insert(name.to_owned(), rest.to_owned())),
                "UNIT" => assert!(openmetrics && name.ends_with(rest), "{line:?}"),
                _ => panic!("{line:?}"),
            }
            continue;
        }
        let (sample, exemplar) = sample(line, openmetrics);
        let kind = document.types.get(&family).unwrap_or_else(|| panic!("no type before {line:?}"));
        assert!(belongs(&sample.0.0, &family, kind, openmetrics), "{line:?} in {family} {kind}");
        assert!(document.samples.insert(sample.0, sample.1).is_none(), "twice: {line:?}");
        document.exemplars.extend(exemplar);
    }
    document
}

fn belongs(sample: &str, family: &str, kind: &str, openmetrics: bool) -> bool {
    let suffixes: &[&str] = match (kind, openmetrics) {
        ("counter", true) => &["_total"],
        ("info", true) => &["_info"],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("counter" | "gauge" | "untyped" | "unknown", _) => &[""],
        _ => &[],
    };
    sample.strip_prefix(family).is_some_and(|suffix| suffixes.contains(&suffix))
}

fn unescape(text: &str, quotes: bool) -> String {
    let (mut out, mut characters) = (String::new(), text.chars());
    while let Some(character) = characters.next() {
        assert!(character != '"' || !quotes, "a bare quote in {text:?}");
        out.push(if character != '\\' {
            character
        } else {
            match characters.next() {
                Some('n') => '\n',
                Some('\\') => '\\',
                Some('"') if quotes => '"',
                other => panic!("\\{other:?} in {text:?}"),
            }
        });
    }
    out
}

fn sample(line: &str, openmetrics: bool) -> ((SeriesId, f64), Option<String>) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
    let (name, rest) = line.split_at(end);
    let first = name.chars().next().unwrap_or_else(|| panic!("{line:?}"));
    let in_name = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    assert!(!first.is_ascii_digit() && name.chars().all(in_name), "{line:?}");
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, line),
        None => (BTreeMap::new(), rest),
    };
    let rest = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line:?}"));
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) if openmetrics => (value, Some(exemplar.to_owned())),
        _ => (rest, None),
    };
    (((name.to_owned(), labels), number(value)), exemplar)
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        _ => {
            assert!(text.starts_with(|first: char| first.is_ascii_digit() || first == '-'), "{text:?}");
            text.parse().unwrap_or_else(|_| panic!("{text:?}"))
        }
    }
}

/// The labels up to the `}`, and what comes after it.
fn labels<'a>(mut rest: &'a str, line: &str) -> (BTreeMap<String, String>, &'a str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
        let (mut end, mut escaped) = (None, false);
        for (at, character) in after.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.unwrap_or_else(|| panic!("{line:?}"));
        let twice = labels.insert(name.to_owned(), unescape(&after[..end], true));
        assert!(twice.is_none(), "{line:?}");
        rest = &after[end + 1..];
        match rest.strip_prefix('}') {
            Some(rest) => return (labels, rest),
            None => rest = rest.strip_prefix(',').unwrap_or_else(|| panic!("{line:?}")),
        }
    }
}
