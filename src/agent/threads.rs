//! The threads of the agent: one that samples, one that asks runtimes, one that walks disks. None waits for another.

use super::cadence::Cadence;
use super::pace::Pace;
use super::runtimes::{Runtimes, ask_some};
use super::usage::Usage;
use super::{Watch, clock};
use crate::access::socket::ReplyLimits;
use crate::config::Settings;
use crate::snapshot::Snapshot;
use crate::source::walk::Budget;
use crate::time::Span;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A running agent. Dropping it tells its threads to end; they are not waited for, since one may hang in a system call. To have
/// the state written, [`Agent::stop`] it.
#[derive(Debug)]
pub struct Agent {
    stop: Vec<Sender<()>>,
    usage: Arc<Usage>,
    ended: watch::Receiver<()>,
    _threads: Vec<JoinHandle<()>>,
}

/// The last round and the last writing; a Kubernetes node waits ten seconds or more.
const STOP_WITHIN: Duration = Duration::from_secs(5);

impl Agent {
    /// Starts the threads. Every snapshot is handed to `publish`, on the sampling thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        mut watched: Watch,
        settings: &Settings,
        mut publish: impl FnMut(Snapshot) + Send + 'static,
    ) -> io::Result<Self> {
        let (runtimes, usage) = (watched.runtimes(), watched.usage());
        let (alive, ended) = watch::channel(());
        let mut threads = Vec::new();
        let mut stop = Vec::new();

        let (sender, stopped) = channel();
        stop.push(sender);
        let interval = settings.sample_interval;
        threads.push(Builder::new().name("sample".to_owned()).spawn(move || {
            // Dropped when this thread ends, also by a panic: the agent then ends as a whole instead of growing stale.
            let _alive = alive;
            every(interval, &stopped, || publish(watched.round()));
            watched.finish();
        })?);

        let (sender, stopped) = channel();
        stop.push(sender);
        let interval = settings.runtime_interval;
        threads.push(
            Builder::new().name("runtimes".to_owned()).spawn(move || ask_for_ever(&runtimes, interval, &stopped))?,
        );

        if let Some(interval) = settings.usage_interval {
            let usage = Arc::clone(&usage);
            let budget = Budget { entries: settings.usage_max_entries, ..Budget::default() };
            threads.push(Builder::new().name("usage".to_owned()).spawn(move || usage.run(interval.to_std(), &budget))?);
        }
        Ok(Self { stop, usage, ended, _threads: threads })
    }

    /// Ends, and waits for the state to be written, for a few seconds at most.
    pub fn stop(mut self) {
        self.usage.stop();
        self.stop.clear();
        let begin = clock::monotonic();
        while self.ended.has_changed().is_ok() && begin.elapsed() < STOP_WITHIN {
            sleep(Duration::from_millis(5));
        }
    }

    /// Returns when the sampling thread has ended, which it does by itself only after a defect.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.clone();
        async move { while ended.changed().await.is_ok() {} }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.usage.stop();
        self.stop.clear();
    }
}

fn ask_for_ever(runtimes: &Arc<Runtimes>, interval: Span, stopped: &Receiver<()>) {
    let Some(runtime) = event_loop(stopped) else { return };
    let mut pace = Pace::new(interval.to_std());
    let mut cadence = Cadence::default();
    // New layers are asked at once: their names come from the runtime around them.
    every(Span::from_secs(1), stopped, || {
        let known = runtimes.targets().into_iter().map(|target| target.layer);
        let mut due = pace.due(clock::monotonic(), known);
        due.extend(cadence.due(clock::now(), &runtimes.checks()).into_iter().filter(|layer| pace.is_usual(*layer)));
        if due.is_empty() {
            return;
        }
        let took = runtime.block_on(ask_some(runtimes, &ReplyLimits::default(), |layer| due.contains(&layer)));
        for (layer, took) in took {
            pace.took(layer, clock::monotonic(), took);
        }
    });
}

/// What sockets are waited for with; tried again each second while no file is free for it. `None` when told to end.
fn event_loop(stopped: &Receiver<()>) -> Option<Runtime> {
    let mut said = false;
    loop {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => return Some(runtime),
            Err(error) if said => tracing::debug!(%error, "container runtimes still cannot be asked"),
            Err(error) => tracing::error!(%error, "container runtimes cannot be asked; tried again each second"),
        }
        said = true;
        if !matches!(stopped.recv_timeout(Duration::from_secs(1)), Err(RecvTimeoutError::Timeout)) {
            return None;
        }
    }
}

/// Does `work` at once and then once in each interval, until the sender of `stopped` is dropped. A round that takes longer than
/// the interval delays the next one and is not made up for.
fn every(interval: Span, stopped: &Receiver<()>, mut work: impl FnMut()) {
    loop {
        let begin = clock::monotonic();
        work();
        let left = interval.to_std().saturating_sub(begin.elapsed());
        if !matches!(stopped.recv_timeout(left), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}
