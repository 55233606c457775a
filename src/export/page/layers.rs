//! How near is each layer's kubelet, in sentences and as a table? And what could not be read.

use super::html::Escaped;
use super::victims::{Losses, losses};
use crate::assess::TriggerAssessment;
use crate::export::explain::predictions;
use crate::export::phrase;
use crate::export::put::put;
use crate::export::view::{LayerView, View};
use crate::forecast::{Forecast, Horizon};
use crate::model::Trigger;
use crate::time::Span;
use crate::untrusted::Label;
use crate::verdict::{Verdict, Windows};

/// Lines of the outlook; the most urgent are those that matter.
const MOST_LINES: usize = 8;
/// Layers that a line names; the table has the rest.
const MOST_NAMES: usize = 3;

/// What is foreseen alike for some layers of a disk.
struct Foreseen<'a> {
    trigger: &'a TriggerAssessment,
    forecast: Forecast,
    layers: Vec<&'a str>,
}

/// A sentence for each trigger that is foreseen within six hours, most urgent first. Layers that share a line share a sentence,
/// and a full disk is one sentence however many layers are on it.
pub(super) fn outlook(page: &mut String, view: &View<'_>, windows: Windows) {
    page.push_str("<section aria-labelledby=\"outlook\">\n<h2 id=\"outlook\">Outlook</h2>\n");
    let foreseen = foreseen(view);
    if foreseen.is_empty() {
        page.push_str("<p>No trigger is foreseen within six hours.</p>\n</section>\n");
        return;
    }
    page.push_str("<ul class=\"outlook\">\n");
    for line in foreseen.iter().take(MOST_LINES) {
        sentence(page, view, line, windows);
    }
    page.push_str("</ul>\n</section>\n");
}

fn foreseen<'a>(view: &'a View<'_>) -> Vec<Foreseen<'a>> {
    let mut all: Vec<Foreseen<'_>> = Vec::new();
    for layer in &view.layers {
        for trigger in layer.triggers().into_values() {
            let soon = |forecast: &Forecast| forecast.p10.is_some_and(|p10| p10 <= Horizon::SixHours.span());
            let Some(forecast) = trigger.forecast.filter(soon) else { continue };
            let alike = |line: &&mut Foreseen<'_>| {
                let of = |trigger: &TriggerAssessment| (trigger.filesystem, trigger.trigger, trigger.strikes_below);
                of(line.trigger) == of(trigger) && line.forecast == forecast
            };
            match all.iter_mut().find(alike) {
                Some(line) => line.layers.push(&layer.name),
                None => all.push(Foreseen { trigger, forecast, layers: vec![&layer.name] }),
            }
        }
    }
    all.sort_by_key(|line| (line.forecast.p50.unwrap_or(Span::from_micros(i64::MAX)), line.forecast.p10));
    all
}

fn sentence(page: &mut String, view: &View<'_>, line: &Foreseen<'_>, windows: Windows) {
    let trigger = line.trigger.trigger;
    put!(page, "<li class=\"{}\"><b>", severity(line.trigger, windows));
    if trigger == Trigger::DiskFull {
        let disk = view.filesystem(line.trigger.filesystem).map_or("the disk", |disk| &disk.mountpoint);
        put!(page, "{}", Escaped(disk));
    } else {
        let (named, more) = line.layers.split_at(line.layers.len().min(MOST_NAMES));
        put!(page, "{}", Escaped(&named.join(", ")));
        if !more.is_empty() {
            put!(page, " and {} more", more.len());
        }
    }
    put!(page, "</b>: {} ", phrase::trigger(trigger));
    match line.forecast.p50 {
        Some(Span::ZERO) => page.push_str("is due now"),
        Some(_) => put!(page, "in about {}", phrase::forecast(Some(&line.forecast))),
        None => put!(page, "{}", phrase::forecast(Some(&line.forecast))),
    }
    if let Some(headroom) = line.trigger.headroom.filter(|headroom| *headroom >= 0) {
        put!(page, ", {} to go", phrase::headroom(trigger, headroom));
    }
    put!(page, "; {} likely within 30 minutes.", phrase::chance(line.forecast.within(Horizon::HalfHour)));
    if trigger == Trigger::ImageGc || trigger == Trigger::ImageEviction {
        let of_named = view.layers.iter().filter(|layer| line.layers.contains(&&*layer.name));
        // The first trigger that deletes images; a later one finds what that leaves.
        let first =
            of_named.filter(|layer| predictions(layer).first().is_some_and(|first| first.level.trigger == trigger));
        let lost = first.map(losses).fold(Losses::default(), Losses::and).sentence();
        if !lost.is_empty() {
            put!(page, " It {lost}.");
        }
    }
    page.push_str("</li>\n");
}

