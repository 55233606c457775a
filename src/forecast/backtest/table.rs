//! The scores as a table for people: one row for each method and threshold.

use super::scores::Scores;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

const HEADER: [&str; 13] = [
    "method",
    "threshold",
    "score",
    "recall",
    "precision",
    "false/day",
    "flaps/day",
    "early recall",
    "early prec.",
    "p50 off by",
    "coverage",
    "skill 30m",
    "skill 6h",
];

/// Lays out rows of method, threshold and scores. "p50 off by" is a factor: 2.0 means half or twice the true time.
pub fn table(rows: &[(String, String, Scores)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(HEADER);
    for (method, threshold, scores) in rows {
        let [_, half_hour, _, six_hours] = scores.skill;
        table.add_row([
            method.clone(),
            threshold.clone(),
            format!("{:.1}", scores.score),
            figure(scores.imminent.recall),
            figure(scores.imminent.precision),
            figure(scores.imminent.false_per_day),
            figure(scores.imminent.flaps_per_day),
            figure(scores.early.recall),
            figure(scores.early.precision),
            figure(scores.p50_abs_log10_error.map(|error| 10f64.powf(error))),
            figure(scores.coverage_all),
            figure(half_hour),
            figure(six_hours),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn figure(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::backtest::score;

    #[test]
    fn what_is_not_known_is_a_dash() {
        let text = table(&[("highwater".to_owned(), "all".to_owned(), score([]))]);
        let mut lines = text.lines();
        assert!(lines.next().expect("header").contains("false/day"));
        let row = lines.next().expect("row");
        assert!(row.contains("highwater") && row.ends_with('-'), "{row}");
    }
}
