//! YAML read into a tree that knows its lines.
//!
//! Deserialising straight into structs would be shorter, but the library's messages then quote the value they dislike,
//! and a hash or a private key in the wrong place would end up in a log. Here every message about a value is our own.

use super::{Secret, WebConfigError};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::path::Path;

/// Bytes of the file itself; keys and certificates written into it take some kilobytes each.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Any YAML value.
#[derive(Clone)]
enum Node {
    Null,
    Bool(bool),
    /// A number or a text, as written where the library says so.
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;

        impl<'de> Visitor<'de> for AnyNode {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Node::Map(map))
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}

/// The keys of one mapping; what nobody took in the end is unknown.
pub(super) struct Section<'a> {
    file: &'a Path,
    /// With a dot behind it; empty at the top.
    prefix: String,
    line: u64,
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
}

/// A value and where it stands.
pub(super) struct Entry<'a> {
    file: &'a Path,
    key: String,
    line: u64,
    node: Node,
}

/// Reads a whole file; nothing in it is an empty section.
pub(super) fn read(file: &Path) -> Result<Section<'_>, WebConfigError> {
    let text = super::read_limited(file, FILE_BYTES_MAX)?;
    // A snippet of the file in an error would show the secrets around the mistake.
    let options = serde_saphyr::options! { with_snippet: false };
    let root: Option<Spanned<Node>> = serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        let reason = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
        WebConfigError::Syntax { path: file.to_owned(), line, reason }
    })?;
    let line = root.as_ref().map_or(1, |root| root.referenced.line());
    let node = root.map_or(Node::Null, |root| root.value);
    let entry = Entry { file, key: String::new(), line, node };
    Ok(entry.section()?.unwrap_or(Section { file, prefix: String::new(), line: 1, entries: vec![], known: vec![] }))
}

impl<'a> Section<'a> {
    /// The value of `key`; nothing if it is absent or null.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.push(key);
        let full = format!("{}{key}", self.prefix);
        let at = self.entries.iter().position(|entry| entry.key == full)?;
        Some(self.entries.remove(at)).filter(|entry| !matches!(entry.node, Node::Null))
    }

    /// The text of `key`; nothing if it is absent, null or empty, as in Go, where these are the same.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Text<'a>>, WebConfigError> {
        let text = self.take(key).map(Entry::text).transpose()?;
        Ok(text.filter(|text| !text.value.expose().is_empty()))
    }

    /// The value of the switch `key`.
    pub(super) fn switch(&mut self, key: &'static str) -> Result<Option<bool>, WebConfigError> {
        self.take(key)
            .map(|entry| match entry.node {
                Node::Bool(value) => Ok(value),
                _ => Err(entry.error("must be true or false")),
            })
            .transpose()
    }

    /// All entries, whatever their keys.
    pub(super) fn into_entries(self) -> Vec<Entry<'a>> {
        self.entries
    }

    /// An error about `key`, which need not be there.
    pub(super) fn error(&self, key: &str, reason: impl Into<String>) -> WebConfigError {
        let key = format!("{}{key}", self.prefix);
        WebConfigError::Key { path: self.file.to_owned(), line: self.line, key, reason: reason.into() }
    }

    /// Whether nothing stands in it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// # Errors
    ///
    /// A key that nobody asked for.
    pub(super) fn finish(&self) -> Result<(), WebConfigError> {
        match self.entries.first() {
            Some(unknown) => Err(unknown.error(format!("unknown key; known here are {}", self.known.join(", ")))),
            None => Ok(()),
        }
    }
}

impl<'a> Entry<'a> {
    /// The mapping that it must be.
    pub(super) fn section(self) -> Result<Option<Section<'a>>, WebConfigError> {
        let prefix = if self.key.is_empty() { String::new() } else { format!("{}.", self.key) };
        let file = self.file;
        let map = match self.node {
            Node::Map(map) => map,
            Node::Null => return Ok(None),
            _ if self.key.is_empty() => {
                let reason = "must be a mapping of keys such as tls_server_config".to_owned();
                return Err(WebConfigError::Syntax { path: file.to_owned(), line: self.line, reason });
            }
            _ => return Err(self.error("must be a mapping of keys to values")),
        };
        let entries = map.into_iter().map(|(key, node)| {
            let line = key.referenced.line();
            Entry { file, key: format!("{prefix}{}", key.value), line, node: node.value }
        });
        let entries: Vec<_> = entries.collect();
        Ok(Some(Section { file, prefix, line: self.line, entries, known: Vec::new() }))
    }

    /// The text or number that it must be.
    pub(super) fn text(self) -> Result<Text<'a>, WebConfigError> {
        match self.node {
            Node::Text(value) => {
                Ok(Text { file: self.file, key: self.key, line: self.line, value: Secret::new(value) })
            }
            _ => Err(self.error("must be a text")),
        }
    }

    /// The list of texts that it must be.
    pub(super) fn texts(self) -> Result<Vec<Text<'a>>, WebConfigError> {
        let Node::List(items) = self.node else {
            return Err(self.error("must be a list"));
        };
        let text = |item: Spanned<Node>| {
            let line = item.referenced.line();
            Entry { file: self.file, key: self.key.clone(), line, node: item.value }.text()
        };
        items.into_iter().map(text).collect()
    }

    /// The last part of the key: the user of a password, the name of a header.
    pub(super) fn name(&self, section: &str) -> String {
        self.key.strip_prefix(section).and_then(|key| key.strip_prefix('.')).unwrap_or(&self.key).to_owned()
    }

    /// An error about this value; `reason` must not quote it if it may be secret.
    pub(super) fn error(&self, reason: impl Into<String>) -> WebConfigError {
        let (path, key) = (self.file.to_owned(), self.key.clone());
        WebConfigError::Key { path, line: self.line, key, reason: reason.into() }
    }
}

/// A text and where it stands.
pub(super) struct Text<'a> {
    file: &'a Path,
    key: String,
    line: u64,
    pub(super) value: Secret,
}

impl Text<'_> {
    /// An error about this value; `reason` must not quote it if it may be secret.
    pub(super) fn error(&self, reason: impl Into<String>) -> WebConfigError {
        let (path, key) = (self.file.to_owned(), self.key.clone());
        WebConfigError::Key { path, line: self.line, key, reason: reason.into() }
    }
}
