//! Which layers are there, one inside the other, and how near is each to its first trigger?

use super::html::{Escaped, Short};
use super::outlook::severity;
use crate::export::phrase;
use crate::export::put::put;
use crate::report::{LayerReport, Report};
use crate::time::Span;
use crate::untrusted::Label;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;

/// Layers that have a row; of more the most urgent.
const MOST_LAYERS: usize = 40;

/// The table of layers, as a tree.
pub(super) fn table(page: &mut String, report: &Report) {
    page.push_str(
        "<section id=\"layers\" aria-labelledby=\"layers-title\">\n<h2 id=\"layers-title\">Layers</h2>\n<table>\n<thead><tr>\
         <th scope=\"col\">Layer</th><th scope=\"col\">First trigger</th>\
         <th scope=\"col\">Acts in <small>50 % (10 %–90 %)</small></th><th scope=\"col\" class=\"number\">Headroom</th>\
         <th scope=\"col\" class=\"number\">Exclusive bytes</th><th scope=\"col\">Image GC <small>high/low, kubelet %</small></th>\
         <th scope=\"col\" class=\"number\">Next GC run</th><th scope=\"col\">Kind</th>",
    );
    if report.filesystems.len() > 1 {
        page.push_str("<th scope=\"col\">Filesystem</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    let shown = shown(report);
    for layer in report.layers.iter().filter(|layer| shown.contains(&*layer.layer)) {
        row(page, report, layer);
    }
    page.push_str("</tbody>\n</table>\n");
    let more = report.layers.len() - shown.len();
    if more > 0 {
        put!(page, "<p class=\"aside\">And {more} more, none more urgent.</p>\n");
    }
    page.push_str("</section>\n");
}

/// The names of the most urgent layers, each with the layers around it, so that the tree has no holes.
fn shown(report: &Report) -> BTreeSet<&str> {
    let by_id: BTreeMap<&str, &LayerReport> = report.layers.iter().rev().map(|layer| (&*layer.layer, layer)).collect();
    let mut urgent: Vec<&LayerReport> = report.layers.iter().collect();
    urgent.sort_by_key(|layer| layer.urgency());
    let mut shown = BTreeSet::new();
    for layer in urgent {
        let around = successors(Some(layer), |layer| by_id.get(layer.parent.as_deref()?).copied());
        // Parents are outside of their children, and come to an end; a hostile list need not.
        let with_around: Vec<&str> = around.take(MOST_LAYERS).map(|layer| &*layer.layer).collect();
        let new = with_around.iter().filter(|name| !shown.contains(*name)).count();
        if shown.len() + new <= MOST_LAYERS {
            shown.extend(with_around);
        }
    }
    shown
}

fn row(page: &mut String, report: &Report, layer: &LayerReport) {
    put!(
        page,
        "<tr><th scope=\"row\" class=\"d{}\" title=\"{}\">{}",
        layer.depth.min(4),
        Short(&layer.layer),
        Short(layer.short_name())
    );
    // The jobs of inner layers are those of the pod they live in; once is enough.
    if let Some(job) = layer.origin.prow_job.as_ref().filter(|_| layer.origin.node_role.is_none()) {
        let build = layer.origin.prow_build_id.as_ref().map_or("", Label::as_str);
        put!(page, "<small>{}</small><small>{}</small>", Short(job.as_str()), Short(build));
    }
    let first = layer.first();
    let headroom = first.and_then(|found| found.headroom.map(|room| phrase::headroom(&found.unit, room)));
    let next = layer.next_image_gc_at.map(|at| at.since(report.now()).max(Span::ZERO));
    put!(
        page,
        "</th><td data-label=\"First trigger\">{}</td><td data-label=\"Acts in\" class=\"{}\">{}</td>\
         <td data-label=\"Headroom\" class=\"number\">{}</td><td data-label=\"Exclusive bytes\" class=\"number\">{}</td>\
         <td data-label=\"Image GC, high/low\">{}</td><td data-label=\"Next GC run\" class=\"number\">{}</td>\
         <td data-label=\"Kind\">{}<small>{}</small></td>",
        Escaped(first.map_or("none armed", |found| found.trigger.text(phrase::trigger))),
        first.map_or("calm", |found| severity(found, report.agent.health.windows)),
        first.map_or_else(|| "–".to_owned(), |found| phrase::quantiles(found.acts_in)),
        headroom.unwrap_or_else(|| "–".to_owned()),
        layer.exclusive_bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()),
        Escaped(&phrase::image_gc(layer.policy.as_ref(), layer.kubelet.is_some())),
        next.map_or_else(|| "–".to_owned(), |span| format!("in {span}")),
        Escaped(layer.kind.as_str()),
        Escaped(&runtime(layer)),
    );
    if report.filesystems.len() > 1 {
        let place = layer.mountpoint.as_deref().unwrap_or("unknown");
        put!(page, "<td data-label=\"Filesystem\">{}</td>", Short(place));
    }
    page.push_str("</tr>\n");
}

fn runtime(layer: &LayerReport) -> String {
    let Some(runtime) = &layer.runtime else { return "no runtime".to_owned() };
    let version = runtime.version.as_ref().map_or("", Label::as_str);
    format!("{} {version}", runtime.name)
}
