//! `highwater check`: what the running agent knows, or what a look of a few seconds shows; and by the exit code how bad it is.

use super::remote::{AgentAddress, AgentChoice, Patience, get, local};
use super::run::{first_snapshot, terminal_width};
use super::{Failure, waiting};
use crate::agent::{Watch, clock};
use crate::cli::{CheckArgs, Output};
use crate::config::Settings;
use crate::export::json::{self, Document, SCHEMA_VERSION, describe};
use crate::export::table;
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
/// How long to look where nothing else is said.
const WINDOW: Span = Span::from_secs(5);
/// How long to wait for the walk where nothing else is said.
const USAGE_TIMEOUT: Span = Span::from_secs(10);

/// Prints what the agent knows, or looks once; the verdict is for the exit code.
///
/// # Errors
/// Unusable settings, an agent that was named and does not answer, or a machine whose processes cannot be listed.
pub fn check(args: &CheckArgs) -> Result<Verdict, Failure> {
    let settings = Settings::load(args.overrides())?;
    let (document, origin) = known(args, &settings)?;
    let verdict = document.verdict(Windows { critical: settings.critical, warning: settings.warning });
    let text = match args.output {
        Output::Json => json::line(&document),
        Output::Table => {
            format!("{}\n{origin}\n{}\n", table::show(&document, terminal_width()), verdict.as_str())
        }
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::io("print", error))?;
    Ok(verdict)
}

/// What is known, and a sentence that says from where.
fn known(args: &CheckArgs, settings: &Settings) -> Result<(Document, String), Failure> {
    let from = |address: &AgentAddress, document: &Document| {
        let age = Span::from_secs_f64(document.age_seconds).max(Span::ZERO);
        let stale = if document.stale { ", which has stopped sampling" } else { "" };
        format!("From the agent at {address}{stale}: sampled {age} ago.")
    };
    match &args.agent {
        Some(AgentChoice::At(address)) => {
            let ask = get(address, "/api/v1/snapshot", SCHEMA_VERSION, Patience::PATIENT);
            let document = waiting(ask)?.map_err(Failure::Agent)?;
            let origin = from(address, &document);
            return Ok((document, origin));
        }
        None if !args.measures() => {
            if let Some((address, document)) = waiting(local(settings))? {
                let origin = from(&address, &document);
                return Ok((document, origin));
            }
        }
        Some(AgentChoice::None) | None => {}
    }
    let window = args.window.unwrap_or(WINDOW);
    let snapshot = look(settings, window, args.usage_timeout.unwrap_or(USAGE_TIMEOUT))?;
    Ok((describe(&snapshot, clock::now()), format!("Measured just now, for {window}; a running agent knows more.")))
}

/// This machine as it is.
fn look(settings: &Settings, window: Span, usage_timeout: Span) -> Result<Snapshot, Failure> {
    let mut watch = Watch::new(settings, INTERVAL)?;
    let mut snapshot = first_snapshot(&mut watch);
    let begin = clock::monotonic();
    let walk = start_walk(&watch, settings, usage_timeout)?;
    while begin.elapsed() < window.to_std() {
        std::thread::sleep(INTERVAL.to_std());
        snapshot = watch.round();
    }
    while begin.elapsed() < usage_timeout.to_std() && walk.as_ref().is_some_and(|walk| !walk.is_finished()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    watch.usage().stop();
    if walk.is_some() {
        snapshot = watch.round();
    }
    Ok(snapshot)
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
