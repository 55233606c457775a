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
mod outlook;
mod remedies;
mod victims;

use super::phrase;
use super::put::put;
use super::view::{FilesystemView, View};
use crate::snapshot::Snapshot;
use crate::time::{Span, Timestamp};
use crate::verdict::{Verdict, Windows};
use html::Escaped;

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

/// What the page says beside the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOptions {
    /// Where the metrics are, for a link.
    pub telemetry_path: String,
    /// Shown at the top, for example that this is a demonstration.
    pub notice: Option<String>,
    /// When a foreseen trigger is shown as a warning, and when as critical.
    pub windows: Windows,
}

/// The defaults of the flags: `/metrics`, no notice, critical within 30 minutes, a warning within two hours.
impl Default for PageOptions {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            notice: None,
            windows: Windows { critical: Span::from_secs(1_800), warning: Span::from_secs(7_200) },
        }
    }
}

/// The page at `now`.
pub fn render(snapshot: Option<&Snapshot>, now: Timestamp, options: &PageOptions) -> String {
    let mut page = String::with_capacity(16 << 10);
    page.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    let view = snapshot.map(|snapshot| View::new(snapshot, now));
    let of_the_present = snapshot.filter(|_| view.as_ref().is_some_and(|view| !view.is_stale()));
    let verdict = of_the_present.map_or(Verdict::Unknown, |snapshot| Verdict::of(snapshot, options.windows));
    let class = verdict.as_str().to_ascii_lowercase();
    put!(page, "<title>{} – highwater</title>\n<link rel=\"icon\" href=\"icon-{class}.svg\">\n", verdict.as_str());
    page.push_str(
        "\
         <link rel=\"stylesheet\" href=\"style.css\">\n<script src=\"page.js\" defer></script>\n\
         <noscript><meta http-equiv=\"refresh\" content=\"15\"></noscript>\n</head>\n<body>\n<header>\n<h1>highwater</h1>\n",
    );
    put!(page, "<p class=\"verdict {}\" role=\"status\">{}</p>\n", class, verdict.as_str());
    if let Some(view) = &view {
        put!(page, "<p>Sampled at <time datetime=\"{0}\">{0}</time>, {1} ago.</p>\n", view.at, now.since(view.at));
    }
    if let Some(count) = view.as_ref().map(|view| view.problems().len()).filter(|count| *count > 0) {
        put!(page, "<p><a href=\"#problems\">{} could not be read</a></p>\n", phrase::count(count, "thing"));
    }
    page.push_str(LOST);
    page.push_str("</header>\n<main>\n");
    if let Some(notice) = &options.notice {
        put!(page, "<p class=\"notice\">{}</p>\n", Escaped(notice));
    }
    match &view {
        None => page.push_str("<p class=\"notice\">Nothing has been sampled yet. Reload in a few seconds.</p>\n"),
        Some(view) => body(&mut page, view, options.windows),
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

fn body(page: &mut String, view: &View<'_>, windows: Windows) {
    if view.is_stale() {
        page.push_str(
            "<p class=\"notice critical\">The agent has stopped sampling. What follows is of the past.</p>\n",
        );
    }
    let mut disks: Vec<(usize, &FilesystemView<'_>)> = view.filesystems.iter().enumerate().collect();
    disks.sort_by_key(|(_, disk)| view.urgency(disk));
    for (position, disk) in disks.iter().take(MOST_DISKS) {
        disk::section(page, view, *position, disk, windows);
    }
    if let Some(more) = disks.len().checked_sub(MOST_DISKS).filter(|more| *more > 0) {
        put!(page, "<p class=\"aside\">And {more} more filesystems, less urgent.</p>\n");
    }
    if disks.is_empty() {
        page.push_str("<p class=\"notice\">No filesystem is watched: nothing is foreseen.</p>\n");
    }
    layers::table(page, view, windows);
    victims::section(page, view);
    holders::section(page, view);
    agent::problems(page, view);
    agent::section(page, view);
}
