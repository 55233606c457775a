//! What happens next on a disk, in sentences: who deletes what, when, and what of it is lost for good. Most urgent first.

use super::html::{Escaped, Short};
use super::victims;
use crate::assess::Quantiles;
use crate::export::phrase;
use crate::export::put::put;
use crate::forecast::Horizon;
use crate::model::Trigger;
use crate::report::{FilesystemReport, LayerReport, PreemptedByReport, Report, TriggerReport, VictimsReport};
use crate::time::Span;
use crate::verdict::{Verdict, Windows};
use std::cmp::Reverse;

/// Sentences of one disk; the most urgent are those that matter.
const MOST_LINES: usize = 6;
/// Layers that a sentence names; the table has the rest.
const MOST_NAMES: usize = 3;

/// What is expected alike for some layers.
struct Expected<'r> {
    trigger: &'r TriggerReport,
    /// When the first of the layers' kubelets acts.
    action: Quantiles,
    layers: Vec<&'r LayerReport>,
    /// What that deletes, where images are deleted and known.
    victims: Option<&'r VictimsReport>,
    /// Whether the same threshold has pods evicted.
    and_pods: bool,
    /// What may free enough before, so that it does not come.
    preempted_by: Option<&'r PreemptedByReport>,
}

/// A sentence for each thing that is expected in earnest, the rest of six hours in one quiet line.
pub(super) fn sentences(page: &mut String, report: &Report, disk: &FilesystemReport) {
    let windows = report.agent.health.windows;
    let expected = expected(report, disk, windows);
    // Where nothing is near, what comes first is said all the same.
    let near = expected.iter().filter(|line| class(line, windows) != "calm").count().max(1);
    let (near, later) = expected.split_at(near.min(expected.len()));
    if !near.is_empty() {
        page.push_str("<ul class=\"outlook\">\n");
        for line in near.iter().take(MOST_LINES) {
            sentence(page, disk, line, windows);
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
    rest(page, report, disk, expected.is_empty());
}

/// `image GC of host in about 22 min (12–42), which finds no image`, escaped.
fn in_short(line: &Expected<'_>) -> String {
    let mut text = Escaped(line.trigger.trigger.text(phrase::trigger)).to_string();
    if let Some(layer) = line.layers.first().filter(|_| !line.is_of(Trigger::DiskFull)) {
        put!(text, " of {}", Short(&layer.layer));
        if line.layers.len() > 1 {
            put!(text, " and {} more", line.layers.len() - 1);
        }
    }
    put!(text, " {}", phrase::when(line.action));
    if let Some(by) = line.preempted_by.filter(|by| by.is_certain) {
        put!(text, ", preempted by {} of {}", Escaped(by.trigger.text(phrase::trigger)), Short(&by.layer));
    } else if line.is_averted() {
        text.push_str(", which finds no image");
    }
    text
}

/// Layers that share a threshold and lose nothing share a sentence; a full disk is one sentence however many layers are on it.
fn expected<'r>(report: &'r Report, disk: &'r FilesystemReport, windows: Windows) -> Vec<Expected<'r>> {
    let mut all: Vec<Expected<'_>> = Vec::new();
    for (layer, trigger) in report.triggers_on(disk) {
        let Some(action) = trigger.acts_in.filter(|action| soon(action.p50)) else { continue };
        // The first trigger that deletes images; a later one finds what that leaves.
        let victims = victims::first(layer).filter(|first| first.trigger == trigger.trigger);
        let alone = victims.is_some_and(VictimsReport::any);
        let preempted_by = preempted_by(disk, layer, trigger);
        let alike = |line: &&mut Expected<'_>| {
            (&line.trigger.trigger, line.trigger.threshold) == (&trigger.trigger, trigger.threshold)
                && line.preempted_by == preempted_by
                && !line.victims.is_some_and(VictimsReport::any)
        };
        match all.iter_mut().find(alike) {
            Some(line) if !alone => {
                line.layers.push(layer);
                line.action = if action.p50 < line.action.p50 { action } else { line.action };
                line.victims = line.victims.and(victims);
            }
            _ => all.push(Expected { trigger, action, layers: vec![layer], victims, and_pods: false, preempted_by }),
        }
    }
    // Eviction at one threshold deletes images and kills pods: one thing to its layers.
    let alike = |one: &Expected<'_>, other: &Expected<'_>| {
        one.trigger.threshold == other.trigger.threshold
            && one.layers.iter().map(|layer| &layer.layer).eq(other.layers.iter().map(|layer| &layer.layer))
    };
    let (evictions, mut all): (Vec<_>, Vec<_>) = all.into_iter().partition(|line| line.is_of(Trigger::PodEviction));
    for eviction in evictions {
        let images = |line: &&mut Expected<'_>| line.is_of(Trigger::ImageEviction) && alike(line, &eviction);
        match all.iter_mut().find(images) {
            Some(line) => line.and_pods = true,
            None => all.push(eviction),
        }
    }
    // What is lost for good comes first among what is equally pressing.
    all.sort_by_key(|line| {
        let lost = line.victims.is_some_and(|victims| victims.nowhere_else > 0);
        let pressing = (Reverse(line.trigger.verdict(windows)), !lost);
        (line.is_averted(), pressing, line.action.p50, &line.trigger.trigger)
    });
    all
}

/// What acts before a trigger of a layer and may free enough.
fn preempted_by<'r>(
    disk: &'r FilesystemReport,
    layer: &LayerReport,
    trigger: &TriggerReport,
) -> Option<&'r PreemptedByReport> {
    let mut expected = disk.expected_triggers.iter();
    expected.find(|found| found.layer == layer.layer && found.trigger == trigger.trigger)?.preempted_by.as_ref()
}

