//! A replay as a table for people, and as JSON for scripts; docs/recording.md describes both.

use super::judge::{Correctness, Replayed, Row};
use super::outcome::LevelScore;
use super::predicted::Predicted;
use crate::model::Trigger;
use crate::model::deletions::Score;
use crate::sample::recording::Report;
use crate::time::{Span, Timestamp};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// The version of the JSON form; it rises when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 2;
/// So many names are printed in a table; JSON has them all.
const MOST_NAMES: usize = 5;

pub(super) fn table(result: &Replayed, samples: u64) -> String {
    let (first, last) = result.time.unwrap_or((Timestamp::from_micros(0), Timestamp::from_micros(0)));
    let mut text = format!("{samples} samples from {first} to {last}\n");
    if result.rows.is_empty() {
        text.push_str("No image was deleted, and nothing was predicted that did not happen.\n");
        return text;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "BETWEEN",
        "AND",
        "LAYER",
        "TRIGGER",
        "CERTAIN\nGONE/ALL",
        "POSSIBLE\nGONE/ALL",
        "SAFE\nGONE/ALL",
        "UNPREDICTED",
        "DELETED",
        "BYTES\n(CRI)",
        "TIME\nOFF",
        "LEVEL\nOFF",
        "VERDICT",
    ]);
    for row in &result.rows {
        table.add_row(cells(row));
    }
    for right in [8, 9, 10, 11] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    text.push('\n');
    for line in table.lines() {
        text.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
        text.push('\n');
    }
    for row in result.rows.iter().filter(|row| row.correctness() == Correctness::Wrong) {
        let (kept, gone) = row.wrong();
        for (names, what) in [(kept, "predicted as certain and still there"), (gone, "predicted as safe and deleted")] {
            if !names.is_empty() {
                let shown: Vec<&str> = names.iter().copied().take(MOST_NAMES).collect();
                let more = names.len().saturating_sub(shown.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                text.push_str(&format_line(row, what, &shown.join(", "), &more));
            }
        }
    }
    let count = |correctness| result.rows.iter().filter(|row| row.correctness() == correctness).count();
    let (ok, wrong) = (count(Correctness::Ok), count(Correctness::Wrong));
    let neither = count(Correctness::NotPredicted).saturating_add(count(Correctness::Unexplained));
    text + &format!("\n{ok} right, {wrong} wrong, {neither} that cannot be judged\n")
}

fn format_line(row: &Row, what: &str, names: &str, more: &str) -> String {
    format!("{} {}: {what}: {names}{more}\n", row.before, row.layer)
}

fn cells(row: &Row) -> Vec<Cell> {
    let of = |pick: fn(&Score) -> (usize, usize)| {
        row.score().as_ref().map(pick).map_or_else(|| "-".to_owned(), |(gone, kept)| format!("{gone}/{}", gone + kept))
    };
    let verdict = match row.correctness() {
        Correctness::Ok => "ok",
        Correctness::Wrong if row.gone.is_empty() => "wrong: nothing was deleted",
        Correctness::Wrong => "wrong",
        Correctness::NotPredicted => "was not predicted",
        Correctness::Unexplained => "not by the kubelet, or unknown",
    };
    vec![
        Cell::new(row.after),
        Cell::new(row.before),
        Cell::new(&row.layer),
        Cell::new(row.trigger.map_or("?", Trigger::as_str)),
        Cell::new(of(|score| (score.certain_gone, score.certain_kept))),
        Cell::new(of(|score| (score.possible_gone, score.possible_kept))),
        Cell::new(of(|score| (score.safe_gone, score.safe_kept))),
        Cell::new(row.score().map_or_else(|| "-".to_owned(), |score| score.unpredicted.to_string())),
        Cell::new(row.gone.len()),
        Cell::new(row.bytes()),
        Cell::new(row.late().map_or_else(|| "-".to_owned(), |late| format!("{:+.1}s", late.as_secs_f64()))),
        Cell::new(level(row)),
        Cell::new(verdict),
    ]
}

/// In per cent of the capacity; a level that was not predicted is unknown.
fn level(row: &Row) -> String {
    match (row.outcome, row.level()) {
        (None, _) => "-".to_owned(),
        (Some(_), None) => "unknown".to_owned(),
        (Some(_), Some(level)) => format!("{:.1}%", level.off_ratio * 100.0),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    samples: u64,
    lines: u64,
    from: Option<String>,
    to: Option<String>,
    rows: Vec<Entry<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Entry<'a> {
    layer: &'a str,
    after: String,
    before: String,
    trigger: Option<&'static str>,
    verdict: &'static str,
    deleted_images: usize,
    deleted_bytes: u64,
    predicted: Option<PredictedEntry>,
    score: Option<Score>,
    happened_earliest: Option<String>,
    happened_latest: Option<String>,
    late_seconds: Option<f64>,
    level: Option<LevelScore>,
    certain_kept: Vec<&'a str>,
    safe_gone: Vec<&'a str>,
}

#[derive(Serialize)]
struct PredictedEntry {
    at: String,
    expected_earliest: String,
    expected_latest: String,
    crossed: bool,
    certain_images: usize,
    certain_bytes: u64,
    possible_images: usize,
    possible_bytes: u64,
    wanted_bytes_least: Option<i64>,
    wanted_bytes_most: Option<i64>,
}

pub(super) fn json(result: &Replayed, report: &Report, warnings: &[String]) -> String {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        samples: report.samples,
        lines: report.lines,
        from: result.time.map(|(first, _)| first.to_string()),
        to: result.time.map(|(_, last)| last.to_string()),
        rows: result.rows.iter().map(entry).collect(),
        warnings,
    };
    // Strings, numbers and maps with string keys always have a JSON form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn entry(row: &Row) -> Entry<'_> {
    let (certain_kept, safe_gone) = row.wrong();
    Entry {
        layer: &row.layer,
        after: row.after.to_string(),
        before: row.before.to_string(),
        trigger: row.trigger.map(Trigger::as_str),
        verdict: row.correctness().as_str(),
        deleted_images: row.gone.len(),
        deleted_bytes: row.bytes().get(),
        predicted: row.predicted.as_ref().map(predicted),
        score: row.score(),
        happened_earliest: row.outcome.map(|outcome| outcome.earliest.to_string()),
        happened_latest: row.outcome.map(|outcome| outcome.latest.to_string()),
        late_seconds: row.late().map(Span::as_secs_f64),
        level: row.level(),
        certain_kept,
        safe_gone,
    }
}

fn predicted(predicted: &Predicted) -> PredictedEntry {
    let prediction = &predicted.prediction;
    let (certain, possible) = (prediction.certain(), prediction.possible());
    PredictedEntry {
        at: predicted.at.to_string(),
        expected_earliest: prediction.at.earliest.to_string(),
        expected_latest: prediction.at.latest.to_string(),
        crossed: prediction.crossed,
        certain_images: certain.images,
        certain_bytes: certain.bytes.get(),
        possible_images: possible.images,
        possible_bytes: possible.bytes.get(),
        wanted_bytes_least: prediction.wanted.and_then(|wanted| wanted.least),
        wanted_bytes_most: prediction.wanted.map(|wanted| wanted.most),
    }
}
