//! `highwater demo`: a made-up node, played through the same pipeline. Nothing of this machine is read.

use super::changes::Changes;
use super::run::terminal_width;
use super::{Failure, print, privileges, serve};
use crate::agent::{OwnProcess, clock};
use crate::assess::{State, assess};
use crate::cli::DemoArgs;
use crate::config::Settings;
use crate::demo::Scenario;
use crate::export::table;
use crate::report::Report;
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use crate::verdict::Windows;
use crate::web::Published;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;

/// Played before anything is shown: two jobs, and of the third so much that the disk is filling and images are at risk.
const WARM_UP: Span = Span::from_secs((2 * 85 + 42) * 60);
/// Of that, what is played sample by sample; before it one sample a minute gives the forecast its past.
const CLOSELY: Span = Span::from_secs(20 * 60);
/// Samples in a minute.
const A_MINUTE: usize = 12;

/// Plays until stopped by a signal.
///
/// # Errors
/// An unusable address, or one in use.
pub fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let settings = Settings::load(args.overrides())?;
    let bound = serve::BoundServer::open(&settings)?;
    privileges::keep_reading_files();
    let begin = clock::now();
    let (speed, seed) = (args.speed, args.seed);
    let windows = Windows { critical: settings.critical, warning: settings.warning };
    let mut player = Player::new(seed, begin - WARM_UP, windows);
    player.hurry(begin - CLOSELY);
    let first = player.until(begin);

    let urls = bound.urls();
    let notice = format!("Demonstration: a made-up node, seed {seed}, time runs {speed} times as fast.");
    let text =
        format!("{notice}\n\n{}\nServing on {urls}\n", table::render(&Report::new(&first, begin), terminal_width()));
    print(&text)?;

    let published = Arc::new(Published::new());
    published.publish(Arc::new(first));
    let publisher = Arc::clone(&published);
    let (stop, stopped) = channel::<()>();
    let (alive, mut ended) = tokio::sync::watch::channel(());
    let player = Builder::new().name("demo".to_owned()).spawn(move || {
        // Dropped when this thread ends, also by a panic.
        let _alive = alive;
        let mut changes = Changes::new(windows);
        let mut next = begin + Scenario::STEP;
        let pause =
            |next: Timestamp| (next.since(begin).to_std() / speed).saturating_sub(clock::now().since(begin).to_std());
        while matches!(stopped.recv_timeout(pause(next)), Err(RecvTimeoutError::Timeout)) {
            let snapshot = player.step();
            next = snapshot.sample.at + Scenario::STEP;
            changes.log(&snapshot);
            publisher.publish(Arc::new(snapshot));
        }
    });
    player.map_err(|error| Failure::io("start a thread", error))?;
    // The time of the story is that of its newest sample: a machine too slow for the speed tells it more slowly.
    let story = Arc::clone(&published);
    let played = move || story.newest().map_or(begin, |snapshot| snapshot.sample.at);
    let ended = async move { while ended.changed().await.is_ok() {} };
    let result = serve::until_stopped(&settings, bound, &published, Some(notice), played, ended);
    drop(stop);
    result
}

/// The scenario and what is kept between its samples.
struct Player {
    scenario: Scenario,
    state: State,
    process: OwnProcess,
    windows: Windows,
}

impl Player {
    fn new(seed: u64, start: Timestamp, windows: Windows) -> Self {
        Self { scenario: Scenario::new(seed, start), state: State::default(), process: OwnProcess::new(), windows }
    }

    /// Plays up to `time` and looks once a minute.
    fn hurry(&mut self, time: Timestamp) {
        let samples = self.scenario.by_ref().step_by(A_MINUTE);
        for sample in samples.take_while(|sample| sample.at < time) {
            self.state = assess(&sample, std::mem::take(&mut self.state)).1;
        }
    }

    /// Plays up to `time` and shows what is then.
    fn until(&mut self, time: Timestamp) -> Snapshot {
        let mut snapshot = self.step();
        while snapshot.sample.at < time {
            snapshot = self.step();
        }
        snapshot
    }

    fn step(&mut self) -> Snapshot {
        let sample = self.scenario.advance();
        let (assessment, state) = assess(&sample, std::mem::take(&mut self.state));
        self.state = state;
        let agent = AgentHealth {
            collectors: Vec::new(),
            sample_interval: Scenario::STEP,
            windows: self.windows,
            boot_id: None,
            node: None,
            process: self.process.stats(),
        };
        Snapshot { sample, assessment, agent }
    }
}
