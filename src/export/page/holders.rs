//! Who holds the space? The table of the holders, the greatest first.

use super::html::{Escaped, Short};
use crate::export::phrase::count;
use crate::export::put::put;
use crate::report::{FilesystemReport, HolderReport, Report};
use crate::sample::Component;
use crate::units::Bytes;
use crate::untrusted::Label;

/// Rows of the table; the greatest come first.
const MOST_ROWS: usize = 12;
/// The components with a column, and what they are called there.
const COLUMNS: [(Component, &str); 4] = [
    (Component::Store, "Images and containers"),
    (Component::Kubelet, "Kubelet"),
    (Component::Volumes, "Volumes"),
    (Component::Logs, "Logs"),
];

/// The table; nothing where no walk has counted yet.
pub(super) fn section(page: &mut String, report: &Report) {
    let (holders, nobodys) = (&report.holders, report.unowned_bytes);
    if holders.is_empty() {
        return;
    }
    let used = report
        .filesystems
        .iter()
        .filter_map(FilesystemReport::space)
        .fold(Bytes::ZERO, |sum, space| sum.saturating_add(space.used()));
    page.push_str(
        "<section id=\"holders\" aria-labelledby=\"holders-title\">\n<h2 id=\"holders-title\">Who holds the space</h2>\n<table>\n\
         <thead><tr><th scope=\"col\">Job or pod</th><th scope=\"col\" class=\"number\">Holds</th><th scope=\"col\" class=\"number\">Of used</th>",
    );
    for (_, name) in COLUMNS {
        put!(page, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for holder in holders.iter().take(MOST_ROWS) {
        row(page, holder, used);
    }
    if nobodys > Bytes::ZERO {
        put!(
            page,
            "<tr><th scope=\"row\">Belongs to no layer</th><td data-label=\"Holds\" class=\"number\">{nobodys}</td>\
             <td data-label=\"Of used\" class=\"number\">{}</td><td colspan=\"4\"></td></tr>\n",
            share(nobodys, used)
        );
    }
    page.push_str("</tbody>\n</table>\n");
    if let Some(more) = holders.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        let rest = holders.iter().skip(MOST_ROWS).fold(Bytes::ZERO, |sum, holder| sum.saturating_add(holder.bytes));
        put!(page, "<p class=\"aside\">And {more} more with {rest} together.</p>\n");
    }
    page.push_str("</section>\n");
}

fn row(page: &mut String, holder: &HolderReport, used: Bytes) {
    page.push_str("<tr><th scope=\"row\">");
    let namespace = holder.pod_namespace.as_ref().map_or("", Label::as_str);
    match (&holder.pod, &holder.prow_job) {
        (None, _) => page.push_str("The machine itself"),
        (Some(pod), Some(job)) => put!(
            page,
            "{}<small>{}, {}/{}</small>",
            Short(job.as_str()),
            Short(holder.prow_build_id.as_ref().map_or("no build id", Label::as_str)),
            Short(namespace),
            Short(pod.as_str())
        ),
        (Some(pod), None) => put!(page, "{}/{}", Short(namespace), Short(pod.as_str())),
    }
    put!(
        page,
        "<small>{}</small></th><td data-label=\"Holds\" class=\"number\"><b>{}</b></td><td data-label=\"Of used\" class=\"number\">{}</td>",
        count(holder.layers, "layer"),
        holder.bytes,
        share(holder.bytes, used)
    );
    for (component, name) in COLUMNS {
        let bytes = holder.components.get(&component.into()).copied().unwrap_or(Bytes::ZERO);
        let text = if bytes == Bytes::ZERO { "–".to_owned() } else { bytes.to_string() };
        put!(page, "<td data-label=\"{}\" class=\"number\">{text}</td>", Escaped(name));
    }
    page.push_str("</tr>\n");
}

fn share(bytes: Bytes, of: Bytes) -> String {
    if of == Bytes::ZERO {
        return "–".to_owned();
    }
    format!("{:.0} %", 100.0 * bytes.as_f64() / of.as_f64())
}
