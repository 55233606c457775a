//! `highwater run`: the agent.

use super::changes::Changes;
use super::{Failure, print, privileges, serve};
use crate::access::socket::ReplyLimits;
use crate::agent::runtimes::ask_all;
use crate::agent::{Agent, Recorder, Recording, Watch, clock};
use crate::cli::RunArgs;
use crate::config::Settings;
use crate::export::table;
use crate::report::Report;
use crate::snapshot::Snapshot;
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
    let door = serve::Door::open(&settings)?;
    let written = [settings.storage.as_deref(), args.recording.as_deref()];
    privileges::keep_reading(&written.into_iter().flatten().collect::<Vec<_>>());
    let mut recording = args.recording.as_deref().map(|path| record(path, args.recording_max_size)).transpose()?;
    let mut watch = Watch::new(&settings, settings.sample_interval)?;
    if let Some(directory) = &settings.storage {
        watch.keep_state_in(directory).map_err(|error| Failure::io("start a thread", error))?;
    }
    let first = first_snapshot(&mut watch);
    greet(&first, &door.urls())?;

    if let Some(recording) = &mut recording {
        recording.record(&first.sample);
    }
    let published = Arc::new(Published::new());
    published.publish(Arc::new(first));
    let publisher = Arc::clone(&published);
    let mut changes = Changes::new(Windows { critical: settings.critical, warning: settings.warning });
    let mut agent = Agent::start(watch, &settings, move |snapshot| {
        changes.log(&snapshot);
        if let Some(recording) = &mut recording {
            recording.record(&snapshot.sample);
        }
        publisher.publish(Arc::new(snapshot));
    })
    .map_err(|error| Failure::io("start a thread", error))?;
    let result = serve::until_stopped(&settings, door, &published, None, clock::now, agent.ended());
    agent.stop();
    result
}

/// What a recording and its older generation take where nothing else is said.
const RECORDING_SIZE: Bytes = Bytes::from_mib(64);

fn record(path: &Path, most: Option<Bytes>) -> Result<Recording, Failure> {
    let failure = |source: std::io::Error| Failure::Recording {
        attempt: "write",
        path: path.to_owned(),
        source: Box::new(source),
    };
    let recorder = Recorder::open(path, most.unwrap_or(RECORDING_SIZE)).map_err(failure)?;
    Recording::start(recorder).map_err(|error| Failure::io("start a thread", error))
}

/// The layers as processes tell, then with the names that runtimes tell, if they do so soon.
pub(super) fn first_snapshot(watch: &mut Watch) -> Snapshot {
    let first = watch.round();
    let runtimes = watch.runtimes();
    if runtimes.targets().is_empty() {
        return first;
    }
    let asked = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        runtime.block_on(async {
            tokio::time::timeout(NAMES_WITHIN, ask_all(&runtimes, &ReplyLimits::default())).await.is_ok()
        })
    });
    match asked {
        Ok(true) => {}
        Ok(false) => tracing::info!("not every runtime answered yet: some names are still missing"),
        Err(error) => tracing::warn!(%error, "container runtimes cannot be asked"),
    }
    watch.round()
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
