//! What helps the layers that would lose images for good, and what does one type? Folded up, since what goes comes first.

use super::html::{Escaped, Short};
use crate::export::explain::predictions;
use crate::export::put::put;
use crate::export::remedy::{Help, help};
use crate::export::view::{LayerView, View};
use crate::units::Bytes;

/// Bytes of the page for the lines of one block; `highwater explain` has all.
const MOST_BYTES: usize = 4 << 10;

/// The remedies of these layers, for those that have any.
pub(super) fn details<'v>(page: &mut String, view: &View<'_>, layers: impl Iterator<Item = &'v LayerView<'v>>) {
    let helps = layers.map(|layer| (layer, help(view, layer, predictions(layer), Bytes::ZERO)));
    let helps: Vec<(&LayerView<'_>, Help)> = helps.filter(|(_, help)| !help.remedies.is_empty()).collect();
    if helps.is_empty() {
        return;
    }
    page.push_str("<details id=\"remedies\">\n<summary>What helps</summary>\n");
    for (layer, help) in &helps {
        of_layer(page, layer, help);
    }
    page.push_str("</details>\n");
}

fn of_layer(page: &mut String, layer: &LayerView<'_>, help: &Help) {
    put!(page, "<p><b>{}</b>, best first", Short(&layer.name));
    if let Some(by) = &help.pins_ignored_by {
        put!(page, "; pinning does not help here, since the {} ignores pins", Escaped(by));
    }
    page.push_str(".</p>\n");
    // By itself: where it fails, what follows must not run on the reader's own machine.
    if let Some(exec_command) = &help.exec_command {
        page.push_str("<p>A shell in this layer:</p>\n");
        block(page, [exec_command].into_iter());
    }
    page.push_str("<dl>\n");
    for remedy in &help.remedies {
        put!(page, "<dt>{}</dt>\n<dd>Price: {}\n", Escaped(&remedy.what), Escaped(&remedy.price));
        for edit in &remedy.edits {
            put!(page, "<p>{}:</p>\n", edit.place(Short));
            block(page, edit.lines.iter());
        }
        if !remedy.commands.is_empty() || remedy.withheld > 0 {
            put!(page, "<p>{}:</p>\n", remedy.place(layer.sample.kind.as_str()));
        }
        let withheld = (remedy.withheld > 0).then(|| format!("# {}", remedy.withheld_in_words()));
        block(page, remedy.commands.iter().chain(&withheld));
        page.push_str("</dd>\n");
    }
    page.push_str("</dl>\n");
}

/// Lines to be copied, as many as there is room for.
fn block<'l>(page: &mut String, lines: impl Iterator<Item = &'l String>) {
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
