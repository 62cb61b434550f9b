//! Files that hold nothing but secrets.

use super::{Secret, WebConfigError, read_limited};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a file of tokens.
const TOKENS_BYTES_MAX: u64 = 256 << 10;
/// Every request with a token compares it with all of them.
const TOKENS_MAX: usize = 1024;
/// Characters; `openssl rand -hex 16` makes 32. Tokens are not slowed down by hashing, so they must not be guessable.
const TOKEN_LENGTH_MIN: usize = 20;
const TOKEN_LENGTH_MAX: usize = 1024;
const PASSWORD_BYTES_MAX: u64 = 1024;

/// The tokens of a `bearer_tokens_file`: one a line; empty lines and those that begin with `#` do not count.
///
/// # Errors
///
/// [`WebConfigError`] with the line; no token is shown.
pub(crate) fn bearer_tokens(path: &Path) -> Result<Vec<Secret>, WebConfigError> {
    let text = read_limited(path, TOKENS_BYTES_MAX)?;
    let error = |line, reason: String| Err(WebConfigError::Syntax { path: path.to_owned(), line, reason });
    let mut tokens: BTreeMap<&str, u64> = BTreeMap::new();
    for (line, token) in (1..).zip(text.lines().map(str::trim)) {
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        if !(TOKEN_LENGTH_MIN..=TOKEN_LENGTH_MAX).contains(&token.len()) {
            let length = token.len();
            let range = format!("{TOKEN_LENGTH_MIN} to {TOKEN_LENGTH_MAX} characters");
            return error(
                line,
                format!("a token must have {range}, this one has {length}; try `openssl rand -hex 32`"),
            );
        }
        if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
            return error(line, "a token may have letters, digits and -._~+/= only; one token a line".to_owned());
        }
        if let Some(first) = tokens.insert(token, line) {
            return error(line, format!("the same token as in line {first}"));
        }
        if tokens.len() > TOKENS_MAX {
            return error(line, format!("more than {TOKENS_MAX} tokens"));
        }
    }
    if tokens.is_empty() {
        return error(1, "has no token; write one a line, or remove bearer_tokens_file".to_owned());
    }
    Ok(tokens.into_keys().map(Secret::new).collect())
}

/// The password in a file: its one line.
///
/// # Errors
///
/// [`WebConfigError`]; the password is not shown.
pub(crate) fn password(path: &Path) -> Result<Secret, WebConfigError> {
    let text = read_limited(path, PASSWORD_BYTES_MAX)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.contains(char::is_control) {
        let reason = "must hold a password on one line, and nothing else".to_owned();
        return Err(WebConfigError::Syntax { path: path.to_owned(), line: 1, reason });
    }
    Ok(Secret::new(text))
}

/// Whether every user of the host can read the file.
pub(crate) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Secret>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().display().to_string();
        bearer_tokens(file.path()).map_err(|error| error.to_string().replace(&path, "FILE"))
    }

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn one_token_a_line() {
        let read = tokens(&format!("# scraper\n{A}\n\n  b64+/=-._~bbbbbbbbbbbbbbb  \r\n")).unwrap();
        let read: Vec<_> = read.iter().map(Secret::expose).collect();
        assert_eq!(read, [A, "b64+/=-._~bbbbbbbbbbbbbbb"]);
    }

    #[test]
    fn mistakes_are_named_and_tokens_are_not() {
        let check = |text: &str, expected: &str| {
            let message = tokens(text).unwrap_err();
            assert!(message.contains(expected) && !message.contains("aaa"), "{message}");
        };
        check("# none\n\n", "FILE:1: has no token");
        check("\naaaaaaaa\n", "FILE:2: a token must have 20 to 1024 characters, this one has 8");
        check(&format!("{A} {A}\n"), "FILE:1: a token may have letters");
        check(&format!("{A}\n#\n{A}\n"), "FILE:3: the same token as in line 1");
        check(&"a".repeat(300_000), "longer than 262144 bytes");
        assert!(bearer_tokens(Path::new("/dev/zero")).unwrap_err().to_string().contains("not a regular file"));
    }

    #[test]
    fn a_password_is_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [("se cret\n", Some("se cret")), ("ü\r\n", Some("ü")), ("\n", None), ("a\nb\n", None)]
        {
            std::fs::write(file.path(), text).unwrap();
            let read = password(file.path()).ok();
            assert_eq!(read.as_ref().map(Secret::expose), expected, "{text:?}");
        }
    }

    #[test]
    fn files_of_secrets_are_not_for_everybody() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_exposed(file.path()), expected, "{mode:o}");
        }
    }
}
