//! What helps the layers that would lose images for good, and what does one type? Folded up, since what is deleted comes first.

use super::html::{Escaped, Short};
use crate::export::put::put;
use crate::export::remedy;
use crate::report::explanation::LayerExplanation;

/// Bytes of the page for the lines of one block; `highwater explain` has all.
const MOST_BYTES: usize = 4 << 10;

/// The remedies of these layers, for those that have any.
pub(super) fn details<'e>(page: &mut String, layers: impl Iterator<Item = &'e LayerExplanation>) {
    let mut layers = layers.filter(|layer| !layer.remedies.is_empty()).peekable();
    if layers.peek().is_none() {
        return;
    }
    page.push_str("<details id=\"remedies\">\n<summary>What helps</summary>\n");
    for layer in layers {
        of_layer(page, layer);
    }
    page.push_str("</details>\n");
}

fn of_layer(page: &mut String, layer: &LayerExplanation) {
    put!(page, "<p><b>{}</b>, best first", Short(&layer.layer));
    if let Some(by) = &layer.pins_ignored_by {
        put!(page, "; pinning does not help here, since the {} ignores pins", Escaped(by.as_str()));
    }
    page.push_str(".</p>\n");
    // By itself: where it fails, what follows must not run on the reader's own machine.
    if let Some(exec_command) = &layer.exec_command {
        page.push_str("<p>A shell in this layer:</p>\n");
        block(page, [&**exec_command].into_iter());
    }
    page.push_str("<dl>\n");
    for found in &layer.remedies {
        let (what, trade_off) = (remedy::what(found), remedy::trade_off(found));
        put!(page, "<dt>{}</dt>\n<dd>Trade-off: {}\n", Escaped(&what), Escaped(&trade_off));
        for edit in &found.edits {
            put!(page, "<p>{}:</p>\n", remedy::place_of(edit, Short));
            block(page, edit.lines.iter().map(|line| &**line));
        }
        if !found.commands.is_empty() || found.withheld > 0 {
            put!(page, "<p>{}:</p>\n", remedy::place(found, &layer.kind));
        }
        let withheld = (found.withheld > 0).then(|| format!("# {}", remedy::withheld(found)));
        block(page, found.commands.iter().map(|command| &**command).chain(withheld.as_deref()));
        page.push_str("</dd>\n");
    }
    page.push_str("</dl>\n");
}

/// Lines to be copied, as many as there is room for.
fn block<'l>(page: &mut String, lines: impl Iterator<Item = &'l str>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let mut text = String::new();
    while let Some(line) = lines.next() {
        let line = format!("{}\n", Escaped(line));
        if text.len() + line.len() > MOST_BYTES {
            put!(text, "# and {} more: highwater explain\n", lines.count() + 1);
            break;
        }
        text.push_str(&line);
    }
    put!(page, "<pre>{text}</pre>\n");
}