impl Expected<'_> {
    fn is_of(&self, trigger: Trigger) -> bool {
        self.trigger.trigger.is(trigger)
    }

    /// Whether it will certainly not come to that, or does no harm: a kubelet that finds no image to delete.
    fn is_averted(&self) -> bool {
        let finds_none = self.is_of(Trigger::ImageGc) && self.victims.is_some_and(|victims| !victims.any());
        finds_none || self.preempted_by.is_some_and(|by| by.is_certain)
    }
}

fn soon(span: Option<Span>) -> bool {
    span.is_some_and(|span| span <= Horizon::SixHours.span())
}

fn sentence(page: &mut String, disk: &FilesystemReport, line: &Expected<'_>, windows: Windows) {
    put!(page, "<li class=\"{}\">", class(line, windows));
    let many = line.layers.len() > 1;
    if line.is_of(Trigger::DiskFull) {
        put!(page, "<b>{}</b> is full", Short(&disk.mountpoint));
    } else {
        let (named, more) = line.layers.split_at(line.layers.len().min(MOST_NAMES));
        for (number, layer) in named.iter().enumerate() {
            let joint = match number {
                0 => "",
                _ if number + 1 == named.len() && more.is_empty() => " and ",
                _ => ", ",
            };
            put!(page, "{joint}<b>{}</b>", Short(&layer.layer));
        }
        if !more.is_empty() {
            put!(page, " and {} more", more.len());
        }
        if line.and_pods {
            page.push_str(if many { " evict pods and" } else { " evicts pods and" });
        }
        put!(page, " {}", deed(line, many));
    }
    put!(page, " {}", phrase::when(line.action));
    let nowhere_else = line.victims.map_or(0, |victims| victims.nowhere_else);
    if nowhere_else > 0 {
        put!(
            page,
            "; <strong>{nowhere_else} of them {} nowhere else</strong>",
            if nowhere_else == 1 { "exists" } else { "exist" }
        );
    }
    let word = phrase::capitalised(line.trigger.trigger.text(phrase::trigger));
    put!(page, ". <small>{}", Escaped(&word));
    match line.trigger.headroom {
        Some(headroom) if headroom < 0 => page.push_str(": its threshold is crossed"),
        Some(headroom) => put!(page, ": {} to go", phrase::headroom(&line.trigger.unit, headroom)),
        None => {}
    }
    let forecast = line.trigger.forecast.as_ref().filter(|found| found.quantiles.p50 != Some(Span::ZERO));
    if let Some(chance) = forecast.and_then(|forecast| forecast.within(Horizon::HalfHour)) {
        put!(page, ", {} likely to be crossed within 30 minutes", phrase::chance(chance));
    }
    page.push('.');
    if let Some(by) = line.preempted_by {
        let before = Escaped(by.trigger.text(phrase::trigger));
        let whose = Short(&by.layer);
        if by.is_certain {
            put!(page, " It will not come to that: {before} of {whose} frees enough before.");
        } else {
            put!(page, " It comes to that only if {before} of {whose} does not free enough before.");
        }
    }
    page.push_str("</small></li>\n");
}

