//! A value that somebody gave, and how.

use std::ffi::OsString;

use super::ConfigError;

/// The value of a flag or of an environment variable.
#[derive(Debug)]
pub(super) struct Told {
    /// The flag or the variable, for error messages.
    pub(super) by: &'static str,
    pub(super) value: OsString,
}

impl Told {
    /// The flag if it was given, else the variable if it is set and not empty.
    pub(super) fn by(
        flag: Option<OsString>,
        flag_name: &'static str,
        variable: &'static str,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<Told> {
        let from_flag = flag.map(|value| Told { by: flag_name, value });
        from_flag.or_else(|| {
            let value = environment(variable).filter(|value| !value.is_empty())?;
            Some(Told { by: variable, value })
        })
    }

    /// All of a repeatable flag if it was given, else the parts of the variable between spaces.
    pub(super) fn all_by(
        flags: Vec<OsString>,
        flag_name: &'static str,
        variable: &'static str,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Vec<Told> {
        if !flags.is_empty() {
            return flags.into_iter().map(|value| Told { by: flag_name, value }).collect();
        }
        let value = environment(variable).unwrap_or_default();
        match value.to_str() {
            Some(text) => {
                let parts = text.split_ascii_whitespace();
                parts.map(|part| Told { by: variable, value: part.into() }).collect()
            }
            // Refused where it is read.
            None => vec![Told { by: variable, value }],
        }
    }

    pub(super) fn parse<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let text = self.value.to_str().ok_or_else(|| format!("{:?} is not valid UTF-8", self.value));
        text.and_then(parse).map_err(|reason| ConfigError::Value { by: self.by, reason })
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is not a port from 0 to 65535"))
}

pub(super) fn number<T: TryFrom<u32>>(text: &str) -> Result<T, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("{text:?} is not a number from 1 on"))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}
