//! What does a person see at `/`? One page of HTML, made on the server, complete without script and without anything from
//! elsewhere. A small script keeps it current; without it the page reloads itself.
//!
//! Foreign text goes through `html::Escaped`. The page carries no style, no style attribute and no inline script, so that its
//! policy can forbid them: they are files of their own, see [`file()`].

mod agent;
mod chart;
mod disk;
mod holders;
mod html;
mod layers;
mod lines;
mod outlook;
mod remedies;
mod victims;

use super::phrase;
use super::put::put;
use crate::report::{Explanation, FilesystemReport, Report, Urgency};
use crate::verdict::Verdict;
use html::{Escaped, Short};

/// The text of a file that the page asks for, and its content type.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    const ICON: &str = "image/svg+xml";
    Some(match path {
        "/style.css" => (include_str!("style.css"), "text/css; charset=utf-8"),
        "/page.js" => (include_str!("page.js"), "text/javascript; charset=utf-8"),
        "/icon-ok.svg" => (include_str!("icons/ok.svg"), ICON),
        "/icon-warning.svg" => (include_str!("icons/warning.svg"), ICON),
        "/icon-critical.svg" => (include_str!("icons/critical.svg"), ICON),
        "/icon-unknown.svg" => (include_str!("icons/unknown.svg"), ICON),
        _ => return None,
    })
}

/// The Content-Security-Policy under which the page works: its own style sheet, script and icons, and requests for itself.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shown by the script while it gets no answer.
const LOST: &str =
    "<p id=\"lost\" class=\"lost\" role=\"alert\" hidden>The agent does not answer; what follows is old.</p>\n";

/// Filesystems that are shown, the most urgent ones.
const MOST_DISKS: usize = 8;

/// What the page says beside the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOptions {
    /// Where the metrics are, for a link.
    pub telemetry_path: String,
    /// Shown at the top, for example that this is a demonstration.
    pub notice: Option<String>,
}

/// The default of the flag, and no notice.
impl Default for PageOptions {
    fn default() -> Self {
        Self { telemetry_path: "/metrics".to_owned(), notice: None }
    }
}

/// The page: of a report, and of what explains every layer as it is; `None` before the first sample.
pub fn render(known: Option<(&Report, &Explanation)>, options: &PageOptions) -> String {
    let mut page = String::with_capacity(16 << 10);
    page.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    let report = known.map(|(report, _)| report);
    let class = report.and_then(|report| report.verdict.status.known()).unwrap_or(Verdict::Unknown).as_str();
    let verdict = class.to_ascii_uppercase();
    let node = report.and_then(|report| report.node.as_ref());
    let of_node = node.map_or_else(String::new, |node| format!(" {}", Short(node.as_str())));
    put!(page, "<title>{verdict}{of_node} – highwater</title>\n<link rel=\"icon\" href=\"icon-{class}.svg\">\n");
    page.push_str(
        "\
         <link rel=\"stylesheet\" href=\"style.css\">\n<script src=\"page.js\" defer></script>\n\
         <noscript><meta http-equiv=\"refresh\" content=\"15\"></noscript>\n</head>\n<body>\n<header>\n",
    );
    put!(
        page,
        "<h1>highwater{}</h1>\n",
        node.map_or_else(String::new, |node| format!(" <small>{}</small>", Short(node.as_str())))
    );
    put!(page, "<p class=\"verdict {class}\" role=\"status\">{verdict}</p>\n");
    if let Some(report) = report {
        put!(page, "<p>Sampled at <time datetime=\"{0}\">{0}</time>, {1} ago.</p>\n", report.sampled_at, report.age);
    }
    if let Some(count) = report.map(|report| report.problems.len()).filter(|count| *count > 0) {
        put!(page, "<p><a href=\"#problems\">{} could not be read</a></p>\n", phrase::count(count, "thing"));
    }
    page.push_str(LOST);
    page.push_str("</header>\n<main>\n");
    if let Some(notice) = &options.notice {
        put!(page, "<p class=\"notice\">{}</p>\n", Escaped(notice));
    }
    match known {
        None => page.push_str("<p class=\"notice\">Nothing has been sampled yet. Reload in a few seconds.</p>\n"),
        Some((report, explanation)) => body(&mut page, report, explanation),
    }
    put!(
        page,
        "</main>\n<footer>\n<p>highwater {} · <a href=\"{}\">metrics</a> · <a href=\"api/v1/snapshot\">snapshot as JSON</a></p>\n\
         </footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        Escaped(options.telemetry_path.trim_start_matches('/'))
    );
    page
}

fn body(page: &mut String, report: &Report, explanation: &Explanation) {
    if report.stale {
        page.push_str(
            "<p class=\"notice critical\">The agent has stopped sampling. What follows is of the past.</p>\n",
        );
    }
    let mut disks: Vec<(usize, &FilesystemReport)> = report.filesystems.iter().enumerate().collect();
    disks.sort_by_cached_key(|(_, disk)| {
        report.triggers_on(disk).map(|(_, trigger)| trigger.urgency()).min().unwrap_or(Urgency::NONE)
    });
    for (position, disk) in disks.iter().take(MOST_DISKS) {
        disk::section(page, report, *position, disk);
    }
    if let Some(more) = disks.len().checked_sub(MOST_DISKS).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more filesystems, less urgent.</p>\n");
    }
    if disks.is_empty() {
        page.push_str("<p class=\"notice\">No filesystem is watched: nothing is expected.</p>\n");
    }
    layers::table(page, report);
    victims::section(page, report, explanation);
    holders::section(page, report);
    agent::problems(page, report);
    agent::section(page, report);
}
