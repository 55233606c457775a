//! How near is each layer's kubelet, in sentences and as a table? And what could not be read.

use super::html::Escaped;
use crate::export::phrase;
use crate::export::put::put;
use crate::export::view::{LayerView, View};
use crate::forecast::Horizon;
use crate::time::Span;
use crate::untrusted::Label;

/// A sentence for each layer of which something is foreseen, most urgent first.
pub(super) fn outlook(page: &mut String, view: &View<'_>) {
    let mut foreseen: Vec<_> = view
        .layers
        .iter()
        .filter_map(|layer| Some((layer, layer.first_trigger()?)))
        .filter_map(|(layer, trigger)| Some((layer, trigger, trigger.forecast?)))
        .filter(|(_, _, forecast)| forecast.p10.is_some_and(|p10| p10 <= Horizon::SixHours.span()))
        .collect();
    foreseen.sort_by_key(|(layer, ..)| layer.urgency());
    page.push_str("<section aria-labelledby=\"outlook\">\n<h2 id=\"outlook\">Outlook</h2>\n");
    if foreseen.is_empty() {
        page.push_str("<p>No trigger is foreseen within six hours.</p>\n");
    } else {
        page.push_str("<ul class=\"outlook\">\n");
    }
    for (layer, trigger, forecast) in &foreseen {
        let class = severity(forecast.p50);
        put!(page, "<li class=\"{class}\"><b>{}</b>: ", Escaped(&layer.name));
        if let (_, Some(Span::ZERO)) = (trigger.headroom, forecast.p50) {
            put!(page, "{} is due now", phrase::trigger(trigger.trigger));
        } else {
            let when = phrase::forecast(Some(forecast));
            let preposition = if forecast.p50.is_some() { "in about " } else { "" };
            put!(page, "{} {preposition}{when}", phrase::trigger(trigger.trigger));
        }
        if let Some(headroom) = trigger.headroom.filter(|headroom| *headroom >= 0) {
            put!(page, ", {} to go", phrase::headroom(trigger.trigger, headroom));
        }
        let chance = forecast.within(Horizon::HalfHour).get() * 100.0;
        put!(page, "; {chance:.0} % likely within 30 minutes.</li>\n");
    }
    if !foreseen.is_empty() {
        page.push_str("</ul>\n");
    }
    page.push_str("</section>\n");
}

/// Red within ten minutes, amber within an hour.
fn severity(p50: Option<Span>) -> &'static str {
    match p50 {
        Some(when) if when <= Horizon::TenMinutes.span() => "critical",
        Some(when) if when <= Horizon::Hour.span() => "warning",
        _ => "calm",
    }
}

/// The table of layers, as a tree.
pub(super) fn table(page: &mut String, view: &View<'_>) {
    page.push_str(
        "<section aria-labelledby=\"layers\">\n<h2 id=\"layers\">Layers</h2>\n\
         <div class=\"scroll\" role=\"region\" aria-labelledby=\"layers\" tabindex=\"0\">\n<table>\n<thead><tr>\
         <th scope=\"col\">Layer</th><th scope=\"col\">First trigger</th>\
         <th scope=\"col\">Forecast <small>50 % (10 %–90 %)</small></th><th scope=\"col\" class=\"number\">Headroom</th>\
         <th scope=\"col\" class=\"number\">Holds alone</th><th scope=\"col\">Image GC <small>high/low, kubelet %</small></th>\
         <th scope=\"col\" class=\"number\">Next check</th><th scope=\"col\">Kind</th><th scope=\"col\">Filesystem</th>\
         </tr></thead>\n<tbody>\n",
    );
    for layer in &view.layers {
        row(page, view, layer);
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn row(page: &mut String, view: &View<'_>, layer: &LayerView<'_>) {
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
         <td class=\"number\">{}</td><td>{}<small>{}</small></td><td>{}</td></tr>\n",
        first.map_or("none armed", |found| phrase::trigger(found.trigger)),
        severity(first.and_then(|found| found.forecast).and_then(|forecast| forecast.p50)),
        first.map_or_else(|| "–".to_owned(), |found| phrase::forecast(found.forecast.as_ref())),
        headroom.unwrap_or_else(|| "–".to_owned()),
        layer.held_total().map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()),
        phrase::image_gc(layer),
        next.map_or_else(|| "–".to_owned(), |span| format!("in {span}")),
        sample.kind,
        Escaped(&runtime(layer)),
        Escaped(view.imagefs(layer).map_or("unknown", |disk| &disk.mountpoint)),
    );
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
