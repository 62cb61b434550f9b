//! A web config with the files it names, whole and with a key removed.

use crate::certificates::{Authority, Identity, stranger};
use crate::running::{Running, start, written};
use std::fs;
use tempfile::TempDir;

/// Files and identities that all fixtures may name.
pub(crate) struct Fixture {
    pub(crate) authority: Authority,
    pub(crate) server: Identity,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let fixture = Self { server: authority.server(), authority, directory: tempfile::tempdir().unwrap() };
        fixture.write("cert.pem", &fixture.server.cert);
        fixture.write("key.pem", &fixture.server.key);
        fixture.write("ca.pem", &fixture.authority.pem());
        fixture
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes an identity beside the others, for curl: its certificate and its key.
    pub(crate) fn client(&self, name: &str, identity: &Identity) -> [String; 4] {
        self.write(&format!("{name}.cert"), &identity.cert);
        self.write(&format!("{name}.key"), &identity.key);
        ["--cert".into(), self.path(&format!("{name}.cert")), "--key".into(), self.path(&format!("{name}.key"))]
    }

    pub(crate) fn stranger(&self) -> [String; 4] {
        self.client("stranger", &stranger())
    }

    pub(crate) async fn start(&self, config: &str) -> Result<Running, String> {
        start(written(self.directory.path(), config)).await
    }

    /// Sees `effect` with the whole config and does not see it without `key`, which then is not even an endpoint if
    /// `refused` is what is said to that.
    pub(crate) async fn check(
        &self,
        config: &str,
        key: &str,
        refused: Option<&str>,
        effect: impl AsyncFn(&Running) -> bool,
    ) {
        let whole = self.start(config).await.unwrap_or_else(|error| panic!("{config}: {error}"));
        assert!(effect(&whole).await, "no effect of {key} in {config}");
        let less = without(config, key);
        assert_ne!(less, config);
        match (self.start(&less).await, refused) {
            (Ok(less), None) => assert!(!effect(&less).await, "the effect of {key} without it"),
            (Err(error), Some(refused)) => assert!(error.contains(refused), "{error} without {refused:?}"),
            (Ok(_), Some(_)) => panic!("not refused: {less}"),
            (Err(error), None) => panic!("{less}: {error}"),
        }
    }
}

/// The text without a key and what stands under it.
fn without(config: &str, key: &str) -> String {
    let (mut kept, mut removed_at) = (String::new(), None);
    for line in config.lines() {
        let indent = line.len() - line.trim_start().len();
        if removed_at.is_some_and(|removed_at| indent > removed_at) {
            continue;
        }
        removed_at = line.trim_start().starts_with(&format!("{key}:")).then_some(indent);
        if removed_at.is_none() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Under a key, as YAML wants it.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
