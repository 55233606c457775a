//! What happens next on a disk, in sentences: who deletes what, when, and what of it is lost for good. Most urgent first.

use super::html::{Escaped, Short};
use super::victims::{Losses, losses};
use crate::assess::{Action, PreemptedBy, TriggerAssessment};
use crate::export::explain::predictions;
use crate::export::phrase;
use crate::export::put::put;
use crate::export::view::{FilesystemView, LayerView, View};
use crate::forecast::Horizon;
use crate::model::Trigger;
use crate::time::Span;
use crate::verdict::{Verdict, Windows};
use std::cmp::Reverse;

/// Sentences of one disk; the most urgent are those that matter.
const MOST_LINES: usize = 6;
/// Layers that a sentence names; the table has the rest.
const MOST_NAMES: usize = 3;

/// What is foreseen alike for some layers.
struct Foreseen<'v, 'a> {
    trigger: &'a TriggerAssessment,
    /// When the first of the layers' kubelets acts.
    action: Action,
    layers: Vec<&'v LayerView<'a>>,
    /// What that deletes, where images are deleted and known.
    losses: Option<Losses>,
    /// Whether the same line has pods evicted.
    and_pods: bool,
    /// What may free enough before, so that it does not come.
    spared: Option<&'a PreemptedBy>,
}

/// A sentence for each thing that is foreseen in earnest, the rest of six hours in one quiet line.
pub(super) fn sentences<'a>(page: &mut String, view: &View<'a>, disk: &FilesystemView<'a>, windows: Windows) {
    let foreseen = foreseen(view, disk, windows);
    // Where nothing is near, what comes first is said all the same.
    let near = foreseen.iter().filter(|line| class(line, windows) != "calm").count().max(1);
    let (near, later) = foreseen.split_at(near.min(foreseen.len()));
    if !near.is_empty() {
        page.push_str("<ul class=\"outlook\">\n");
        for line in near.iter().take(MOST_LINES) {
            sentence(page, view, line, windows);
        }
        page.push_str("</ul>\n");
    }
    if let Some(more) = near.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more: see the table of layers.</p>\n");
    }
    if !later.is_empty() {
        let all: Vec<String> = later.iter().take(MOST_LINES).map(in_short).collect();
        put!(page, "<p class=\"aside\">Later: {}.</p>\n", all.join("; "));
    }
    rest(page, view, disk, foreseen.is_empty());
}

/// `image GC of host in about 22 min (12–42), which finds no image`, escaped.
fn in_short(line: &Foreseen<'_, '_>) -> String {
    let mut text = phrase::trigger(line.trigger.trigger).to_owned();
    if let Some(layer) = line.layers.first().filter(|_| line.trigger.trigger != Trigger::DiskFull) {
        put!(text, " of {}", Short(&layer.name));
        if line.layers.len() > 1 {
            put!(text, " and {} more", line.layers.len() - 1);
        }
    }
    put!(text, " {}", phrase::when(line.action));
    if let Some(spared) = line.spared.filter(|spared| spared.is_certain) {
        put!(text, ", spared by {} of {}", phrase::trigger(spared.trigger), Short(spared.layer.as_str()));
    } else if line.is_harmless() {
        text.push_str(", which finds no image");
    }
    text
}

fn on_disk<'v, 'a>(
    view: &'v View<'a>,
    disk: &FilesystemView<'_>,
) -> impl Iterator<Item = (&'v LayerView<'a>, &'a TriggerAssessment)> {
    let id = disk.sample.id;
    view.layers
        .iter()
        .flat_map(|layer| layer.triggers().into_values().map(move |trigger| (layer, trigger)))
        .filter(move |(_, trigger)| trigger.filesystem == id)
}

