//! Values of a frame as they are written.

use std::borrow::Cow;

use serde::{Deserialize as _, Deserializer};
use serde_json::value::RawValue;

use crate::{Decimal, DecodeError};

/// Keeps a value's text: the digits of a number that is to be exact, or a part that is read later.
pub(crate) fn lexeme<'de: 'f, 'f, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'f str>, D::Error> {
    Ok(Some(<&'f RawValue>::deserialize(deserializer)?.get()).filter(|text| *text != "null"))
}

/// A JSON number. A text in quotes is none.
pub(crate) fn number(field: &'static str, lexeme: Option<&str>) -> Result<Decimal, DecodeError> {
    Decimal::parse(field, lexeme.ok_or(DecodeError::Missing(field))?)
}

/// A JSON number that is not negative.
pub(crate) fn unsigned(field: &'static str, lexeme: Option<&str>) -> Result<Decimal, DecodeError> {
    Decimal::parse_unsigned(field, lexeme.ok_or(DecodeError::Missing(field))?)
}

/// What a JSON string says; none if it is none.
pub(crate) fn text_of(lexeme: &str) -> Option<Cow<'_, str>> {
    let inner = lexeme.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(lexeme).ok().map(Cow::Owned) } else { Some(inner.into()) }
}

/// A number that is not negative, in quotes or not.
pub(crate) fn number_or_text(field: &'static str, lexeme: &str) -> Result<Decimal, DecodeError> {
    Decimal::parse_unsigned(field, &text_of(lexeme).unwrap_or(lexeme.into()))
}