fn severity(trigger: &TriggerAssessment, windows: Windows) -> &'static str {
    match Verdict::of_trigger(trigger, windows) {
        Verdict::Critical => "critical",
        Verdict::Warning => "warning",
        Verdict::Ok | Verdict::Unknown => "calm",
    }
}

/// The table of layers, as a tree.
pub(super) fn table(page: &mut String, view: &View<'_>, windows: Windows) {
    page.push_str(
        "<section aria-labelledby=\"layers\">\n<h2 id=\"layers\">Layers</h2>\n\
         <div class=\"scroll\" role=\"group\" aria-label=\"Table of layers\" tabindex=\"0\">\n<table>\n<thead><tr>\
         <th scope=\"col\">Layer</th><th scope=\"col\">First trigger</th>\
         <th scope=\"col\">Forecast <small>50 % (10 %–90 %)</small></th><th scope=\"col\" class=\"number\">Headroom</th>\
         <th scope=\"col\" class=\"number\">Holds alone</th><th scope=\"col\">Image GC <small>high/low, kubelet %</small></th>\
         <th scope=\"col\" class=\"number\">Next check</th><th scope=\"col\">Kind</th>",
    );
    if view.filesystems.len() > 1 {
        page.push_str("<th scope=\"col\">Filesystem</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for layer in &view.layers {
        row(page, view, layer, windows);
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn row(page: &mut String, view: &View<'_>, layer: &LayerView<'_>, windows: Windows) {
    let sample = layer.sample;
    put!(
        page,
        "<tr><th scope=\"row\" class=\"d{}\" title=\"{}\">{}",
        layer.depth.min(4),
        Escaped(&layer.name),
        Escaped(layer.short_name())
    );
    // The jobs of inner layers are those of the pod they live in; once is enough.
    if let Some(job) = sample.origin.prow_job.as_ref().filter(|_| sample.origin.node_role.is_none()) {
        let build = sample.origin.prow_build_id.as_ref().map_or("", Label::as_str);
        put!(page, "<small>{}</small><small>{}</small>", Escaped(job.as_str()), Escaped(build));
    }
    let first = layer.first_trigger();
    let headroom = first.and_then(|found| found.headroom.map(|room| phrase::headroom(found.trigger, room)));
    let next = layer.next_gc_check().map(|at| at.since(view.now).max(Span::ZERO));
    put!(
        page,
        "</th><td>{}</td><td class=\"{}\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td>\
         <td class=\"number\">{}</td><td>{}<small>{}</small></td>",
        first.map_or("none armed", |found| phrase::trigger(found.trigger)),
        first.map_or("calm", |found| severity(found, windows)),
        first.map_or_else(|| "–".to_owned(), |found| phrase::forecast(found.forecast.as_ref())),
        headroom.unwrap_or_else(|| "–".to_owned()),
        layer.held_total().map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()),
        phrase::image_gc(layer),
        next.map_or_else(|| "–".to_owned(), |span| format!("in {span}")),
        sample.kind,
        Escaped(&runtime(layer)),
    );
    if view.filesystems.len() > 1 {
        put!(page, "<td>{}</td>", Escaped(view.imagefs(layer).map_or("unknown", |disk| &disk.mountpoint)));
    }
    page.push_str("</tr>\n");
}

fn runtime(layer: &LayerView<'_>) -> String {
    let Some(runtime) = &layer.sample.runtime else { return "no runtime".to_owned() };
    let version = runtime.version.as_ref().map_or("", Label::as_str);
    format!("{} {version}", runtime.kind.as_str())
}

/// What could not be read or understood, if anything.
pub(super) fn problems(page: &mut String, view: &View<'_>) {
    let problems = view.problems();
    if problems.is_empty() {
        return;
    }
    page.push_str("<section aria-labelledby=\"problems\">\n<h2 id=\"problems\">What could not be read</h2>\n<ul>\n");
    for problem in problems {
        put!(
            page,
            "<li><b>{}</b> {}: {}</li>\n",
            Escaped(&problem.whose),
            Escaped(problem.what),
            Escaped(&problem.why)
        );
    }
    page.push_str("</ul>\n</section>\n");
}
