//! Which layers are there, one inside the other, and how near is each to its first trigger?

use super::html::{Escaped, Short};
use super::outlook::severity;
use crate::export::phrase;
use crate::export::put::put;
use crate::export::view::{LayerView, View};
use crate::time::Span;
use crate::untrusted::Label;
use crate::verdict::Windows;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;

/// Layers that have a row; of more the most urgent.
const MOST_LAYERS: usize = 40;

/// The table of layers, as a tree.
pub(super) fn table(page: &mut String, view: &View<'_>, windows: Windows) {
    page.push_str(
        "<section id=\"layers\" aria-labelledby=\"layers-title\">\n<h2 id=\"layers-title\">Layers</h2>\n<table>\n<thead><tr>\
         <th scope=\"col\">Layer</th><th scope=\"col\">First trigger</th>\
         <th scope=\"col\">Line is crossed <small>50 % (10 %–90 %)</small></th><th scope=\"col\" class=\"number\">Headroom</th>\
         <th scope=\"col\" class=\"number\">Holds alone</th><th scope=\"col\">Image GC <small>high/low, kubelet %</small></th>\
         <th scope=\"col\" class=\"number\">Next check</th><th scope=\"col\">Kind</th>",
    );
    if view.filesystems.len() > 1 {
        page.push_str("<th scope=\"col\">Filesystem</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    let shown = shown(view);
    for layer in view.layers.iter().filter(|layer| shown.contains(&*layer.name)) {
        row(page, view, layer, windows);
    }
    page.push_str("</tbody>\n</table>\n");
    let more = view.layers.len() - shown.len();
    if more > 0 {
        put!(page, "<p class=\"aside\">And {more} more, none more urgent.</p>\n");
    }
    page.push_str("</section>\n");
}

/// The names of the most urgent layers, each with the layers around it, so that the tree has no holes.
fn shown<'v>(view: &'v View<'_>) -> BTreeSet<&'v str> {
    let by_id: BTreeMap<&str, &LayerView<'_>> =
        view.layers.iter().rev().map(|layer| (layer.sample.id.as_str(), layer)).collect();
    let mut urgent: Vec<&LayerView<'_>> = view.layers.iter().collect();
    urgent.sort_by_key(|layer| layer.urgency());
    let mut shown = BTreeSet::new();
    for layer in urgent {
        let around = successors(Some(layer), |layer| by_id.get(layer.sample.parent.as_ref()?.as_str()).copied());
        // Parents are outside of their children, and come to an end; a hostile list need not.
        let with_around: Vec<&str> = around.take(MOST_LAYERS).map(|layer| &*layer.name).collect();
        let new = with_around.iter().filter(|name| !shown.contains(*name)).count();
        if shown.len() + new <= MOST_LAYERS {
            shown.extend(with_around);
        }
    }
    shown
}

fn row(page: &mut String, view: &View<'_>, layer: &LayerView<'_>, windows: Windows) {
    let sample = layer.sample;
    put!(
        page,
        "<tr><th scope=\"row\" class=\"d{}\" title=\"{}\">{}",
        layer.depth.min(4),
        Short(&layer.name),
        Short(layer.short_name())
    );
    // The jobs of inner layers are those of the pod they live in; once is enough.
    if let Some(job) = sample.origin.prow_job.as_ref().filter(|_| sample.origin.node_role.is_none()) {
        let build = sample.origin.prow_build_id.as_ref().map_or("", Label::as_str);
        put!(page, "<small>{}</small><small>{}</small>", Short(job.as_str()), Short(build));
    }
    let first = layer.first_trigger();
    let headroom = first.and_then(|found| found.headroom.map(|room| phrase::headroom(found.trigger, room)));
    let next = layer.next_image_gc_at().map(|at| at.since(view.now).max(Span::ZERO));
    put!(
        page,
        "</th><td data-label=\"First trigger\">{}</td><td data-label=\"Line is crossed\" class=\"{}\">{}</td>\
         <td data-label=\"Headroom\" class=\"number\">{}</td><td data-label=\"Holds alone\" class=\"number\">{}</td>\
         <td data-label=\"Image GC, high/low\">{}</td><td data-label=\"Next check\" class=\"number\">{}</td>\
         <td data-label=\"Kind\">{}<small>{}</small></td>",
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
        let place = view.imagefs(layer).map_or("unknown", |disk| &disk.mountpoint);
        put!(page, "<td data-label=\"Filesystem\">{}</td>", Short(place));
    }
    page.push_str("</tr>\n");
}

fn runtime(layer: &LayerView<'_>) -> String {
    let Some(runtime) = &layer.sample.runtime else { return "no runtime".to_owned() };
    let version = runtime.version.as_ref().map_or("", Label::as_str);
    format!("{} {version}", runtime.kind.as_str())
}
