//! How does `check` look in a terminal? One row for each layer, a block for each filesystem, then what could not be read.
//!
//! Every percentage says whose it is; sizes are in binary units. Without colours: those belong to whoever knows the terminal.

use super::json::{Document, FilesystemEntry, LayerEntry, TriggerEntry, describe};
use super::phrase;
use super::put::put;
use super::view::urgency;
use crate::forecast::Horizon;
use crate::model::Trigger;
use crate::snapshot::Snapshot;
use crate::time::{Span, Timestamp};
use crate::units::{ByteRate, Bytes};
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use std::collections::BTreeMap;

/// The narrowest table that is still readable; narrower terminals wrap it.
pub const LEAST_WIDTH: u16 = 120;

/// The whole answer of `check` at `now`, ending in a newline. `width` is that of the terminal, `None` where there is none:
/// then no cell is broken, so that `grep` finds whole names.
pub fn render(snapshot: &Snapshot, now: Timestamp, width: Option<u16>) -> String {
    show(&describe(snapshot, now), width)
}

/// The same from the structures of the JSON.
pub(crate) fn show(document: &Document, width: Option<u16>) -> String {
    let now = now_of(document);
    let mut text = layers(document, now, width);
    for disk in &document.filesystems {
        text.push('\n');
        filesystem(&mut text, now, disk);
    }
    remedies(&mut text, document);
    let problems = problems(document);
    if !problems.is_empty() {
        text.push_str("\nCould not be read:\n");
    }
    for problem in problems {
        put!(text, "  {problem}\n");
    }
    text
}

/// When the document was made, by the clock of whoever made it.
fn now_of(document: &Document) -> Timestamp {
    let sampled_at = document.sampled_at.parse().unwrap_or(Timestamp::from_micros(0));
    sampled_at + Span::from_secs_f64(document.age_seconds)
}

