//! One machine under watch: the sampler, what is kept between samples, and how a round becomes a snapshot.

use super::clock;
use super::process::OwnProcess;
use super::runtimes::Runtimes;
use super::sampler::{Sampler, SamplerOptions};
use super::usage::Usage;
use crate::access::AccessError;
use crate::assess::{State, assess};
use crate::config::Settings;
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::Span;
use crate::untrusted::Label;
use std::sync::Arc;

/// A machine under watch.
#[derive(Debug)]
pub struct Watch {
    sampler: Sampler,
    state: State,
    critical_images: Arc<[String]>,
    interval: Span,
    boot_id: Option<Label>,
    process: OwnProcess,
    runtimes: Arc<Runtimes>,
    usage: Arc<Usage>,
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
        let sampler = Sampler::new(options, Arc::clone(&runtimes), Arc::clone(&usage))?;
        let (state, process) = (State::default(), OwnProcess::new());
        let critical_images = Arc::from(settings.critical_images.as_slice());
        Ok(Self { sampler, state, critical_images, interval, boot_id, process, runtimes, usage })
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
        let checks =
            round.keys.iter().zip(&assessment.layers).filter_map(|(key, layer)| Some((*key, layer.next_gc_check?)));
        self.runtimes.set_checks(checks.collect());
        let agent = AgentHealth {
            collectors: round.collectors,
            sample_interval: self.interval,
            boot_id: self.boot_id.clone(),
            process: self.process.stats(),
        };
        Snapshot { sample: round.sample, assessment, agent }
    }
}
