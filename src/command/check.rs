//! `highwater check`: look for a few seconds, print, and say by the exit code how bad it is.

use super::Failure;
use super::run::{first_snapshot, terminal_width};
use crate::agent::{Watch, clock};
use crate::cli::{CheckArgs, Output};
use crate::config::Settings;
use crate::export::{json, table};
use crate::snapshot::Snapshot;
use crate::source::walk::Budget;
use crate::time::Span;
use crate::verdict::{Verdict, Windows};
use std::io::{Write, stdout};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

/// Distance between two samples: enough of them for a rate within a window of a few seconds.
const INTERVAL: Span = Span::from_millis(500);

/// Looks once and prints the result; the verdict is for the exit code.
///
/// # Errors
/// Unusable settings, or a machine whose processes cannot be listed.
pub fn check(args: &CheckArgs) -> Result<Verdict, Failure> {
    let settings = Settings::load(args.overrides())?;
    let mut watch = Watch::new(&settings, INTERVAL)?;
    let mut snapshot = first_snapshot(&mut watch);

    let begin = clock::monotonic();
    let walk = start_walk(&watch, &settings, args.usage_timeout)?;
    while begin.elapsed() < args.window.to_std() {
        std::thread::sleep(INTERVAL.to_std());
        snapshot = watch.round();
    }
    while begin.elapsed() < args.usage_timeout.to_std() && walk.as_ref().is_some_and(|walk| !walk.is_finished()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    watch.usage().stop();
    if walk.is_some() {
        snapshot = watch.round();
    }

    let verdict = Verdict::of(&snapshot, Windows { critical: settings.critical, warning: settings.warning });
    print(&snapshot, args.output, verdict)?;
    Ok(verdict)
}

fn start_walk(
    watch: &Watch,
    settings: &Settings,
    timeout: Span,
) -> Result<Option<std::thread::JoinHandle<()>>, Failure> {
    if timeout == Span::ZERO {
        return Ok(None);
    }
    let usage = Arc::clone(&watch.usage());
    // Somebody waits for it: no pauses.
    let budget = Budget { entries: settings.usage_max_entries, pause: Duration::ZERO, ..Budget::default() };
    let walk = Builder::new().name("usage".to_owned()).spawn(move || usage.walk_all(&budget));
    walk.map(Some).map_err(|error| Failure::io("start a thread", error))
}

fn print(snapshot: &Snapshot, output: Output, verdict: Verdict) -> Result<(), Failure> {
    let now = clock::now();
    let text = match output {
        Output::Table => format!("{}\n{}\n", table::render(snapshot, now, terminal_width()), verdict.as_str()),
        Output::Json => json::snapshot(snapshot, now),
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::io("print", error))
}