/// The table of layers alone.
fn layers(document: &Document, now: Timestamp, width: Option<u16>) -> String {
    if document.layers.is_empty() {
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
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for layer in &document.layers {
        let depth = layer.parent.as_deref().and_then(|parent| depths.get(parent)).map_or(0, |depth| depth + 1);
        depths.entry(&layer.layer).or_insert(depth);
        table.add_row(row(document, layer, depth, now));
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

fn row(document: &Document, layer: &LayerEntry, depth: usize, now: Timestamp) -> Vec<Cell> {
    let on = |disk: &&FilesystemEntry| {
        layer.device.as_deref() == Some(&disk.device) && layer.mountpoint.as_deref() == Some(&disk.mountpoint)
    };
    let disk = document.filesystems.iter().find(on);
    let percent = |value: Option<i64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value}%"));
    let (kubelet, df) = disk.map(|disk| (disk.kubelet_percent, disk.df_percent)).unwrap_or_default();
    let next = layer.next_image_gc_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    let next = next.map(|at| at.since(now).max(Span::ZERO));
    let first = layer.triggers.iter().min_by_key(|trigger| nearness(trigger));
    let headroom = first.and_then(|found| found.headroom.map(|room| phrase::amount(&found.trigger, room)));
    vec![
        Cell::new(tree(layer, depth)),
        Cell::new(&layer.kind),
        Cell::new(layer.mountpoint.as_deref().unwrap_or("?")),
        Cell::new(layer.exclusive_bytes.map_or_else(|| "?".to_owned(), |bytes| Bytes::new(bytes).to_string())),
        Cell::new(format!("{} / {}", percent(kubelet), percent(df))),
        Cell::new(phrase::image_gc_of(layer.policy.as_ref(), layer.kubelet.is_some())),
        Cell::new(next.map_or_else(|| "-".to_owned(), |span| span.to_string())),
        Cell::new(first.map_or("none armed", |found| phrase::trigger_named(&found.trigger))),
        Cell::new(headroom.unwrap_or_else(|| "?".to_owned())),
        Cell::new(first.map_or_else(|| "-".to_owned(), |found| phrase::quantiles(crossing(found)))),
    ]
}

/// When the line of a trigger is crossed; `None`: too little has been seen.
fn crossing(trigger: &TriggerEntry) -> Option<[Option<Span>; 3]> {
    let forecast = trigger.forecast.as_ref()?;
    let quantiles = [forecast.p10_seconds, forecast.p50_seconds, forecast.p90_seconds];
    Some(quantiles.map(|seconds| seconds.map(Span::from_secs_f64)))
}

fn nearness(trigger: &TriggerEntry) -> (i64, i64) {
    let median = crossing(trigger).and_then(|[_, median, _]| median);
    urgency(Trigger::named(&trigger.trigger), median, trigger.headroom)
}

/// The name as a branch: `host`, ` └ test-pods/prow-1`, `    └ capd-worker`. Hard spaces, since wrapping eats others.
fn tree(layer: &LayerEntry, depth: usize) -> String {
    if depth == 0 {
        return layer.layer.clone();
    }
    let parent = layer.parent.as_deref().unwrap_or_default();
    let short = layer.layer.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&layer.layer);
    format!("{}└\u{a0}{short}", "\u{a0}\u{a0}".repeat(depth.min(8) - 1))
}

fn filesystem(text: &mut String, now: Timestamp, disk: &FilesystemEntry) {
    put!(text, "{} ({})", disk.mountpoint, disk.device);
    let bytes = |number: Option<u64>| number.map(Bytes::new);
    let (Some(size), Some(available)) = (bytes(disk.size_bytes), bytes(disk.avail_bytes)) else {
        text.push_str(": could not be measured\n");
        return;
    };
    put!(text, ": {available} available of {size}");
    if let Some(percent) = disk.kubelet_percent {
        put!(text, ", {percent}% used (kubelet)");
    }
    if let Some(percent) = disk.df_percent {
        put!(text, ", {percent}% used (df)");
    }
    match disk.fill_bytes_per_second.map(ByteRate::new) {
        Some(rate) => put!(text, ", {rate} net\n"),
        None => text.push_str(", rate unknown yet\n"),
    }
    let Some(usage) = &disk.usage else {
        let used = bytes(disk.used_bytes).unwrap_or(Bytes::ZERO);
        put!(text, "  used by all: {used}; who holds what is not known yet\n");
        return;
    };
    let mut table = plain();
    let mut add = |name: &str, bytes: Bytes| {
        table.add_row([Cell::new(format!("  {name}")), Cell::new(bytes).set_alignment(CellAlignment::Right)]);
    };
    let mut sum = Bytes::ZERO;
    for held in &usage.layers {
        let other = Bytes::new(held.components.get("other").copied().unwrap_or(0));
        let all = Bytes::new(held.bytes);
        add(&held.layer, all.saturating_sub(other));
        sum = sum.saturating_add(all);
        if other > Bytes::ZERO {
            add("other (no layer)", other);
        }
    }
    add("used when counted", Bytes::new(usage.used_bytes));
    text.push_str(&lines(&table));
    let measured_at = usage.measured_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    match measured_at {
        Some(at) => put!(text, "  Counted {} ago", now.since(at)),
        None => text.push_str("  Counted at an unknown time"),
    }
    if usage.unreadable_directories > 0 {
        put!(text, "; {} directories could not be read", usage.unreadable_directories);
    }
    if sum > Bytes::new(usage.used_bytes) {
        text.push_str("; files were deleted meanwhile, so the rows sum to more");
    }
    text.push_str(".\n");
}

/// The best remedy of each layer that is foreseen to delete images within the longest horizon.
fn remedies(text: &mut String, document: &Document) {
    let is_near = |trigger: &TriggerEntry| {
        let deletes =
            [Trigger::ImageGc, Trigger::ImageEviction].map(Trigger::as_str).contains(&trigger.trigger.as_str());
        let median = crossing(trigger).and_then(|[_, median, _]| median);
        deletes && median.is_some_and(|median| median <= Horizon::SixHours.span())
    };
    let layers = document.layers.iter().filter(|layer| layer.triggers.iter().any(is_near));
    let mut helps = layers.filter_map(|layer| Some((&layer.layer, layer.best_remedy.as_ref()?))).peekable();
    if helps.peek().is_some() {
        text.push_str("\nWhat helps best; highwater explain LAYER says how, at what price, and what else:\n");
    }
    for (layer, remedy) in helps {
        put!(text, "  {layer}: {remedy}\n");
    }
}

/// Everything that could not be read or understood, filesystems first; as on the page.
fn problems(document: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    for disk in &document.filesystems {
        let mut add = |what: &str, why: &str| problems.push(format!("{} {what}: {why}", disk.mountpoint));
        if let Some(error) = &disk.error {
            add("statfs", &error.to_string());
        }
        if disk.stuck {
            add("statfs", "has not come back");
        }
        if let Some(error) = disk.usage_error.as_ref().filter(|error| error.reason != "not_read") {
            add("usage", &error.to_string());
        }
    }
    for layer in &document.layers {
        let mut add = |what: &str, why: &str| problems.push(format!("{} {what}: {why}", layer.layer));
        for source in layer.sources.iter().filter(|source| !source.up) {
            add(&source.source, &source.error.as_ref().map(ToString::to_string).unwrap_or_default());
        }
        for problem in layer.policy.iter().flat_map(|policy| &policy.problems) {
            add("policy", problem);
        }
    }
    let failed = document.agent.collectors.iter().filter(|run| !run.success);
    problems.extend(failed.map(|run| format!("highwater step: {} failed in the last round", run.collector)));
    problems
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
