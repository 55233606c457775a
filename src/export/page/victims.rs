//! Which images would the next trigger of each layer delete, which of them cannot come back, and why do the others stay?

use super::html::{Escaped, Short};
use super::remedies;
use crate::export::phrase;
use crate::export::put::put;
use crate::model::recovery::Critical;
use crate::report::explanation::{
    Explanation, ImageExplanation, LastUse, LayerExplanation, OutcomeReason, OutcomeReport,
};
use crate::report::{LayerReport, Report, VictimsReport};
use crate::time::{Span, Timestamp};
use std::cmp::Reverse;

/// Images that are named of one layer, of those that are deleted and of those that stay; `highwater explain` names all.
const MOST_IMAGES: usize = 12;
/// Layers that have a table.
const MOST_LAYERS: usize = 6;

/// What the first trigger that deletes images would take from a layer.
pub(super) fn first(layer: &LayerReport) -> Option<&VictimsReport> {
    layer.images.as_ref()?.victims.first()
}

/// `5 images, possibly 2 more`, `possibly 1 image`.
pub(super) fn in_words(victims: &VictimsReport) -> String {
    let number = |count| phrase::count(count, "image");
    match (victims.certain.count, victims.possible.count) {
        (0, possible) => format!("possibly {}", number(possible)),
        (certain, 0) => number(certain),
        (certain, possible) => format!("{}, possibly {possible} more", number(certain)),
    }
}

/// The images that the first trigger of each layer would delete.
pub(super) fn section(page: &mut String, report: &Report, explanation: &Explanation) {
    let at_risk = report.layers.iter().filter_map(|layer| {
        let victims = first(layer).filter(|victims| victims.any())?;
        Some((layer, victims, explanation.layers.iter().find(|found| found.layer == layer.layer)?))
    });
    let mut layers: Vec<(&LayerReport, &VictimsReport, &LayerExplanation)> = at_risk.collect();
    if layers.is_empty() {
        return;
    }
    layers.sort_by_key(|(layer, victims, _)| (layer.urgency(), Reverse(victims.nowhere_else)));
    page.push_str(
        "<section id=\"victims\" aria-labelledby=\"victims-title\">\n<h2 id=\"victims-title\">Images at risk</h2>\n",
    );
    for (position, (_, victims, layer)) in layers.iter().take(MOST_LAYERS).enumerate() {
        of_layer(page, explanation.now(), position, layer, victims);
    }
    if let Some(more) = layers.len().checked_sub(MOST_LAYERS).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And of {more} more layers: <code>highwater explain</code> has them.</p>\n");
    }
    remedies::details(page, layers.iter().take(MOST_LAYERS).map(|(.., layer)| *layer));
    page.push_str("</section>\n");
}

fn of_layer(page: &mut String, now: Timestamp, position: usize, layer: &LayerExplanation, victims: &VictimsReport) {
    let Some(first) = layer.triggers.first() else { return };
    let (mut stay, mut deleted): (Vec<_>, Vec<_>) =
        layer.outcomes(first).into_iter().partition(|(_, outcome)| outcome.stays());
    // Worst first in both.
    let key = |(image, outcome): &(&ImageExplanation, &OutcomeReport)| {
        (outcome.outcome.clone(), !image.is_fatal(), Reverse(image.size_bytes), image.image.clone())
    };
    deleted.sort_by_cached_key(key);
    stay.sort_by_cached_key(key);
    put!(
        page,
        "<table id=\"victims-{position}\" class=\"images\">\n<caption><b>{}</b>: {} would delete {}</caption>\n<thead><tr>\
         <th scope=\"col\">Image</th><th scope=\"col\">Deleted</th><th scope=\"col\" class=\"number\">Size</th>\
         <th scope=\"col\">Last use</th><th scope=\"col\">Can be pulled again</th></tr></thead>\n<tbody>\n",
        Short(&layer.layer),
        Escaped(first.trigger.text(phrase::trigger)),
        in_words(victims)
    );
    for (image, outcome) in deleted.iter().take(MOST_IMAGES) {
        let severity = if image.is_fatal() { "critical" } else { "calm" };
        put!(
            page,
            "<tr><th scope=\"row\">{}</th><td data-label=\"Deleted\">{}</td><td data-label=\"Size\" class=\"number\">{}</td>\
             <td data-label=\"Last use\">{}</td><td data-label=\"Can be pulled again\" class=\"{severity}\">{}</td></tr>\n",
            Short(image.name.as_str()),
            Escaped(outcome.outcome.as_str()),
            size(image),
            last_used(image, now),
            Escaped(&whether_it_comes_back(image)),
        );
    }
    page.push_str("</tbody>\n</table>\n");
    if let Some(more) = deleted.len().checked_sub(MOST_IMAGES).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more.</p>\n");
    }
    staying(page, position, &stay);
}

fn size(image: &ImageExplanation) -> String {
    image.size_bytes.map_or_else(|| "unknown".to_owned(), |size| size.to_string())
}

fn last_used(image: &ImageExplanation, now: Timestamp) -> String {
    match (image.last_use.known(), image.last_used_at) {
        (Some(LastUse::Never), _) => "never used".to_owned(),
        (_, Some(at)) => format!("last used {} ago", now.since(at).max(Span::ZERO)),
        (_, None) => "last use unknown".to_owned(),
    }
}

fn whether_it_comes_back(image: &ImageExplanation) -> String {
    let needed = |critical| match critical {
        Critical::Sandbox => "every pod needs it",
        Critical::StaticPod => "a static pod needs it",
        Critical::KubeSystem => "a pod of kube-system needs it",
        Critical::Pattern => "marked as critical",
    };
    match &image.critical {
        None => image.recoverable.to_string(),
        Some(critical) => format!("{}; {}", image.recoverable, critical.text(needed)),
    }
}

/// The images that stay, folded up: the reader's first question is what is deleted.
fn staying(page: &mut String, position: usize, stay: &[(&ImageExplanation, &OutcomeReport)]) {
    if stay.is_empty() {
        page.push_str("<p class=\"aside\">No image stays.</p>\n");
        return;
    }
    put!(
        page,
        "<details id=\"stay-{position}\">\n<summary>{} {}: ",
        stay.len(),
        if stay.len() == 1 { "stays" } else { "stay" }
    );
    let reasons = [
        OutcomeReason::InUse,
        OutcomeReason::Pinned,
        OutcomeReason::TooYoung,
        OutcomeReason::GcDisabled,
        OutcomeReason::NotNeeded,
    ];
    let count = |reason| stay.iter().filter(|(_, outcome)| outcome.reason.is(reason)).count();
    let parts: Vec<String> = reasons
        .into_iter()
        .map(|reason| (count(reason), reason))
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {}", phrase::reason(reason)))
        .collect();
    put!(page, "{}</summary>\n<ul>\n", parts.join(", "));
    for (image, outcome) in stay.iter().take(MOST_IMAGES) {
        put!(
            page,
            "<li>{} <span class=\"quiet\">{}, {}</span></li>\n",
            Short(image.name.as_str()),
            size(image),
            Escaped(outcome.reason.text(phrase::reason))
        );
    }
    page.push_str("</ul>\n");
    if let Some(more) = stay.len().checked_sub(MOST_IMAGES).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more.</p>\n");
    }
    page.push_str("</details>\n");
}