/// What does no harm is no reason to hurry.
fn class(line: &Expected<'_>, windows: Windows) -> &'static str {
    if line.is_averted() { "calm" } else { severity(line.trigger, windows) }
}

/// What a trigger does, for one layer or many: `deletes 7 images`.
fn deed(line: &Expected<'_>, many: bool) -> String {
    let s = if many { "" } else { "s" };
    match (line.trigger.trigger.known(), line.victims) {
        (Some(Trigger::ImageGc | Trigger::ImageEviction | Trigger::InodeEviction), Some(victims)) if victims.any() => {
            let count = victims::in_words(victims);
            // "5 images, possibly 2 more," is set off on both sides.
            let comma = if count.contains(',') { "," } else { "" };
            format!("delete{s} {count}{comma}")
        }
        (Some(Trigger::ImageGc), Some(_)) => format!("run{s} image GC, and find{s} no image to delete,"),
        (Some(Trigger::ImageGc), None) => format!("delete{s} unused images"),
        (Some(Trigger::ImageEviction), _) => format!("delete{s} every unused image"),
        (Some(Trigger::PodEviction), _) => format!("evict{s} pods"),
        (Some(Trigger::InodeEviction), _) => format!("evict{s} pods to free inodes"),
        (Some(Trigger::DiskFull), _) => "is full".to_owned(),
        (None, _) => Escaped(line.trigger.trigger.as_str()).to_string(),
    }
}

/// What may happen but probably does not within six hours, and what is not known.
fn rest(page: &mut String, report: &Report, disk: &FilesystemReport, nothing_likely: bool) {
    let (mut earliest, mut names, mut known) = (Span::from_micros(i64::MAX), Vec::new(), false);
    for (_, trigger) in report.triggers_on(disk) {
        known |= trigger.acts_in.is_some();
        let Some(p10) = trigger.acts_in.filter(|action| !soon(action.p50)).and_then(|action| action.p10) else {
            continue;
        };
        if soon(Some(p10)) {
            earliest = earliest.min(p10);
            let name = trigger.trigger.text(phrase::trigger);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if !names.is_empty() {
        let also = if nothing_likely { "Nothing is likely within six hours. Possible" } else { "Possible as well" };
        let names = names.join(", ");
        put!(page, "<p class=\"aside\">{also}, from {} on: {}.</p>\n", phrase::about(earliest), Escaped(&names));
    } else if nothing_likely && known {
        page.push_str("<p class=\"quiet\">Nothing is expected within six hours.</p>\n");
    } else if nothing_likely {
        page.push_str("<p class=\"quiet\">Too little has been seen for a forecast yet.</p>\n");
    }
}

/// The class of a trigger's colour.
pub(super) fn severity(trigger: &TriggerReport, windows: Windows) -> &'static str {
    match trigger.verdict(windows) {
        Verdict::Critical => "critical",
        Verdict::Warning => "warning",
        Verdict::Ok | Verdict::Unknown => "calm",
    }
}
