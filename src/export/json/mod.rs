//! How does a script read a snapshot? One versioned JSON object, described field by field in docs/json.md.
//!
//! Bytes are whole numbers, points in time RFC 3339 strings, lengths of time seconds. What is not known is `null`, never 0.
//! The structures in `document.rs` are the schema; the types of the sample may change behind them.

pub(in crate::export) mod describe;
mod document;

pub(crate) use describe::describe;
pub(crate) use document::{
    Document, FilesystemEntry, KubeletEntry, LayerEntry, PolicyEntry, SettingEntry, TriggerEntry,
};

use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use serde::Serialize;

/// Rises when a field changes its meaning or goes; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// A snapshot as it is known at `now`, with a newline at the end.
pub fn snapshot(snapshot: &Snapshot, now: Timestamp) -> String {
    line(&describe(snapshot, now))
}

/// An error as the API answers it.
pub fn error(message: &str) -> String {
    line(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "error": message }))
}

/// A value with a newline at the end.
pub(crate) fn line(value: &impl Serialize) -> String {
    // Strings, numbers and maps with string keys always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    text
}
