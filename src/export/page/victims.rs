//! Which images would the next trigger of each layer delete, which of them cannot come back, and why do the others stay?

use super::html::{Escaped, Short};
use super::remedies;
use crate::export::explain::{Known, judged, known, predictions, recoverable};
use crate::export::phrase;
use crate::export::put::put;
use crate::export::view::{LayerView, View};
use crate::model::recovery::{Critical, Recoverable};
use crate::model::victims::{ImageOutcome, Outcome, SafeReason};
use crate::units::Bytes;
use std::cmp::Reverse;

/// Images that are named of one layer, of those that go and of those that stay; `highwater explain` names all.
const MOST_IMAGES: usize = 12;
/// Layers that have a table.
const MOST_LAYERS: usize = 6;

/// What a trigger would take from some layers, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Losses {
    certain: usize,
    possible: usize,
    /// Of both, what no registry has.
    pub(super) nowhere_else: usize,
}

/// The images that the first trigger of each layer would delete.
pub(super) fn section(page: &mut String, view: &View<'_>) {
    let mut layers: Vec<(&LayerView<'_>, Losses)> =
        view.layers.iter().map(|layer| (layer, losses(layer))).filter(|(_, losses)| losses.any()).collect();
    if layers.is_empty() {
        return;
    }
    layers.sort_by_key(|(layer, losses)| (layer.urgency(), Reverse(losses.nowhere_else)));
    page.push_str(
        "<section id=\"victims\" aria-labelledby=\"victims-title\">\n<h2 id=\"victims-title\">Images at risk</h2>\n",
    );
    for (position, (layer, losses)) in layers.iter().take(MOST_LAYERS).enumerate() {
        of_layer(page, view, position, layer, *losses);
    }
    if let Some(more) = layers.len().checked_sub(MOST_LAYERS).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And of {more} more layers: <code>highwater explain</code> has them.</p>\n");
    }
    remedies::details(page, view, layers.iter().take(MOST_LAYERS).map(|(layer, _)| *layer));
    page.push_str("</section>\n");
}

/// What the first trigger that deletes images would take from a layer.
pub(super) fn losses(layer: &LayerView<'_>) -> Losses {
    let Some(first) = predictions(layer).first() else { return Losses::default() };
    let images = known(layer);
    let mut losses = Losses::default();
    for (known, verdict) in judged(first, &images) {
        match verdict.outcome {
            Outcome::Certain(_) => losses.certain += 1,
            Outcome::Possible(_) => losses.possible += 1,
            Outcome::Safe(_) => continue,
        }
        losses.nowhere_else += usize::from(known.note.recoverable == Recoverable::No);
    }
    losses
}

impl Losses {
    /// Whether anything may be lost.
    pub(super) const fn any(self) -> bool {
        self.certain + self.possible > 0
    }

    /// `5 images, possibly 2 more`, `possibly 1 image`.
    pub(super) fn count(self) -> String {
        let number = |count| phrase::count(count, "image");
        match (self.certain, self.possible) {
            (0, possible) => format!("possibly {}", number(possible)),
            (certain, 0) => number(certain),
            (certain, possible) => format!("{}, possibly {possible} more", number(certain)),
        }
    }
}

fn of_layer(page: &mut String, view: &View<'_>, position: usize, layer: &LayerView<'_>, losses: Losses) {
    let Some(first) = predictions(layer).first() else { return };
    let images = known(layer);
    let (mut stay, mut go): (Vec<_>, Vec<_>) =
        judged(first, &images).into_iter().partition(|(_, verdict)| matches!(verdict.outcome, Outcome::Safe(_)));
    // Worst first in both.
    let key = |(known, verdict): &(Known<'_>, &ImageOutcome)| {
        (verdict.outcome.certainty(), !known.is_fatal(), Reverse(known.image.size), known.image.id.clone())
    };
    go.sort_by_cached_key(key);
    stay.sort_by_cached_key(key);
    put!(
        page,
        "<table id=\"victims-{position}\" class=\"images\">\n<caption><b>{}</b>: {} would delete {}</caption>\n<thead><tr>\
         <th scope=\"col\">Image</th><th scope=\"col\">Goes</th><th scope=\"col\" class=\"number\">Size</th>\
         <th scope=\"col\">Last use</th><th scope=\"col\">Can be pulled again</th></tr></thead>\n<tbody>\n",
        Short(&layer.name),
        phrase::trigger(first.level.trigger),
        losses.count()
    );
    for (known, verdict) in go.iter().take(MOST_IMAGES) {
        let severity = if known.is_fatal() { "critical" } else { "calm" };
        put!(
            page,
            "<tr><th scope=\"row\">{}</th><td data-label=\"Goes\">{}</td><td data-label=\"Size\" class=\"number\">{}</td>\
             <td data-label=\"Last use\">{}</td><td data-label=\"Can be pulled again\" class=\"{severity}\">{}</td></tr>\n",
            Short(known.image.display_name()),
            verdict.outcome.certainty().map_or_else(String::new, |certainty| Escaped(certainty).to_string()),
            size(known),
            known.last_used(view.now),
            whether_it_comes_back(known),
        );
    }
    page.push_str("</tbody>\n</table>\n");
    if let Some(more) = go.len().checked_sub(MOST_IMAGES).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more.</p>\n");
    }
    staying(page, position, &stay);
}

fn size(known: &Known<'_>) -> String {
    known.image.size.map_or_else(|| "unknown".to_owned(), |size: Bytes| size.to_string())
}

fn whether_it_comes_back(known: &Known<'_>) -> String {
    let needed = match known.note.critical {
        None => "",
        Some(Critical::Sandbox) => "; every pod needs it",
        Some(Critical::StaticPod) => "; a static pod needs it",
        Some(Critical::KubeSystem) => "; a pod of kube-system needs it",
        Some(Critical::Pattern) => "; marked as critical",
    };
    format!("{}{needed}", recoverable(known.note.recoverable))
}

/// The images that stay, folded up: the reader's first question is what goes.
fn staying(page: &mut String, position: usize, stay: &[(Known<'_>, &ImageOutcome)]) {
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
    let reasons =
        [SafeReason::InUse, SafeReason::Pinned, SafeReason::TooYoung, SafeReason::GcDisabled, SafeReason::NotNeeded];
    let count = |reason| stay.iter().filter(|(_, verdict)| verdict.outcome == Outcome::Safe(reason)).count();
    let parts: Vec<String> = reasons
        .into_iter()
        .map(|reason| (count(reason), reason))
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {}", phrase::stays(reason.as_str())))
        .collect();
    put!(page, "{}</summary>\n<ul>\n", parts.join(", "));
    for (known, verdict) in stay.iter().take(MOST_IMAGES) {
        let Outcome::Safe(reason) = verdict.outcome else { continue };
        put!(
            page,
            "<li>{} <span class=\"quiet\">{}, {}</span></li>\n",
            Short(known.image.display_name()),
            size(known),
            phrase::stays(reason.as_str())
        );
    }
    page.push_str("</ul>\n");
    if let Some(more) = stay.len().checked_sub(MOST_IMAGES).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more.</p>\n");
    }
    page.push_str("</details>\n");
}
