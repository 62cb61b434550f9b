//! Which format and which compression a client asked for, by its `Accept` and `Accept-Encoding` (RFC 9110, 12.5).

use crate::encoding::Format;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName};

/// Most elements read of one header; Prometheus sends five, browsers eight. Later ones count as absent.
const ELEMENTS_MAX: usize = 64;

/// The quality of an element without `q`, in thousandths: the header's own resolution.
const QUALITY_MAX: u16 = 1000;

/// What Content-Type says for OpenMetrics 0.0.1, which differs from 1.0.0 in nothing that is written here.
const OPENMETRICS_0_0_1: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";

/// The format of an answer, and how the client wants it to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MediaType {
    pub(crate) format: Format,
    pub(crate) content_type: &'static str,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// The value of Content-Encoding, which an uncompressed answer does not have.
    pub(crate) fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The media type for `Accept`: the one the client gives the highest quality, and among equals the one it names first.
///
/// Without the header, with `*/*`, and when nothing fits, that is text 0.0.4, as in Prometheus' own libraries: a person
/// can read it, every scraper understands it, and refusing would only turn a wrong header into a lost target.
pub(crate) fn media_type(headers: &HeaderMap) -> MediaType {
    let elements = Elements::of(headers, &ACCEPT);
    let mut best = (0, usize::MAX, OFFERS[0]);
    for offer in OFFERS {
        // The most specific range decides about an offer, so that `text/plain;q=0, */*` excludes text.
        let ranges = elements.0.iter().enumerate().filter_map(|(place, range)| Some((offer.fits(range)?, place)));
        let Some((_, place)) = ranges.max_by_key(|&(specificity, place)| (specificity, std::cmp::Reverse(place)))
        else {
            continue;
        };
        let quality = elements.0[place].quality;
        if quality > best.0 || (quality == best.0 && quality > 0 && place < best.1) {
            best = (quality, place, offer);
        }
    }
    best.2.media_type
}

/// The coding for `Accept-Encoding`; `None` if the client accepts none that there is, not even the plain one.
///
/// Among equals zstd wins over gzip, since it takes less time for fewer bytes, and both over no compression.
pub(crate) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let elements = Elements::of(headers, &ACCEPT_ENCODING);
    let named = |names: &[&str]| {
        let is_named = |element: &&Element| names.iter().any(|name| element.value.eq_ignore_ascii_case(name));
        elements.0.iter().find(is_named).map(|element| element.quality)
    };
    let wildcard = named(&["*"]);
    let offers = [
        (Coding::Zstd, named(&["zstd"]).or(wildcard).unwrap_or(0)),
        (Coding::Gzip, named(&["gzip", "x-gzip"]).or(wildcard).unwrap_or(0)),
        // Acceptable unless excluded, but with less than any quality that can be given to the others.
        (Coding::Identity, named(&["identity"]).or(wildcard.map(|quality| quality.min(1))).unwrap_or(1)),
    ];
    let mut best = None;
    for (coding, quality) in offers {
        if quality > 0 && best.is_none_or(|(_, highest)| quality > highest) {
            best = Some((coding, quality));
        }
    }
    best.map(|(coding, _)| coding)
}

/// A media type that can be served, and the ranges that mean it.
#[derive(Clone, Copy)]
struct Offer {
    media_type: MediaType,
    kind: &'static str,
    subtype: &'static str,
    /// Whether `type/*` and `*/*` stand for it: the first is claimed by one offer of each type, the second by text.
    for_type: bool,
    for_all: bool,
    /// What the parameters of a range may say, in lower case; others exclude the offer. `escaping` may say anything:
    /// all names here are of the old alphabet, which every scheme leaves as they are.
    parameters: &'static [(&'static str, &'static str)],
    /// A parameter without which a range does not mean this offer.
    required: Option<&'static str>,
}

