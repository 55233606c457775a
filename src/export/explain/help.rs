//! How does `explain` say in a terminal what helps a layer? In order, each remedy with its price and with what is typed for it.

use super::document::LayerEntry;
use crate::export::phrase::count;
use crate::export::put::put;
use crate::export::remedy::RemedyEntry;

/// Commands of one remedy that are shown; the JSON has all.
const MOST_COMMANDS: usize = 20;

/// What helps, and where pinning would not.
pub(super) fn help(text: &mut String, layer: &LayerEntry) {
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
    for (remedy, number) in remedies.iter().zip(1_u32..) {
        put!(text, "  {number}. {}\n     Price: {}\n", remedy.what, remedy.price);
        typed(text, remedy, &layer.kind);
    }
}

fn typed(text: &mut String, remedy: &RemedyEntry, kind: &str) {
    for edit in &remedy.edits {
        put!(text, "     {}:\n", edit.place(|path| path));
        for line in &edit.lines {
            put!(text, "         {line}\n");
        }
    }
    if !remedy.commands.is_empty() {
        put!(text, "     {}:\n", remedy.place(kind));
    }
    for command in remedy.commands.iter().take(MOST_COMMANDS) {
        put!(text, "         {command}\n");
    }
    if let Some(more) = remedy.commands.len().checked_sub(MOST_COMMANDS).filter(|more| *more > 0) {
        put!(text, "     And {} more, in the JSON (-o json).\n", count(more, "command"));
    }
    if remedy.withheld > 0 {
        put!(text, "     {}\n", remedy.withheld_in_words());
    }
}
