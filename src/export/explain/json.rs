//! How does a script read what `explain` says? One versioned JSON object, described in docs/json.md.

use super::document::describe;
use super::{Question, UnknownLayer};
use crate::export::json::line;
use crate::snapshot::Snapshot;
use crate::time::Timestamp;

pub use super::document::SCHEMA_VERSION;

/// The whole answer at `now`, with a newline at the end.
///
/// # Errors
/// When the layer that was asked for is not there, or is not the only one of that name.
pub fn render(snapshot: &Snapshot, now: Timestamp, question: Question<'_>) -> Result<String, UnknownLayer> {
    describe(snapshot, now, question).map(|document| line(&document))
}
