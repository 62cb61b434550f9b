//! Why a frame was not understood.

/// A frame that could not be decoded, or one of its messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is not the JSON that the protocol describes.
    #[error("not the JSON expected: {0}")]
    Json(String),
    /// The message's type is not one the protocol describes.
    #[error("unknown message type `{0}`")]
    UnknownType(String),
    /// A field that this message must have is missing.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field's value is not what it must be.
    #[error("field `{field}` has the value `{value}`")]
    Value {
        /// The field's name in the frame.
        field: &'static str,
        /// Its text, cut to 64 bytes.
        value: String,
    },
}

impl DecodeError {
    /// A short name of the reason, for logging once per reason.
    pub fn reason(&self) -> &'static str {
        match self {
            DecodeError::Json(_) => "json",
            DecodeError::UnknownType(_) => "unknown_type",
            DecodeError::Missing(_) => "missing_field",
            DecodeError::Value { .. } => "bad_value",
        }
    }

    pub(crate) fn json(error: &serde_json::Error) -> DecodeError {
        DecodeError::Json(error.to_string())
    }

    pub(crate) fn value(field: &'static str, value: &str) -> DecodeError {
        DecodeError::Value { field, value: value.chars().take(64).collect() }
    }

    pub(crate) fn unknown_type(name: &str) -> DecodeError {
        DecodeError::UnknownType(name.chars().take(64).collect())
    }
}
