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

/// The route templates, and one more value for everything else.
#[derive(Debug)]
pub(super) struct Endpoints {
    templates: Vec<Template>,
}

#[derive(Debug)]
struct Template {
    text: String,
    /// Whether a segment is a `{name}`.
    has_parameter: bool,
}

impl Endpoints {
    pub(super) fn new(templates: &[&str]) -> Self {
        let template =
            |text: &&str| Template { text: (*text).to_owned(), has_parameter: text.split('/').any(is_parameter) };
        Self { templates: templates.iter().map(template).collect() }
    }

    /// The label values; [`index`](Self::index) counts in this order.
    pub(super) fn labels(&self) -> Vec<String> {
        self.templates.iter().map(|template| template.text.clone()).chain(["other".to_owned()]).collect()
    }

    /// The place of the template that `path` matches, or of `other`.
    pub(super) fn index(&self, path: &str) -> usize {
        let exact = self.templates.iter().position(|template| !template.has_parameter && template.text == path);
        let matched = exact.or_else(|| {
            self.templates.iter().position(|template| template.has_parameter && matches(&template.text, path))
        });
        matched.unwrap_or(self.templates.len())
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
    fn paths_become_templates() {
        let endpoints = Endpoints::new(&["/a/{x}", "/a/b", "/", "/a/{x}/c/{y}"]);
        let labels = endpoints.labels();
        let check = |path: &str, expected: &str| assert_eq!(labels[endpoints.index(path)], expected, "{path}");
        check("/", "/");
        check("/a/b", "/a/b");
        check("/a/z", "/a/{x}");
        check("/a/z/c/1", "/a/{x}/c/{y}");
        for other in ["", "/a", "/a/", "/a/b/", "/a/z/c", "/a//c/1", "/A/b", "*"] {
            check(other, "other");
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
