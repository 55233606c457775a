//! How does `check` look in a terminal? One row for each layer, a block for each filesystem, then what could not be read.
//!
//! Every percentage says whose it is; sizes are in binary units. Without colours: those belong to whoever knows the terminal.

use super::phrase;
use super::put::put;
use super::view::{FilesystemView, LayerView, View};
use crate::snapshot::Snapshot;
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// The narrowest table that is still readable; narrower terminals wrap it.
pub const LEAST_WIDTH: u16 = 120;

/// The whole answer of `check` at `now`, ending in a newline. `width` is that of the terminal, `None` where there is none:
/// then no cell is broken, so that `grep` finds whole names.
pub fn render(snapshot: &Snapshot, now: Timestamp, width: Option<u16>) -> String {
    let view = View::new(snapshot, now);
    let mut text = layers(&view, width);
    for disk in &view.filesystems {
        text.push('\n');
        filesystem(&mut text, &view, disk);
    }
    let problems = view.problems();
    if !problems.is_empty() {
        text.push_str("\nCould not be read:\n");
    }
    for problem in problems {
        put!(text, "  {} {}: {}\n", problem.whose, problem.what, problem.why);
    }
    text
}

/// The table of layers alone.
pub fn layers(view: &View<'_>, width: Option<u16>) -> String {
    if view.layers.is_empty() {
        return "No layer found.\n".to_owned();
    }
    let mut table = plain();
    table.set_header([
        "LAYER",
        "KIND",
        "FILESYSTEM",
        "HOLDS\nALONE",
        "USED%\nKUBELET/DF",
        "IMAGE GC\nHIGH/LOW",
        "NEXT\nCHECK",
        "FIRST\nTRIGGER",
        "HEADROOM",
        "FORECAST\n50% (10%-90%)",
    ]);
    for layer in &view.layers {
        table.add_row(row(view, layer));
    }
    for right in [3, 8] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(LEAST_WIDTH));
        // Only names may be broken; a number on two lines is read wrongly.
        for whole in [1, 3, 4, 5, 6, 7, 8, 9] {
            if let Some(column) = table.column_mut(whole) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
        }
    }
    lines(&table)
}

fn row(view: &View<'_>, layer: &LayerView<'_>) -> Vec<Cell> {
    let disk = view.imagefs(layer);
    let percentages = disk.and_then(|disk| disk.assessment).map(|found| (found.kubelet_percent, found.df_percent));
    let (kubelet, df) = percentages.unwrap_or_default();
    let percent =
        |value: Option<crate::units::Percent>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let next = layer.next_gc_check().map(|at| at.since(view.now).max(Span::ZERO));
    let first = layer.first_trigger();
    let headroom = first.and_then(|found| found.headroom.map(|room| phrase::headroom(found.trigger, room)));
    vec![
        Cell::new(tree(layer)),
        Cell::new(layer.sample.kind),
        Cell::new(disk.map_or("?", |disk| &*disk.mountpoint)),
        Cell::new(layer.held_total().map_or_else(|| "?".to_owned(), |bytes| bytes.to_string())),
        Cell::new(format!("{} / {}", percent(kubelet), percent(df))),
        Cell::new(phrase::image_gc(layer)),
        Cell::new(next.map_or_else(|| "-".to_owned(), |span| span.to_string())),
        Cell::new(first.map_or("none armed", |found| phrase::trigger(found.trigger))),
        Cell::new(headroom.unwrap_or_else(|| "?".to_owned())),
        Cell::new(first.map_or_else(|| "-".to_owned(), |found| phrase::forecast(found.forecast.as_ref()))),
    ]
}

/// The name as a branch: `host`, ` └ test-pods/prow-1`, `    └ capd-worker`. Hard spaces, since wrapping eats others.
fn tree(layer: &LayerView<'_>) -> String {
    if layer.depth == 0 {
        return layer.name.to_string();
    }
    let indent = "\u{a0}\u{a0}".repeat(layer.depth.min(8) - 1);
    format!("{indent}└\u{a0}{}", layer.short_name())
}

fn filesystem(text: &mut String, view: &View<'_>, disk: &FilesystemView<'_>) {
    put!(text, "{} ({})", disk.mountpoint, disk.device);
    let Some(space) = disk.space() else {
        text.push_str(": could not be measured\n");
        return;
    };
    put!(text, ": {} available of {}", space.available, space.capacity);
    let assessment = disk.assessment;
    if let Some(percent) = assessment.and_then(|found| found.kubelet_percent) {
        put!(text, ", {percent} used (kubelet)");
    }
    if let Some(percent) = assessment.and_then(|found| found.df_percent) {
        put!(text, ", {percent} used (df)");
    }
    match assessment.and_then(|found| found.fill_rate) {
        Some(rate) => put!(text, ", {rate} net\n"),
        None => text.push_str(", rate unknown yet\n"),
    }
    let crate::sample::Reading::Present { value: usage, at } = &disk.sample.usage else {
        put!(text, "  used by all: {}; who holds what is not known yet\n", space.used());
        return;
    };
    let mut table = plain();
    let mut add = |name: &str, bytes: Bytes| {
        table.add_row([Cell::new(format!("  {name}")), Cell::new(bytes).set_alignment(CellAlignment::Right)]);
    };
    let mut sum = Bytes::ZERO;
    for held in &usage.layers {
        let other = held.components.get(&crate::sample::Component::Other).copied().unwrap_or(Bytes::ZERO);
        add(held.layer.as_str(), held.total().saturating_sub(other));
        sum = sum.saturating_add(held.total());
        if other > Bytes::ZERO {
            add("other (no layer)", other);
        }
    }
    add("used when counted", usage.used);
    text.push_str(&lines(&table));
    put!(text, "  Counted {} ago", view.now.since(*at));
    if usage.unreadable > 0 {
        put!(text, "; {} directories could not be read", usage.unreadable);
    }
    if sum > usage.used {
        text.push_str("; files were deleted meanwhile, so the rows sum to more");
    }
    text.push_str(".\n");
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The table without blanks at either end of a line.
fn lines(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.strip_prefix(' ').unwrap_or(&line);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
