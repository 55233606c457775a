//! How is this machine observed where no agent is asked, and before an agent serves? Its processes first, then what container
//! runtimes answer in time, and where that is wanted the disk for some seconds, since a rate needs several samples, and the walk
//! that counts the bytes of each layer.

use super::{Failure, privileges, waiting};
use crate::access::socket::ReplyLimits;
use crate::agent::runtimes::ask_all;
use crate::agent::{Watch, clock};
use crate::config::Settings;
use crate::snapshot::Snapshot;
use crate::source::walk::Budget;
use crate::time::Span;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

/// The sampling interval of commands: enough samples for a rate within a window of a few seconds.
pub(super) const INTERVAL: Span = Span::from_millis(500);
/// How long to measure where nothing else is said.
pub(super) const WINDOW: Span = Span::from_secs(5);

/// How long an observation waits, and for what.
pub(super) struct Waits {
    /// For runtimes to answer; what has not been answered by then is absent.
    pub(super) runtimes: Duration,
    /// For samples of the disk.
    pub(super) window: Span,
    /// For the walk; zero: none is begun.
    pub(super) usage: Span,
}

/// A watch with the rights that reading takes and no others; nothing is read yet.
pub(super) fn watch(settings: &Settings) -> Result<Watch, Failure> {
    privileges::keep_reading(&[]);
    Ok(Watch::new(settings, INTERVAL)?)
}

/// Observes the machine: the newest snapshot.
pub(super) fn observe(watch: &mut Watch, waits: &Waits, settings: &Settings) -> Result<Snapshot, Failure> {
    let mut newest = watch.round();
    let begin = clock::monotonic();
    let runtimes = watch.runtimes();
    if !runtimes.targets().is_empty() {
        let asking = async { tokio::time::timeout(waits.runtimes, ask_all(&runtimes, &ReplyLimits::default())).await };
        if waiting(asking)?.is_err() {
            tracing::info!("not every runtime answered yet: some names are still missing");
        }
        newest = watch.round();
    }
    let walk = start_walk(watch, settings, waits.usage)?;
    while begin.elapsed() < waits.window.to_std() {
        sleep(INTERVAL.to_std());
        newest = watch.round();
    }
    if let Some(walk) = walk {
        while begin.elapsed() < waits.usage.to_std() && !walk.is_finished() {
            sleep(Duration::from_millis(20));
        }
        watch.usage().stop();
        newest = watch.round();
    }
    Ok(newest)
}

fn start_walk(watch: &Watch, settings: &Settings, timeout: Span) -> Result<Option<JoinHandle<()>>, Failure> {
    if timeout == Span::ZERO {
        return Ok(None);
    }
    let usage = Arc::clone(&watch.usage());
    // Somebody waits for it: no pauses.
    let budget = Budget { entries: settings.usage_max_entries, pause: Duration::ZERO, ..Budget::default() };
    let walk = Builder::new().name("usage".to_owned()).spawn(move || usage.walk_all(&budget));
    walk.map(Some).map_err(|error| Failure::io("start a thread", error))
}
