//! The closed sets of label values.

/// The methods told apart. Any token is a valid method, so what a client may send must not become a label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Head,
    Options,
    Put,
    Delete,
    Other,
}

impl Method {
    pub(super) const ALL: [Self; 7] =
        [Self::Get, Self::Post, Self::Head, Self::Options, Self::Put, Self::Delete, Self::Other];

    pub(super) fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET => Self::Get,
            http::Method::POST => Self::Post,
            http::Method::HEAD => Self::Head,
            http::Method::OPTIONS => Self::Options,
            http::Method::PUT => Self::Put,
            http::Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}

/// Which labels the series carry; those that are dropped have one value each, which is not written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels {
    pub(super) method: bool,
    pub(super) endpoint: bool,
    pub(super) status: bool,
}

impl Labels {
    pub(super) const ALL: Self = Self { method: true, endpoint: true, status: true };
}

/// The label value of paths that match no template.
const OTHER: &str = "other";

/// The route templates, the label values they stand for, and one more value for everything else.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    templates: Vec<Template>,
    labels: Vec<String>,
}

#[derive(Debug)]
struct Template {
    text: String,
    /// Whether a segment is a `{name}`.
    has_parameter: bool,
    /// The place of the label value; `None` for paths that are not measured.
    label: Option<usize>,
}

impl Endpoints {
    /// Counts paths that match the template under `label`, which several templates may share.
    pub(super) fn group(&mut self, template: &str, label: &str) {
        if label == OTHER {
            // The place of what matches nothing; it is known once all labels are.
            return self.add(template, Some(usize::MAX));
        }
        let known = self.labels.iter().position(|known| known == label);
        let place = known.unwrap_or_else(|| {
            self.labels.push(label.to_owned());
            self.labels.len() - 1
        });
        self.add(template, Some(place));
    }

    /// Leaves paths that match the template out.
    pub(super) fn skip(&mut self, template: &str) {
        self.add(template, None);
    }

    fn add(&mut self, template: &str, label: Option<usize>) {
        let has_parameter = template.split('/').any(is_parameter);
        self.templates.push(Template { text: template.to_owned(), has_parameter, label });
    }

    /// The label values; [`place`](Self::place) counts in this order.
    pub(super) fn labels(&self) -> Vec<String> {
        self.labels.iter().cloned().chain([OTHER.to_owned()]).collect()
    }

    /// The place of the label value of `path`, maybe that of `other`; `None` if it is not measured.
    pub(super) fn place(&self, path: &str) -> Option<usize> {
        let exact = self.templates.iter().find(|template| !template.has_parameter && template.text == path);
        let matched = exact
            .or_else(|| self.templates.iter().find(|template| template.has_parameter && matches(&template.text, path)));
        let other = self.labels.len();
        matched.map_or(Some(other), |template| template.label.map(|place| place.min(other)))
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

fn matches(template: &str, path: &str) -> bool {
    let (mut expected, mut actual) = (template.split('/'), path.split('/'));
    loop {
        match (expected.next(), actual.next()) {
            (None, None) => return true,
            (Some(rest), Some(segment)) if is_parameter(rest) && rest.starts_with("{*") => return !segment.is_empty(),
            (Some(parameter), Some(segment)) if is_parameter(parameter) && !segment.is_empty() => {}
            (Some(expected), Some(actual)) if expected == actual => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_labels() {
        let mut endpoints = Endpoints::default();
        for template in ["/a/{x}", "/a/b", "/", "/a/{x}/c/{y}"] {
            endpoints.group(template, template);
        }
        endpoints.group("/static/{*file}", "assets");
        endpoints.group("/favicon.ico", "assets");
        endpoints.skip("/health");
        endpoints.skip("/internal/{*rest}");
        let labels = endpoints.labels();
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(endpoints.place(path).map(|place| labels[place].as_str()), expected, "{path}");
        };
        check("/", Some("/"));
        check("/a/b", Some("/a/b"));
        check("/a/z", Some("/a/{x}"));
        check("/a/z/c/1", Some("/a/{x}/c/{y}"));
        check("/static/x", Some("assets"));
        check("/static/x/y/z.css", Some("assets"));
        check("/favicon.ico", Some("assets"));
        check("/health", None);
        check("/internal/a/b", None);
        for other in ["", "/a", "/a/", "/a/b/", "/a/z/c", "/a//c/1", "/A/b", "*", "/static", "/static/", "/health/"] {
            check(other, Some("other"));
        }
    }

    #[test]
    fn methods_are_a_closed_set() {
        for method in Method::ALL {
            let parsed = http::Method::from_bytes(method.as_str().as_bytes()).unwrap();
            assert_eq!(Method::of(&parsed), method);
        }
        assert_eq!(Method::of(&http::Method::PATCH), Method::Other);
        assert_eq!(Method::of(&http::Method::from_bytes(b"get").unwrap()), Method::Other);
    }
}
