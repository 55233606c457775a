//! How does a script read a report or an explanation? As one JSON object, which is its serde form, described in docs/json.md.

use crate::report::SCHEMA_VERSION;
use serde::Serialize;

/// An error as the API answers it.
pub fn error(message: &str) -> String {
    line(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "error": message }))
}

/// A value with a newline at the end.
pub fn line(value: &impl Serialize) -> String {
    // Strings, numbers and maps with string keys always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    text
}
