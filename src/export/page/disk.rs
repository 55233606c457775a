//! What fills a disk, and how far is it to each line? One bar for each filesystem, an SVG of percentages so that it fits any
//! width.

use super::chart;
use super::html::{Escaped, Short};
use super::lines::{Line, lines};
use super::outlook;
use crate::export::phrase;
use crate::export::put::put;
use crate::report::{FilesystemReport, Report};
use crate::sample::{Component, Space};
use crate::units::Bytes;

/// Layers with a colour of their own; what holds less than these shares one.
const COLOURS: usize = 8;
/// Height of the bar, and of one line of text below it, in pixels.
const BAR: usize = 34;
const ROW: usize = 20;

/// Layers that a line names.
const MOST_NAMES: usize = 8;

/// A part of the bar.
struct Segment {
    class: String,
    name: String,
    bytes: Bytes,
}

/// The section of one filesystem: what happens next, how full it is, and how it got there.
pub(super) fn section(page: &mut String, report: &Report, position: usize, disk: &FilesystemReport) {
    put!(
        page,
        "<section id=\"disk-{position}\" aria-labelledby=\"disk-{position}-title\">\n\
         <h2 id=\"disk-{position}-title\">{} <small>{}</small></h2>\n",
        Short(&disk.mountpoint),
        Short(&disk.device)
    );
    if let Some(space) = disk.space() {
        outlook::sentences(page, report, disk);
        figures(page, disk, &space);
        bar(page, report, disk, &space);
        chart::figure(page, report, disk, &space);
    } else {
        let reason = disk.error.as_ref().map_or_else(String::new, ToString::to_string);
        put!(page, "<p class=\"notice warning\">Could not be measured: {}</p>\n", Escaped(&reason));
    }
    page.push_str("</section>\n");
}

fn figures(page: &mut String, disk: &FilesystemReport, space: &Space) {
    put!(page, "<p class=\"figures\"><b>{}</b> available of {}", space.available, space.capacity);
    if let Some(percent) = disk.kubelet_percent {
        put!(page, " · the kubelet says <b>{percent}</b> used");
    }
    if let Some(percent) = disk.df_percent {
        put!(page, ", df says {percent}");
    }
    match disk.fill_bytes_per_second {
        Some(rate) if rate.get() < 0.0 => put!(page, " · emptying at {}", crate::units::ByteRate::new(-rate.get())),
        Some(rate) => put!(page, " · filling at {rate}"),
        None => page.push_str(" · rate not known yet"),
    }
    page.push_str("</p>\n");
}

fn bar(page: &mut String, report: &Report, disk: &FilesystemReport, space: &Space) {
    let segments = segments(disk, space);
    let lines = lines(report, disk);
    let height = BAR + ROW * lines.len() + 4;
    put!(
        page,
        "<svg class=\"bar\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"Usage of {}: ",
        Short(&disk.mountpoint)
    );
    for segment in &segments {
        put!(page, "{} {}, ", Short(&segment.name), segment.bytes);
    }
    put!(page, "available {}\">\n<rect class=\"free\" width=\"100%\" height=\"{BAR}\"/>\n", space.available);
    let mut start = 0.0;
    for segment in &segments {
        let width = percent_of(segment.bytes.as_f64(), space);
        put!(
            page,
            "<rect class=\"{}\" x=\"{start:.2}%\" width=\"{width:.2}%\" height=\"{BAR}\"><title>{}: {}</title></rect>\n",
            segment.class,
            Short(&segment.name),
            segment.bytes
        );
        start += width;
    }
    for (row, line) in lines.iter().enumerate() {
        mark(page, space, row, line);
    }
    page.push_str("</svg>\n<ul class=\"legend\">\n");
    for segment in &segments {
        put!(
            page,
            "<li><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><rect class=\"{}\" width=\"12\" height=\"12\"/></svg> {} <b>{}</b></li>\n",
            segment.class,
            Short(&segment.name),
            segment.bytes
        );
    }
    put!(
        page,
        "<li><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><rect class=\"free\" width=\"12\" height=\"12\"/></svg> available <b>{}</b></li>\n</ul>\n",
        space.available
    );
    if let Some(at) = disk.usage.as_ref().and_then(|usage| usage.measured_at) {
        put!(page, "<p class=\"aside\">Bytes per layer were counted {} ago.</p>\n", report.now().since(at));
    } else if let Some(error) = &disk.usage_error {
        put!(page, "<p class=\"aside\">Bytes per layer are not known: {}</p>\n", Escaped(&error.to_string()));
    }
}

