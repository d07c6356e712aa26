//! TOML values as the types that keys have, with plain words for what does not fit.
//!
//! Knows: types. Must not know: keys or rules.

use toml::de::{DeInteger, DeValue};

/// A type that a key may have.
pub(super) trait FromToml: Sized {
    /// The value, or what is wrong with it.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;
}

/// A number or text, for keys where it takes a rule of their own to say what is wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

impl FromToml for String {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Ok(text.to_string()),
            other => Err(expected("text in quotes", other)),
        }
    }
}

impl FromToml for bool {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Boolean(flag) => Ok(*flag),
            other => Err(expected("true or false", other)),
        }
    }
}

impl FromToml for i64 {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Integer(integer) => whole(integer),
            other => Err(expected("a whole number", other)),
        }
    }
}

impl FromToml for Vec<String> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Array(items) => items.iter().map(|item| String::from_toml(item.get_ref())).collect(),
            other => Err(expected("a list of texts, such as [\"a\", \"b\"]", other)),
        }
        .map_err(|rule| rule.replace("must be text in quotes", "each must be text in quotes"))
    }
}

impl FromToml for Vec<i64> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Array(items) => items.iter().map(|item| i64::from_toml(item.get_ref())).collect(),
            other => Err(expected("a list of whole numbers, such as [15, 5]", other)),
        }
        .map_err(|rule| rule.replace("must be a whole number,", "each must be a whole number,"))
    }
}

impl FromToml for Scalar {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Ok(Self::Text(text.to_string())),
            DeValue::Integer(integer) => whole(integer).map(Self::Integer),
            DeValue::Float(float) => Ok(Self::Number(float.as_str().parse().unwrap_or(f64::NAN))),
            DeValue::Boolean(flag) => Ok(Self::Flag(*flag)),
            other => Err(expected("a single value", other)),
        }
    }
}

fn whole(integer: &DeInteger<'_>) -> Result<i64, String> {
    i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| "the number is too large".to_owned())
}

fn expected(wanted: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("must be {wanted}, not {found}")
}
