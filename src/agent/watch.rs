//! One machine under watch: the sampler, what is kept between samples, and how a round becomes a snapshot.

use super::clock;
use super::process::OwnProcess;
use super::runtimes::Runtimes;
use super::sampler::{Sampler, SamplerOptions};
use super::storage::{Boot, Storage};
use super::usage::Usage;
use crate::access::AccessError;
use crate::assess::{State, assess};
use crate::config::Settings;
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use crate::verdict::Windows;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A machine under watch.
#[derive(Debug)]
pub struct Watch {
    sampler: Sampler,
    state: State,
    critical_images: Arc<[String]>,
    interval: Span,
    windows: Windows,
    boot_id: Option<Label>,
    node: Option<Label>,
    process: OwnProcess,
    runtimes: Arc<Runtimes>,
    usage: Arc<Usage>,
    storage: Option<Storage>,
    /// The time of the last sample.
    at: Timestamp,
}

/// Files of a layer (settings, paths) are read again this often; a restarted kubelet is noticed at once.
const FILES_EVERY: Span = Span::from_secs(60);

impl Watch {
    /// Begins to watch; nothing is read yet.
    ///
    /// # Errors
    /// When the procfs cannot be opened.
    pub fn new(settings: &Settings, interval: Span) -> Result<Self, AccessError> {
        let (runtimes, usage) = (Arc::new(Runtimes::new()), Arc::new(Usage::new()));
        let files_every = u64::try_from(FILES_EVERY.micros() / interval.micros().max(1)).unwrap_or(1).max(1);
        let options = SamplerOptions { procfs: settings.procfs.clone(), rootfs: settings.rootfs.clone(), files_every };
        let boot_id = super::boot_id(&settings.procfs);
        let node = super::node_name(&settings.procfs);
        let sampler = Sampler::new(options, Arc::clone(&runtimes), Arc::clone(&usage))?;
        let (state, process) = (State::default(), OwnProcess::new());
        let critical_images = Arc::from(settings.critical_images.as_slice());
        let windows = Windows { critical: settings.critical, warning: settings.warning };
        let (storage, at) = (None, Timestamp::from_micros(0));
        Ok(Self {
            sampler,
            state,
            critical_images,
            interval,
            windows,
            boot_id,
            node,
            process,
            runtimes,
            usage,
            storage,
            at,
        })
    }

    /// Goes on from the state that is kept in this directory, and keeps it there from now on. To be called before the first
    /// round. What is wrong with the directory or what is in it is a warning.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn keep_state_in(&mut self, directory: &Path) -> io::Result<()> {
        let (storage, found) = Storage::start(directory, clock::now(), &boot(self.boot_id.as_ref(), &self.sampler))?;
        self.storage = Some(storage);
        self.state = found.state;
        if let Some(at) = found.booted_at {
            self.sampler.assume_boot(at);
        }
        Ok(())
    }

    /// Ends the watch: the state is written a last time.
    pub fn finish(self) {
        if let Some(storage) = self.storage {
            storage.finish(&self.state, self.at, &boot(self.boot_id.as_ref(), &self.sampler));
        }
    }

    /// The runtimes to ask, for the thread that asks them.
    pub fn runtimes(&self) -> Arc<Runtimes> {
        Arc::clone(&self.runtimes)
    }

    /// The disks to walk, for the thread that walks them.
    pub fn usage(&self) -> Arc<Usage> {
        Arc::clone(&self.usage)
    }

    /// One round. Always gives a snapshot: what cannot be read is absent in it.
    pub fn round(&mut self) -> Snapshot {
        let round = self.sampler.round(clock::now());
        let state = std::mem::take(&mut self.state).with_critical_images(&self.critical_images);
        let (assessment, state) = assess(&round.sample, state);
        self.state = state;
        self.at = round.sample.at;
        if let Some(storage) = &mut self.storage {
            storage.keep(&self.state, self.at, || boot(self.boot_id.as_ref(), &self.sampler));
        }
        let checks =
            round.keys.iter().zip(&assessment.layers).filter_map(|(key, layer)| Some((*key, layer.next_image_gc_at?)));
        self.runtimes.set_checks(checks.collect());
        let agent = AgentHealth {
            collectors: round.collectors,
            sample_interval: self.interval,
            windows: self.windows,
            boot_id: self.boot_id.clone(),
            node: self.node.clone(),
            process: self.process.stats(),
        };
        Snapshot { sample: round.sample, assessment, agent }
    }
}

fn boot(id: Option<&Label>, sampler: &Sampler) -> Boot {
    Boot { id: id.map(|id| id.as_str().to_owned()), at: sampler.booted_at() }
}
