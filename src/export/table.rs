//! How does `check` look in a terminal? One row for each layer, a block for each filesystem, then what could not be read.
//!
//! Every percentage says whose it is; sizes are in binary units. Without colours: those belong to whoever knows the terminal.

use super::put::put;
use super::{phrase, remedy};
use crate::forecast::Horizon;
use crate::model::Trigger;
use crate::report::{FilesystemReport, LayerReport, Report, TriggerReport, Word};
use crate::sample::Component;
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Percent};
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// A column of the table of layers.
struct Column {
    title: &'static str,
    /// The narrowest terminal that shows it.
    from: u16,
    /// Whether its cells are broken rather than the lines of the table; a number on two lines is read wrongly.
    breaks: bool,
    is_number: bool,
    cell: fn(&Report, &LayerReport) -> String,
}

const fn column(title: &'static str, from: u16, cell: fn(&Report, &LayerReport) -> String) -> Column {
    Column { title, from, breaks: false, is_number: false, cell }
}

/// What comes first and when is shown at any width.
const COLUMNS: [Column; 10] = [
    Column { breaks: true, ..column("LAYER", 0, |_, layer| tree(layer)) },
    column("KIND", 120, |_, layer| layer.kind.to_string()),
    Column { breaks: true, ..column("FILESYSTEM", 130, |_, layer| known(layer.mountpoint.as_ref())) },
    Column { is_number: true, ..column("EXCLUSIVE\nBYTES", 100, |_, layer| known(layer.exclusive_bytes)) },
    column("USED%\nKUBELET/DF", 120, used),
    column("IMAGE GC\nHIGH/LOW", 100, |_, layer| phrase::image_gc(layer.policy.as_ref(), layer.kubelet.is_some())),
    column("NEXT\nGC RUN", 120, next),
    column("FIRST\nTRIGGER", 0, |_, layer| {
        layer.first().map_or("none armed", |first| first.trigger.text(phrase::trigger)).to_owned()
    }),
    Column { is_number: true, ..column("HEADROOM", 80, |_, layer| headroom(layer)) },
    column("ACTS IN\n50% (10%-90%)", 0, |_, layer| {
        layer.first().map_or_else(|| "-".to_owned(), |first| phrase::quantiles(first.acts_in))
    }),
];

/// The whole answer of `check`, ending in a newline. `width` is that of the terminal, `None` where there is none: then no cell is
/// broken, so that `grep` finds whole names. A narrow terminal shows fewer columns.
pub fn render(report: &Report, width: Option<u16>) -> String {
    let mut text = report.node.as_ref().map_or_else(String::new, |node| format!("Node {node}\n"));
    text.push_str(&layers(report, width));
    for disk in &report.filesystems {
        text.push('\n');
        filesystem(&mut text, report.now(), disk);
    }
    remedies(&mut text, report);
    if !report.problems.is_empty() {
        text.push_str("\nCould not be read:\n");
    }
    for problem in &report.problems {
        put!(text, "  {problem}\n");
    }
    text
}

