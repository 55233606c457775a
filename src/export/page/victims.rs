//! Which images would the next trigger of each layer delete, which of them cannot come back, and why do the others stay?

use super::html::Escaped;
use crate::export::explain::{Known, judged, known, predictions, recoverable};
use crate::export::phrase;
use crate::export::put::put;
use crate::export::view::{LayerView, View};
use crate::model::recovery::Recoverable;
use crate::model::victims::{Fate, SafeReason, Verdict};
use crate::units::Bytes;
use std::cmp::Reverse;

/// Images that are named of one layer; `highwater explain` names all.
const MOST_IMAGES: usize = 12;
/// Layers that have a table.
const MOST_LAYERS: usize = 8;

/// What a trigger would take from some layers, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Losses {
    certain: usize,
    possible: usize,
    nowhere_else: usize,
}

/// The images that the first trigger of each layer would delete.
pub(super) fn section(page: &mut String, view: &View<'_>) {
    let mut layers: Vec<&LayerView<'_>> = view.layers.iter().filter(|layer| losses(layer).any()).collect();
    if layers.is_empty() {
        return;
    }
    layers.sort_by_key(|layer| layer.urgency());
    page.push_str("<section aria-labelledby=\"victims\">\n<h2 id=\"victims\">Images at risk</h2>\n");
    for layer in layers.iter().take(MOST_LAYERS) {
        table(page, view, layer);
    }
    let more = layers.len().saturating_sub(MOST_LAYERS);
    if more > 0 {
        put!(page, "<p class=\"aside\">And of {more} more layers: see highwater explain.</p>\n");
    }
    page.push_str("</section>\n");
}

/// What the first trigger that deletes images would take from a layer.
pub(super) fn losses(layer: &LayerView<'_>) -> Losses {
    let Some(first) = predictions(layer).first() else { return Losses::default() };
    let images = known(layer);
    let mut losses = Losses::default();
    for (known, verdict) in judged(first, &images) {
        match verdict.fate {
            Fate::Certain(_) => losses.certain += 1,
            Fate::Possible(_) => losses.possible += 1,
            Fate::Safe(_) => continue,
        }
        losses.nowhere_else += usize::from(known.note.recoverable == Recoverable::No);
    }
    losses
}

impl Losses {
    fn any(self) -> bool {
        self.certain + self.possible > 0
    }

    /// Both together.
    #[must_use]
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            certain: self.certain + other.certain,
            possible: self.possible + other.possible,
            nowhere_else: self.nowhere_else + other.nowhere_else,
        }
    }

    /// `deletes 5 images, possibly 2 more; 3 of them exist nowhere else`; empty where nothing is lost.
    pub(super) fn sentence(self) -> String {
        let number = |count: usize| if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
        let mut text = match (self.certain, self.possible) {
            (0, 0) => return String::new(),
            (0, possible) => format!("deletes possibly {}", number(possible)),
            (certain, 0) => format!("deletes {}", number(certain)),
            (certain, possible) => format!("deletes {}, possibly {possible} more", number(certain)),
        };
        if self.nowhere_else > 0 {
            put!(text, "; {} of them exist nowhere else", self.nowhere_else);
        }
        text
    }
}

fn table(page: &mut String, view: &View<'_>, layer: &LayerView<'_>) {
    let Some(first) = predictions(layer).first() else { return };
    let images = known(layer);
    let mut victims: Vec<(Known<'_>, &Verdict)> =
        judged(first, &images).into_iter().filter(|(_, verdict)| !matches!(verdict.fate, Fate::Safe(_))).collect();
    victims.sort_by_key(|(known, verdict)| {
        (verdict.fate.certainty(), !known.is_fatal(), Reverse(known.image.size), known.image.id.clone())
    });
    put!(
        page,
        "<div class=\"scroll\" role=\"group\" aria-label=\"Table of images at risk\" tabindex=\"0\">\n<table>\n<thead><tr>\
         <th scope=\"col\">{}: {} {}</th><th scope=\"col\">Certainty</th><th scope=\"col\" class=\"number\">Size</th>\
         <th scope=\"col\">Why</th><th scope=\"col\">Can be pulled</th></tr></thead>\n<tbody>\n",
        Escaped(&layer.name),
        phrase::trigger(first.level.trigger),
        losses(layer).sentence()
    );
    for (known, verdict) in victims.iter().take(MOST_IMAGES) {
        let severity = if known.is_fatal() { "critical" } else { "calm" };
        put!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td><td>{}</td><td class=\"{severity}\">{}</td></tr>\n",
            Escaped(known.image.display_name()),
            verdict.fate.certainty().unwrap_or("safe"),
            known.image.size.map_or_else(|| "unknown".to_owned(), |size: Bytes| size.to_string()),
            known.last_used(view.now),
            recoverable(known.note.recoverable),
        );
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
    let more = victims.len().saturating_sub(MOST_IMAGES);
    page.push_str("<p class=\"aside\">");
    if more > 0 {
        put!(page, "And {more} more. ");
    }
    put!(page, "{}</p>\n", stays(&first.verdicts));
}

/// `9 stay: 7 in use, 2 pinned.`
fn stays(verdicts: &[Verdict]) -> String {
    let reasons = [
        (SafeReason::InUse, "in use"),
        (SafeReason::Pinned, "pinned"),
        (SafeReason::TooYoung, "too young"),
        (SafeReason::GcDisabled, "image GC is off"),
        (SafeReason::NotNeeded, "not needed"),
    ];
    let count = |reason| verdicts.iter().filter(|verdict| verdict.fate == Fate::Safe(reason)).count();
    let parts: Vec<String> = reasons
        .into_iter()
        .map(|(reason, words)| (count(reason), words))
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if parts.is_empty() { "No image stays.".to_owned() } else { format!("What stays: {}.", parts.join(", ")) }
}