fn mark(page: &mut String, space: &Space, row: usize, line: &Line) {
    let at = (100.0 - percent_of(line.threshold.as_f64(), space)).clamp(0.0, 100.0);
    let class = if line.crossed { "line crossed" } else { "line" };
    let bottom = BAR + ROW * row + 15;
    let whose = match line.layers.as_slice() {
        [one] => cut(one),
        [one, other] => format!("{}, {}", cut(one), cut(other)),
        [one, more @ ..] => format!("{} and {} more", cut(one), more.len()),
        [] => String::new(),
    };
    let (named, more) = line.layers.split_at(line.layers.len().min(MOST_NAMES));
    let mut title = named.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
    if !more.is_empty() {
        put!(title, " and {} more", more.len());
    }
    // Names are long and lines are mostly at the right end; the text ends at its line there.
    let anchor = if at > 50.0 { "end" } else { "start" };
    put!(
        page,
        "<g class=\"{class}\"><title>{}</title><line x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"{bottom}\"/>\
         <text x=\"{at:.2}%\" y=\"{bottom}\" dx=\"{shift}\" text-anchor=\"{anchor}\">{}, below {}\
         <tspan class=\"whose\"> available · {}</tspan></text></g>\n",
        Escaped(&title),
        Escaped(line.trigger.text(phrase::trigger)),
        line.threshold,
        Escaped(&whose),
        shift = if anchor == "end" { "-5" } else { "5" },
    );
}

/// The last part of a long name: in the picture there is room for little, and the table has the rest.
fn cut(name: &str) -> String {
    const ROOM: usize = 28;
    let length = name.chars().count();
    if length <= ROOM {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(length - ROOM).collect::<String>())
    }
}

/// What is used, largest holders first; sums to capacity less available.
fn segments(disk: &FilesystemReport, space: &Space) -> Vec<Segment> {
    let used = space.used();
    let mut segments = Vec::new();
    if let Some(usage) = &disk.usage {
        let mut holders: Vec<(String, Bytes)> = Vec::new();
        let mut nobodys = Bytes::ZERO;
        for held in &usage.layers {
            let other = held.components.get(&Component::Other.into()).copied().unwrap_or(Bytes::ZERO);
            nobodys = nobodys.saturating_add(other);
            holders.push((held.layer.to_string(), held.bytes.saturating_sub(other)));
        }
        holders.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let sum = holders.iter().fold(nobodys, |sum, (_, bytes)| sum.saturating_add(*bytes));
        // The walk is some minutes old: what it has not seen is shown as such, what has gone is taken from all alike.
        let shrink = if sum > used { used.as_f64() / sum.as_f64().max(1.0) } else { 1.0 };
        let scaled = |bytes: Bytes| Bytes::from_f64_saturating(bytes.as_f64() * shrink);
        let smaller = holders.split_off(holders.len().min(COLOURS));
        for (colour, (name, bytes)) in holders.into_iter().enumerate() {
            segments.push(Segment { class: format!("c{colour}"), name, bytes: scaled(bytes) });
        }
        if !smaller.is_empty() {
            let bytes = smaller.iter().fold(Bytes::ZERO, |sum, (_, bytes)| sum.saturating_add(scaled(*bytes)));
            segments.push(Segment { class: "rest".to_owned(), name: format!("{} more layers", smaller.len()), bytes });
        }
        if nobodys > Bytes::ZERO {
            let name = "other, of no layer".to_owned();
            segments.push(Segment { class: "other".to_owned(), name, bytes: scaled(nobodys) });
        }
        let since = used.saturating_sub(sum);
        if since > Bytes::ZERO {
            segments.push(Segment { class: "since".to_owned(), name: "not counted yet".to_owned(), bytes: since });
        }
    } else {
        segments.push(Segment { class: "rest".to_owned(), name: "used".to_owned(), bytes: used });
    }
    let reserved = space.free.saturating_sub(space.available);
    if reserved > Bytes::ZERO {
        segments.push(Segment { class: "reserved".to_owned(), name: "reserved for root".to_owned(), bytes: reserved });
    }
    segments
}

fn percent_of(bytes: f64, space: &Space) -> f64 {
    bytes / space.capacity.as_f64().max(1.0) * 100.0
}