/// The table of layers alone.
fn layers(report: &Report, width: Option<u16>) -> String {
    if report.layers.is_empty() {
        return "No layer found.\n".to_owned();
    }
    let columns = || COLUMNS.iter().filter(|column| width.is_none_or(|width| width >= column.from));
    let mut table = plain();
    table.set_header(columns().map(|column| column.title));
    for layer in &report.layers {
        table.add_row(columns().map(|column| Cell::new((column.cell)(report, layer))));
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for (position, column) in columns().enumerate() {
        let Some(shown) = table.column_mut(position) else { continue };
        if column.is_number {
            shown.set_cell_alignment(CellAlignment::Right);
        }
        if width.is_some() && !column.breaks {
            shown.set_constraint(ColumnConstraint::ContentWidth);
        } else if width.is_some() && position == 0 {
            shown.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
        }
    }
    lines(&table)
}

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

fn used(report: &Report, layer: &LayerReport) -> String {
    let disk = report.imagefs(layer);
    let percent = |percent: fn(&FilesystemReport) -> Option<Percent>| known(disk.and_then(percent));
    format!("{} / {}", percent(|disk| disk.kubelet_percent), percent(|disk| disk.df_percent))
}

fn next(report: &Report, layer: &LayerReport) -> String {
    let next = layer.next_image_gc_at.map(|at| at.since(report.now()).max(Span::ZERO));
    next.map_or_else(|| "-".to_owned(), |span| span.to_string())
}

fn headroom(layer: &LayerReport) -> String {
    known(layer.first().and_then(|first| first.headroom.map(|room| phrase::headroom(&first.unit, room))))
}

/// The name as a branch: `host`, ` └ test-pods/prow-1`, `    └ capd-worker`. Hard spaces, since wrapping eats others.
fn tree(layer: &LayerReport) -> String {
    match layer.depth.min(8).checked_sub(1) {
        None => layer.layer.to_string(),
        Some(depth) => format!("{}└\u{a0}{}", "\u{a0}\u{a0}".repeat(depth), layer.short_name()),
    }
}

fn filesystem(text: &mut String, now: Timestamp, disk: &FilesystemReport) {
    put!(text, "{} ({})", disk.mountpoint, disk.device);
    let Some(space) = disk.space() else {
        text.push_str(": could not be measured\n");
        return;
    };
    put!(text, ": {} available of {}", space.available, space.capacity);
    if let Some(percent) = disk.kubelet_percent {
        put!(text, ", {percent} used (kubelet)");
    }
    if let Some(percent) = disk.df_percent {
        put!(text, ", {percent} used (df)");
    }
    match disk.fill_bytes_per_second {
        Some(rate) => put!(text, ", {rate} net\n"),
        None => text.push_str(", rate unknown yet\n"),
    }
    let Some(usage) = &disk.usage else {
        put!(text, "  used by all: {}; who holds what is not known yet\n", space.used());
        return;
    };
    let mut table = plain();
    let mut add = |name: &str, bytes: Bytes| {
        table.add_row([Cell::new(format!("  {name}")), Cell::new(bytes).set_alignment(CellAlignment::Right)]);
    };
    let mut sum = Bytes::ZERO;
    for held in &usage.layers {
        let other = held.components.get(&Word::Known(Component::Other)).copied().unwrap_or(Bytes::ZERO);
        add(&held.layer, held.bytes.saturating_sub(other));
        sum = sum.saturating_add(held.bytes);
        if other > Bytes::ZERO {
            add("other (no layer)", other);
        }
    }
    add("used when counted", usage.used_bytes);
    text.push_str(&lines(&table));
    match usage.measured_at {
        Some(at) => put!(text, "  Counted {} ago", now.since(at)),
        None => text.push_str("  Counted at an unknown time"),
    }
    if usage.unreadable_directories > 0 {
        put!(text, "; {} directories could not be read", usage.unreadable_directories);
    }
    if sum > usage.used_bytes {
        text.push_str("; files were deleted meanwhile, so the rows sum to more");
    }
    text.push_str(".\n");
}

/// The best remedy of each layer that is expected to delete images within the longest horizon.
fn remedies(text: &mut String, report: &Report) {
    let is_near = |found: &TriggerReport| {
        let deletes = found.trigger.is(Trigger::ImageGc) || found.trigger.is(Trigger::ImageEviction);
        deletes && found.median().is_some_and(|median| median <= Horizon::SixHours.span())
    };
    let layers = report.layers.iter().filter(|layer| layer.triggers.iter().any(is_near));
    let mut helps = layers.filter_map(|layer| Some((&layer.layer, layer.best_remedy.as_ref()?))).peekable();
    if helps.peek().is_some() {
        text.push_str("\nWhat helps best; highwater explain LAYER says how, with what trade-off, and what else:\n");
    }
    for (layer, best) in helps {
        put!(text, "  {layer}: {}\n", remedy::in_short(best));
    }
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