/// In the order of preference where the client has none.
const OFFERS: [Offer; 4] = [
    Offer {
        media_type: MediaType { format: Format::Text, content_type: Format::Text.content_type() },
        kind: "text",
        subtype: "plain",
        for_type: true,
        for_all: true,
        parameters: &[("version", "0.0.4"), ("charset", "utf-8")],
        required: None,
    },
    Offer {
        media_type: MediaType { format: Format::OpenMetrics, content_type: Format::OpenMetrics.content_type() },
        kind: "application",
        subtype: "openmetrics-text",
        for_type: true,
        for_all: false,
        parameters: &[("version", "1.0.0"), ("charset", "utf-8")],
        required: None,
    },
    Offer {
        media_type: MediaType { format: Format::OpenMetrics, content_type: OPENMETRICS_0_0_1 },
        kind: "application",
        subtype: "openmetrics-text",
        for_type: false,
        for_all: false,
        parameters: &[("version", "0.0.1"), ("charset", "utf-8")],
        required: Some("version"),
    },
    Offer {
        media_type: MediaType { format: Format::Protobuf, content_type: Format::Protobuf.content_type() },
        kind: "application",
        subtype: "vnd.google.protobuf",
        for_type: false,
        for_all: false,
        parameters: &[("proto", "io.prometheus.client.metricfamily"), ("encoding", "delimited")],
        required: Some("proto"),
    },
];

impl Offer {
    /// How specifically the range means this offer, if it does.
    fn fits(&self, range: &Element<'_>) -> Option<usize> {
        let (kind, subtype) = range.value.split_once('/')?;
        match (kind.trim(), subtype.trim()) {
            ("*", "*") => self.for_all.then_some(0),
            (kind, "*") => (self.for_type && kind.eq_ignore_ascii_case(self.kind)).then_some(1),
            (kind, subtype) => {
                let is_same = kind.eq_ignore_ascii_case(self.kind) && subtype.eq_ignore_ascii_case(self.subtype);
                let has_required = self.required.is_none_or(|name| range.parameters.iter().any(|(key, _)| key == name));
                let parameters_fit = range.parameters.iter().all(|(key, value)| {
                    let expected = self.parameters.iter().find(|(known, _)| key == known);
                    key == "escaping" || expected.is_some_and(|(_, expected)| value.eq_ignore_ascii_case(expected))
                });
                (is_same && has_required && parameters_fit).then_some(2 + range.parameters.len())
            }
        }
    }
}

/// The elements of a header that is a list with qualities.
struct Elements<'a>(Vec<Element<'a>>);

struct Element<'a> {
    value: &'a str,
    /// Names in lower case; values without their quotes. `q` is not among them.
    parameters: Vec<(String, &'a str)>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Elements<'a> {
    /// A header that is no text counts as absent, and a quality that is no number as 0.
    fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        Self(texts.flat_map(|text| split(text, b',')).filter_map(Element::parse).take(ELEMENTS_MAX).collect())
    }
}

impl<'a> Element<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut pieces = split(text, b';');
        let value = pieces.next().map(str::trim).filter(|value| !value.is_empty())?;
        let mut element = Self { value, parameters: Vec::new(), quality: QUALITY_MAX };
        for (key, value) in pieces.filter_map(|piece| piece.split_once('=')) {
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            if key == "q" {
                element.quality = quality(value);
            } else {
                element.parameters.push((key, value));
            }
        }
        Some(element)
    }
}

fn quality(text: &str) -> u16 {
    let value: f32 = text.parse().unwrap_or(0.0);
    // NaN becomes 0 in the conversion.
    (value.clamp(0.0, 1.0) * f32::from(QUALITY_MAX)).round() as u16
}