/// Layers that share a line and lose nothing share a sentence; a full disk is one sentence however many layers are on it.
fn foreseen<'v, 'a>(view: &'v View<'a>, disk: &FilesystemView<'a>, windows: Windows) -> Vec<Foreseen<'v, 'a>> {
    let mut all: Vec<Foreseen<'_, '_>> = Vec::new();
    for (layer, trigger) in on_disk(view, disk) {
        let Some(action) = trigger.action.filter(|action| soon(action.p50)) else { continue };
        // The first trigger that deletes images; a later one finds what that leaves.
        let first = predictions(layer).first().is_some_and(|first| first.level.trigger == trigger.trigger);
        let losses = first.then(|| losses(layer));
        let alone = losses.is_some_and(Losses::any);
        let spared = spared(disk, layer, trigger.trigger);
        let alike = |line: &&mut Foreseen<'_, '_>| {
            let of = |trigger: &TriggerAssessment| (trigger.trigger, trigger.threshold);
            of(line.trigger) == of(trigger) && line.spared == spared && !line.losses.is_some_and(Losses::any)
        };
        match all.iter_mut().find(alike) {
            Some(line) if !alone => {
                line.layers.push(layer);
                line.action = if action.p50 < line.action.p50 { action } else { line.action };
                line.losses = line.losses.and(losses);
            }
            _ => all.push(Foreseen { trigger, action, layers: vec![layer], losses, and_pods: false, spared }),
        }
    }
    // Eviction at one line deletes images and kills pods: one thing to its layers.
    let pods = |line: &Foreseen<'_, '_>| line.trigger.trigger == Trigger::PodEviction;
    let alike = |one: &Foreseen<'_, '_>, other: &Foreseen<'_, '_>| {
        one.trigger.threshold == other.trigger.threshold
            && one.layers.iter().map(|layer| &layer.name).eq(other.layers.iter().map(|layer| &layer.name))
    };
    let (evictions, mut all): (Vec<_>, Vec<_>) = all.into_iter().partition(pods);
    for eviction in evictions {
        let images =
            |line: &&mut Foreseen<'_, '_>| line.trigger.trigger == Trigger::ImageEviction && alike(line, &eviction);
        match all.iter_mut().find(images) {
            Some(line) => line.and_pods = true,
            None => all.push(eviction),
        }
    }
    // What is lost for good comes first among what is equally pressing.
    all.sort_by_key(|line| {
        let lost = line.losses.is_some_and(|losses| losses.nowhere_else > 0);
        let urgency = (Reverse(Verdict::of_trigger(line.trigger, windows)), !lost);
        (line.is_harmless(), urgency, line.action.p50, line.trigger.trigger)
    });
    all
}

/// What acts before a trigger of a layer and may free enough.
fn spared<'a>(disk: &FilesystemView<'a>, layer: &LayerView<'_>, trigger: Trigger) -> Option<&'a PreemptedBy> {
    let mut expected_triggers = disk.assessment?.expected_triggers.iter();
    expected_triggers.find(|strike| strike.layer == layer.sample.id && strike.trigger == trigger)?.preempted_by.as_ref()
}

impl Foreseen<'_, '_> {
    /// Whether it will surely not come to that, or does no harm: a kubelet that finds no image to delete.
    fn is_harmless(&self) -> bool {
        let finds_none = self.trigger.trigger == Trigger::ImageGc && self.losses.is_some_and(|losses| !losses.any());
        finds_none || self.spared.is_some_and(|spared| spared.is_certain)
    }
}

fn soon(span: Option<Span>) -> bool {
    span.is_some_and(|span| span <= Horizon::SixHours.span())
}

