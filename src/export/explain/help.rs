//! How does `explain` say in a terminal what helps a layer? In order, each remedy with its trade-off and with what is typed for it.

use crate::export::phrase::count;
use crate::export::put::put;
use crate::export::remedy;
use crate::layer::LayerKind;
use crate::report::explanation::LayerExplanation;
use crate::report::{RemedyReport, Word};

/// Commands of one remedy that are shown; the JSON has all.
const MOST_COMMANDS: usize = 20;

/// What helps, and where pinning would not.
pub(super) fn help(text: &mut String, layer: &LayerExplanation) {
    let remedies = &layer.remedies;
    if let Some(by) = &layer.pins_ignored_by {
        put!(text, "\n  Pinning does not help here: the {by} ignores pins.\n");
    }
    if remedies.is_empty() {
        return;
    }
    text.push_str("\n  What helps, best first:\n");
    if let Some(exec_command) = &layer.exec_command {
        put!(text, "  A shell in this layer: {exec_command}\n");
    }
    for (found, number) in remedies.iter().zip(1_u32..) {
        put!(text, "  {number}. {}\n     Trade-off: {}\n", remedy::what(found), remedy::trade_off(found));
        typed(text, found, &layer.kind);
    }
}

fn typed(text: &mut String, found: &RemedyReport, kind: &Word<LayerKind>) {
    for edit in &found.edits {
        put!(text, "     {}:\n", remedy::place_of(edit, |path| path));
        for line in &edit.lines {
            put!(text, "         {line}\n");
        }
    }
    if !found.commands.is_empty() {
        put!(text, "     {}:\n", remedy::place(found, kind));
    }
    for command in found.commands.iter().take(MOST_COMMANDS) {
        put!(text, "         {command}\n");
    }
    if let Some(more) = found.commands.len().checked_sub(MOST_COMMANDS).filter(|more| *more > 0) {
        put!(text, "     And {} more, in the JSON (-o json).\n", count(more, "command"));
    }
    if found.withheld > 0 {
        put!(text, "     {}\n", remedy::withheld(found));
    }
}