/// The pieces between separators that are not within quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        let end = text.bytes().position(|byte| {
            is_quoted ^= byte == b'"';
            byte == separator && !is_quoted
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = Format::Text.content_type();
    const OPENMETRICS: &str = Format::OpenMetrics.content_type();
    const PROTOBUF: &str = Format::Protobuf.content_type();

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_scrapers_there_are_get_what_they_ask_for() {
        let check = |accept: &str, expected: &str| {
            assert_eq!(media_type(&headers(&ACCEPT, &[accept])).content_type, expected, "{accept}");
        };
        // Prometheus 2.42, without and with native histograms; Grafana Agent sends the same.
        let openmetrics = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                           text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        check(openmetrics, OPENMETRICS);
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            PROTOBUF,
        );
        // Prometheus 3, without and with native histograms, and restricted to the text format.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPENMETRICS,
        );
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            PROTOBUF,
        );
        check("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4", TEXT);
        // VictoriaMetrics; Firefox; Chrome; curl; telegraf.
        check("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT);
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7",
            TEXT,
        );
        check("*/*", TEXT);
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
             text/plain;version=0.0.4;q=0.3",
            PROTOBUF,
        );
    }

    #[test]
    fn media_types_by_quality_then_by_the_clients_order() {
        let check = |accept: &[&str], expected: &str| {
            assert_eq!(media_type(&headers(&ACCEPT, accept)).content_type, expected, "{accept:?}");
        };
        check(&[], TEXT);
        check(&[""], TEXT);
        check(&["image/png"], TEXT);
        check(&["text/*"], TEXT);
        check(&["application/*"], OPENMETRICS);
        check(&["application/openmetrics-text"], OPENMETRICS);
        check(&["application/openmetrics-text; version=0.0.1"], OPENMETRICS_0_0_1);
        check(&["application/openmetrics-text; version=0.0.1,*/*"], OPENMETRICS_0_0_1);
        check(&["application/openmetrics-text; version=2.0.0"], TEXT);
        check(&["APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; CHARSET=UTF-8"], OPENMETRICS);
        check(&["application/openmetrics-text; charset=latin1"], TEXT);
        check(&["application/vnd.google.protobuf"], TEXT);
        check(&["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"], TEXT);
        check(&["text/plain,application/openmetrics-text"], TEXT);
        check(&["application/openmetrics-text,text/plain"], OPENMETRICS);
        check(&["text/plain;q=0.5", "application/openmetrics-text;q=0.501"], OPENMETRICS);
        check(&["text/plain;q=0,application/openmetrics-text;q=0.001"], OPENMETRICS);
        check(&["text/plain;version=0.0.4;q=0.2,text/plain;q=0.9,application/openmetrics-text;q=0.5"], OPENMETRICS);
        check(&["application/openmetrics-text;q=0,*/*"], TEXT);
        check(&["application/openmetrics-text;q=nonsense,text/plain;q=0.1"], TEXT);
        check(&["application/openmetrics-text;q=0"], TEXT);
        // A comma and a semicolon in a quoted value end nothing.
        check(
            &["application/json;profile=\"a,b;q=1\",application/openmetrics-text;q=0.5,text/plain;q=0.4"],
            OPENMETRICS,
        );
        check(&[&"image/png,".repeat(1000), "application/openmetrics-text"], TEXT);
    }

    #[test]
    fn codings_by_quality() {
        use Coding::{Gzip, Identity, Zstd};
        let check = |accept: &[&str], expected: Option<Coding>| {
            assert_eq!(coding(&headers(&ACCEPT_ENCODING, accept)), expected, "{accept:?}");
        };
        check(&[], Some(Identity));
        check(&[""], Some(Identity));
        check(&["gzip"], Some(Gzip));
        check(&["x-gzip"], Some(Gzip));
        check(&["deflate, gzip, br, zstd"], Some(Zstd));
        check(&["gzip;q=1.0, zstd;q=0.5"], Some(Gzip));
        check(&["GZIP;Q=0.1"], Some(Gzip));
        check(&["gzip;q=0"], Some(Identity));
        check(&["identity, gzip;q=0.5"], Some(Identity));
        check(&["identity;q=0.5, gzip;q=0.6"], Some(Gzip));
        check(&["br"], Some(Identity));
        check(&["*"], Some(Zstd));
        check(&["*;q=0.5, zstd;q=0"], Some(Gzip));
        check(&["identity;q=0"], None);
        check(&["*;q=0"], None);
        check(&["br, *;q=0"], None);
        check(&["identity;q=0, gzip"], Some(Gzip));
        check(&["*;q=0, identity;q=0.1"], Some(Identity));
        check(&["identity;q=0", "zstd"], Some(Zstd));
    }
}