fn sentence(page: &mut String, view: &View<'_>, line: &Foreseen<'_, '_>, windows: Windows) {
    let trigger = line.trigger.trigger;
    put!(page, "<li class=\"{}\">", class(line, windows));
    let many = line.layers.len() > 1;
    if trigger == Trigger::DiskFull {
        let disk = view.filesystem(line.trigger.filesystem).map_or("the disk", |disk| &disk.mountpoint);
        put!(page, "<b>{}</b> is full", Short(disk));
    } else {
        let (named, more) = line.layers.split_at(line.layers.len().min(MOST_NAMES));
        for (number, layer) in named.iter().enumerate() {
            let joint = match number {
                0 => "",
                _ if number + 1 == named.len() && more.is_empty() => " and ",
                _ => ", ",
            };
            put!(page, "{joint}<b>{}</b>", Short(&layer.name));
        }
        if !more.is_empty() {
            put!(page, " and {} more", more.len());
        }
        if line.and_pods {
            page.push_str(if many { " evict pods and" } else { " evicts pods and" });
        }
        put!(page, " {}", deed(trigger, line.losses, many));
    }
    put!(page, " {}", phrase::when(line.action));
    let nowhere_else = line.losses.map_or(0, |losses| losses.nowhere_else);
    if nowhere_else > 0 {
        put!(
            page,
            "; <strong>{nowhere_else} of them {} nowhere else</strong>",
            if nowhere_else == 1 { "exists" } else { "exist" }
        );
    }
    put!(page, ". <small>{}", Escaped(&phrase::capitalised(phrase::trigger(trigger))));
    match line.trigger.headroom {
        Some(headroom) if headroom < 0 => page.push_str(": its line has been crossed"),
        Some(headroom) => put!(page, ": {} to go", phrase::headroom(trigger, headroom)),
        None => {}
    }
    if let Some(forecast) = line.trigger.forecast.filter(|found| found.p50 != Some(Span::ZERO)) {
        put!(page, ", {} likely to be crossed within 30 minutes", phrase::chance(forecast.within(Horizon::HalfHour)));
    }
    page.push('.');
    if let Some(spared) = line.spared {
        let before = phrase::trigger(spared.trigger);
        let whose = Short(spared.layer.as_str());
        if spared.is_certain {
            put!(page, " It will not come to that: {before} of {whose} frees enough before.");
        } else {
            put!(page, " It comes to that only if {before} of {whose} does not free enough before.");
        }
    }
    page.push_str("</small></li>\n");
}

/// What does no harm is no reason to hurry.
fn class(line: &Foreseen<'_, '_>, windows: Windows) -> &'static str {
    if line.is_harmless() { "calm" } else { severity(line.trigger, windows) }
}

/// What a trigger does, for one layer or many: `deletes 7 images`.
fn deed(trigger: Trigger, losses: Option<Losses>, many: bool) -> String {
    let s = if many { "" } else { "s" };
    match (trigger, losses) {
        (Trigger::ImageGc | Trigger::ImageEviction | Trigger::InodeEviction, Some(losses)) if losses.any() => {
            let count = losses.count();
            // "5 images, possibly 2 more," is set off on both sides.
            let comma = if count.contains(',') { "," } else { "" };
            format!("delete{s} {count}{comma}")
        }
        (Trigger::ImageGc, Some(_)) => format!("look{s} for images to delete, and find{s} none,"),
        (Trigger::ImageGc, None) => format!("delete{s} unused images"),
        (Trigger::ImageEviction, _) => format!("delete{s} every unused image"),
        (Trigger::PodEviction, _) => format!("evict{s} pods"),
        (Trigger::InodeEviction, _) => format!("evict{s} pods for want of inodes"),
        (Trigger::DiskFull, _) => "is full".to_owned(),
    }
}

/// What may happen but probably does not within six hours, and what is not known.
fn rest(page: &mut String, view: &View<'_>, disk: &FilesystemView<'_>, nothing_likely: bool) {
    let (mut earliest, mut names, mut known) = (Span::from_micros(i64::MAX), Vec::new(), false);
    for (_, trigger) in on_disk(view, disk) {
        known |= trigger.action.is_some();
        let Some(p10) = trigger.action.filter(|action| !soon(action.p50)).and_then(|action| action.p10) else {
            continue;
        };
        if soon(Some(p10)) {
            earliest = earliest.min(p10);
            let name = phrase::trigger(trigger.trigger);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if !names.is_empty() {
        let also = if nothing_likely { "Nothing is likely within six hours. Possible" } else { "Possible as well" };
        put!(page, "<p class=\"aside\">{also}, from {} on: {}.</p>\n", phrase::about(earliest), names.join(", "));
    } else if nothing_likely && known {
        page.push_str("<p class=\"quiet\">Nothing is foreseen within six hours.</p>\n");
    } else if nothing_likely {
        page.push_str("<p class=\"quiet\">Too little has been seen for a forecast yet.</p>\n");
    }
}

/// The class of a trigger's colour.
pub(super) fn severity(trigger: &TriggerAssessment, windows: Windows) -> &'static str {
    match Verdict::of_trigger(trigger, windows) {
        Verdict::Critical => "critical",
        Verdict::Warning => "warning",
        Verdict::Ok | Verdict::Unknown => "calm",
    }
}
