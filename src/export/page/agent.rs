//! Can this page be believed? What could not be read, how right earlier forecasts were, and how the agent itself is.

use super::html::{Escaped, Short};
use crate::export::phrase;
use crate::export::put::put;
use crate::forecast::Horizon;
use crate::report::{Report, ScoreReport};

/// Problems that are named.
const MOST_PROBLEMS: usize = 20;

/// What could not be read or understood, if anything.
pub(super) fn problems(page: &mut String, report: &Report) {
    let problems = &report.problems;
    if problems.is_empty() {
        return;
    }
    page.push_str(
        "<section id=\"problems\" aria-labelledby=\"problems-title\">\n<h2 id=\"problems-title\">What could not be read</h2>\n<ul>\n",
    );
    for problem in problems.iter().take(MOST_PROBLEMS) {
        put!(
            page,
            "<li><b>{}</b> {}: {}</li>\n",
            Short(&problem.subject),
            Escaped(problem.part.as_str()),
            Escaped(&problem.why())
        );
    }
    page.push_str("</ul>\n");
    if let Some(more) = problems.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more.</p>\n");
    }
    page.push_str("</section>\n");
}

/// How right the forecasts were, and what the agent uses.
pub(super) fn section(page: &mut String, report: &Report) {
    page.push_str("<section id=\"agent\" aria-labelledby=\"agent-title\">\n<h2 id=\"agent-title\">How good the forecasts were</h2>\n");
    let judged: Vec<&ScoreReport> = report.forecast_scores.iter().filter(|score| says_something(score)).collect();
    if judged.is_empty() {
        page.push_str("<p class=\"quiet\">There was no warning and no crossing yet to judge them by.</p>\n");
    } else {
        page.push_str(
            "<table>\n<thead><tr><th scope=\"col\">Threshold</th>\
             <th scope=\"col\" class=\"number\">Crossed after a warning</th><th scope=\"col\" class=\"number\">Crossed without</th>\
             <th scope=\"col\" class=\"number\">False warnings</th><th scope=\"col\" class=\"number\">Time within 10–90 %</th>\
             <th scope=\"col\" class=\"number\">Brier score, 30 min</th></tr></thead>\n<tbody>\n",
        );
        for found in judged {
            score(page, found);
        }
        page.push_str(
            "</tbody>\n</table>\n<p class=\"aside\">A warning: crossing within 30 minutes was at least 50 % likely. Of the times of \
             crossing, 80 % or more should be within 10–90 %. Brier score: 0 is best.</p>\n",
        );
    }
    own(page, report);
    page.push_str("</section>\n");
}

/// A threshold that was neither warned of nor crossed says nothing about warnings.
const fn says_something(score: &ScoreReport) -> bool {
    score.hit + score.missed + score.false_alarm > 0
}

fn score(page: &mut String, score: &ScoreReport) {
    let half_hour = score.by_horizon.get(&Horizon::HalfHour.into()).and_then(|found| found.brier);
    let missed = if score.missed > 0 { "number warning" } else { "number" };
    put!(
        page,
        "<tr><th scope=\"row\">{}</th><td data-label=\"Crossed after a warning\" class=\"number\">{}</td>\
         <td data-label=\"Crossed without\" class=\"{missed}\">{}</td><td data-label=\"False warnings\" class=\"number\">{}</td>\
         <td data-label=\"Time within 10–90 %\" class=\"number\">{}</td><td data-label=\"Brier score, 30 min\" class=\"number\">{}</td></tr>\n",
        Escaped(score.trigger.text(phrase::trigger)),
        score.hit,
        score.missed,
        score.false_alarm,
        score.coverage.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", 100.0 * share)),
        half_hour.map_or_else(|| "–".to_owned(), |brier| format!("{brier:.2}")),
    );
}

/// What the agent uses, in a sentence.
fn own(page: &mut String, report: &Report) {
    put!(page, "<p class=\"aside\">The agent samples every {}", report.agent.health.sample_interval);
    if let Some(process) = &report.agent.health.process {
        put!(page, ", uses {} of memory and has used {} of CPU time", process.resident, process.cpu);
    }
    page.push_str(".</p>\n");
}
