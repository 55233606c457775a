//! `highwater run`: the agent.

use super::changes::Changes;
use super::observe::{Waits, observe};
use super::recording::RecordingError;
use super::{Failure, print, privileges, serve};
use crate::agent::{Agent, Recorder, Recording, Watch, clock};
use crate::cli::RunArgs;
use crate::config::Settings;
use crate::export::table;
use crate::report::Report;
use crate::snapshot::Snapshot;
use crate::time::Span;
use crate::units::Bytes;
use crate::verdict::Windows;
use crate::web::Published;
use std::io::stdout;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Time for runtimes to tell the names of their containers before the first table is printed without them.
const NAMES_WITHIN: Duration = Duration::from_millis(700);

/// Runs until stopped by a signal.
///
/// # Errors
/// Unusable settings, an address in use, or a machine whose processes cannot be listed.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let settings = Settings::load(args.overrides())?;
    let bound = serve::BoundServer::open(&settings)?;
    let written = [settings.storage.as_deref(), args.recording.as_deref()];
    privileges::keep_reading(&written.into_iter().flatten().collect::<Vec<_>>());
    let mut recording = args.recording.as_deref().map(|path| record(path, args.recording_max_size)).transpose()?;
    let mut watch = Watch::new(&settings, settings.sample_interval)?;
    if let Some(directory) = &settings.storage {
        watch.keep_state_in(directory).map_err(|error| Failure::io("start a thread", error))?;
    }
    let waits = Waits { runtimes: NAMES_WITHIN, window: Span::ZERO, usage: Span::ZERO };
    let first = observe(&mut watch, &waits, &settings)?;
    greet(&first, bound.urls())?;

    if let Some(recording) = &mut recording {
        recording.record(&first.sample);
    }
    let published = Arc::new(Published::new());
    published.publish(Arc::new(first));
    let publisher = Arc::clone(&published);
    let mut changes = Changes::new(Windows { critical: settings.critical, warning: settings.warning });
    let agent = Agent::start(watch, &settings, move |snapshot| {
        changes.log(&snapshot);
        if let Some(recording) = &mut recording {
            recording.record(&snapshot.sample);
        }
        publisher.publish(Arc::new(snapshot));
    })
    .map_err(|error| Failure::io("start a thread", error))?;
    let result = serve::until_stopped(&settings, bound, &published, None, clock::now, agent.ended());
    agent.stop();
    result
}

/// What a recording and its older generation take where nothing else is said.
const RECORDING_SIZE: Bytes = Bytes::from_mib(64);

fn record(path: &Path, most: Option<Bytes>) -> Result<Recording, Failure> {
    let failure =
        |source: std::io::Error| RecordingError { attempt: "write", path: path.to_owned(), source: Box::new(source) };
    let recorder = Recorder::open(path, most.unwrap_or(RECORDING_SIZE)).map_err(failure)?;
    Recording::start(recorder).map_err(|error| Failure::io("start a thread", error))
}

fn greet(snapshot: &Snapshot, urls: &str) -> Result<(), Failure> {
    let text =
        format!("{}\nServing on {urls}\n", table::render(&Report::new(snapshot, clock::now()), terminal_width()));
    print(&text)
}

/// The width of the terminal, where standard output is one.
pub(super) fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(stdout()).map(|(width, _)| width.0)
}
