//! One round: find the layers, measure their filesystems, put together what is known of each.
//!
//! Draws no conclusion. Slow things (runtimes, the walk) are asked elsewhere; their latest answers are put in here.

use super::assemble::{Located, Parts, image_store, layer_sample, targets, tasks};
use super::clock;
use super::facts::Facts;
use super::filesystems::{Filesystems, Location, Measured};
use super::identity::{ContainerName, Identity, identify};
use super::runtimes::{Answers, Runtimes};
use super::usage::Usage;
use crate::access::AccessError;
use crate::access::proc::Procfs;
use crate::access::root::Root;
use crate::discover::parse::{self, Mount};
use crate::discover::{ContainerRef, FoundLayer, LayerKey, Scanner, Sockets, layers};
use crate::sample::{Absence, FilesystemSample, KubeletConfig, Reading, Sample};
use crate::snapshot::CollectorRun;
use crate::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where the machine is to be found, and how often slow things are read again.
#[derive(Debug, Clone)]
pub struct SamplerOptions {
    /// The procfs to read.
    pub procfs: PathBuf,
    /// The machine's root directory.
    pub rootfs: PathBuf,
    /// Files of a layer are read again after so many rounds.
    pub files_every: u64,
}

/// What one round gave.
#[derive(Debug)]
pub struct Round {
    /// What was seen.
    pub sample: Sample,
    /// The key of each layer of the sample, in its order.
    pub keys: Vec<LayerKey>,
    /// How each step went.
    pub collectors: Vec<CollectorRun>,
}

/// The state that is kept between rounds.
#[derive(Debug)]
pub struct Sampler {
    options: SamplerOptions,
    procfs: Procfs,
    scanner: Scanner,
    round: u64,
    facts: BTreeMap<LayerKey, Facts>,
    filesystems: Filesystems,
    sockets: Sockets,
    boot: Option<Timestamp>,
    runtimes: Arc<Runtimes>,
    usage: Arc<Usage>,
}

/// A local filesystem answers in microseconds; a busy disk may take a second.
const STATFS_DEADLINE: Duration = Duration::from_secs(2);
const MOUNTINFO_LIMIT: usize = 8 << 20;
/// USER_HZ, the unit of process start times: 100 on every architecture that Kubernetes runs on.
const TICKS_PER_SECOND: i64 = 100;

impl Sampler {
    /// A sampler that has seen nothing. Answers of runtimes and walks are taken from the two boards.
    ///
    /// # Errors
    /// When the procfs cannot be opened.
    pub fn new(options: SamplerOptions, runtimes: Arc<Runtimes>, usage: Arc<Usage>) -> Result<Self, AccessError> {
        let procfs = Procfs::open(&options.procfs)?;
        Ok(Self {
            options,
            procfs,
            scanner: Scanner::new(),
            round: 0,
            facts: BTreeMap::new(),
            filesystems: Filesystems::default(),
            sockets: Sockets::new(),
            boot: None,
            runtimes,
            usage,
        })
    }

    /// Runs one round. Never fails as a whole: what cannot be read is absent in the sample.
    pub fn round(&mut self, now: Timestamp) -> Round {
        self.round += 1;
        self.learn_boot(now);
        let mut steps = Steps::default();
        let found = steps.run("discover", || self.discover()).unwrap_or_else(|error| {
            tracing::warn!(error = %Absence::from(error), "processes cannot be listed");
            layers(&[], &Sockets::new())
        });
        steps.run("layer_files", || self.read_files(&found, now));
        let answers = self.runtimes.answers();
        let identities = self.identities(&found, &answers);
        self.runtimes.set_targets(targets(&found, &self.facts));
        let (located, measured) = steps.run("statfs", || self.measure(&found, &answers, now));
        self.usage.set_tasks(tasks(&measured, &found, &self.facts, &identities, &located));
        let usage = self.usage.latest();
        let filesystems: Vec<FilesystemSample> = measured
            .into_iter()
            .map(|m| FilesystemSample {
                usage: usage.get(&m.id).cloned().unwrap_or_else(Reading::not_read),
                id: m.id,
                name: m.name,
                space: m.space,
                stuck: m.stuck,
            })
            .collect();
        let (keys, layers) = found
            .iter()
            .filter_map(|layer| {
                let parts = Parts {
                    layer,
                    identity: identities.get(&layer.key)?,
                    parent: layer.parent.and_then(|p| identities.get(&p)).map(|p| &p.id),
                    facts: self.facts.get(&layer.key)?,
                    located: located.get(&layer.key)?,
                    answers: answers.get(&layer.key),
                };
                Some((layer.key, layer_sample(&parts, &filesystems, |ticks| self.started_at(ticks), now)))
            })
            .unzip();
        Round { keys, sample: Sample { at: now, filesystems, layers }, collectors: steps.0 }
    }

    /// When the machine was booted, on the wall clock: computed once, and again when the clock was set. Computing it every time
    /// would make every start time tremble by the 10 ms of the uptime.
    fn learn_boot(&mut self, now: Timestamp) {
        let Some(up) = self.procfs.read_path("uptime", 256).ok().and_then(|bytes| parse::uptime(&bytes)) else {
            return;
        };
        let boot = now - up;
        let moved = self.boot.is_none_or(|known| known.since(boot).micros().unsigned_abs() > 1_000_000);
        if moved {
            self.boot = Some(boot);
        }
    }

    /// When the machine was booted, as start times are told from; `None` before the first round.
    pub(super) const fn booted_at(&self) -> Option<Timestamp> {
        self.boot
    }

    /// Tells start times from this boot time, as an earlier highwater did, unless the clock was set since.
    pub(super) fn assume_boot(&mut self, at: Timestamp) {
        self.boot = Some(at);
    }

    fn started_at(&self, start_ticks: u64) -> Timestamp {
        let ticks = i64::try_from(start_ticks).unwrap_or(i64::MAX);
        let boot = self.boot.unwrap_or(Timestamp::from_micros(0));
        boot + Span::from_micros(ticks.saturating_mul(1_000_000 / TICKS_PER_SECOND))
    }

    fn discover(&mut self) -> Result<Vec<FoundLayer>, AccessError> {
        let processes = self.scanner.scan(&self.procfs)?;
        let found = layers(&processes, &self.sockets);
        self.facts.retain(|key, _| found.iter().any(|layer| layer.key == *key));
        Ok(found)
    }

    /// Reads the files of each layer where that is due; true when all could be read.
    fn read_files(&mut self, found: &[FoundLayer], now: Timestamp) -> bool {
        self.sockets.clear();
        let mut complete = true;
        for layer in found {
            let facts =
                self.facts.entry(layer.key).or_insert_with(|| Facts::open(layer, &self.procfs, &self.options.rootfs));
            if facts.is_due(layer, self.round, self.options.files_every) {
                facts.refresh(layer, &self.procfs, &self.options.rootfs, self.round, now);
            }
            complete &= facts.paths.is_ok() && facts.kubelet.as_ref().is_none_or(|k| k.config.value().is_some());
            if let Ok(paths) = &facts.paths {
                self.sockets.insert(layer.key.pid, paths.socket.to_string_lossy().into_owned());
            }
            if let Some(kubelet) = &facts.kubelet
                && let Some(config) = kubelet.config.value()
                && let Some(endpoint) = endpoint(config)
            {
                self.sockets.insert(kubelet.process.0, endpoint);
            }
        }
        complete
    }

    fn identities(&self, found: &[FoundLayer], answers: &BTreeMap<LayerKey, Answers>) -> BTreeMap<LayerKey, Identity> {
        let name_of = |parent: LayerKey, container: &ContainerRef| -> Option<ContainerName> {
            let names = &answers.get(&parent)?.names;
            names.get(&container.id).or_else(|| names.get(&container.sandbox)).cloned()
        };
        identify(found, name_of, |key| self.facts.get(&key).map(|facts| facts.evidence).unwrap_or_default())
    }

    /// Finds the filesystem of every directory that matters, and measures each filesystem once.
    fn measure(
        &mut self,
        found: &[FoundLayer],
        answers: &BTreeMap<LayerKey, Answers>,
        now: Timestamp,
    ) -> (BTreeMap<LayerKey, Located>, Vec<Measured>) {
        let mut places = Vec::new();
        let mut located = BTreeMap::new();
        for layer in found {
            let Some(facts) = self.facts.get(&layer.key) else { continue };
            let image_store = image_store(layer, facts, answers.get(&layer.key));
            let refresh = facts.read_in == self.round;
            let filesystems = &mut self.filesystems;
            let mut locate = |root: &Result<Arc<Root>, Absence>, path: PathBuf| {
                let place = Location { layer: layer.key, root: Arc::clone(root.as_ref().map_err(Clone::clone)?), path };
                let id =
                    filesystems.locate(&place, &facts.worker, STATFS_DEADLINE, refresh, || mounts(&self.procfs))?;
                places.push(place);
                Ok(id)
            };
            // A runtime that never unpacked an image has no snapshotter directory yet: its root then stands for it.
            let mut imagefs = locate(&facts.root, image_store);
            if let (Err(_), Ok(paths)) = (&imagefs, &facts.paths) {
                imagefs = locate(&facts.root, paths.root.clone()).or(imagefs);
            }
            let config = facts.kubelet.as_ref().and_then(|kubelet| kubelet.config.value());
            let nodefs = match (config, &facts.kubelet_root) {
                (Some(config), Some(root)) => locate(root, PathBuf::from(config.root_dir.as_str())),
                _ => imagefs.clone(),
            };
            located.insert(layer.key, Located { imagefs, nodefs });
        }
        (located, self.filesystems.measure(&places, STATFS_DEADLINE, now))
    }
}

/// The machine's mounts: those of process 1 where they may be read, else highwater's own.
fn mounts(procfs: &Procfs) -> Vec<Mount> {
    let read = |name: &str| procfs.read_path(name, MOUNTINFO_LIMIT).ok();
    read("1/mountinfo").or_else(|| read("self/mountinfo")).map(|bytes| parse::mounts(&bytes)).unwrap_or_default()
}

/// The runtime's endpoint as the kubelet's files name it; a flag is seen by `discover` itself.
fn endpoint(config: &KubeletConfig) -> Option<String> {
    let in_drop_ins = config.drop_ins.iter().rev().find_map(|file| file.settings.container_runtime_endpoint.clone());
    in_drop_ins.or_else(|| config.file.as_ref()?.settings.container_runtime_endpoint.clone())
}

/// Whether a step gave what it should.
trait StepResult {
    fn is_success(&self) -> bool;
}

impl<T> StepResult for Result<T, AccessError> {
    fn is_success(&self) -> bool {
        self.is_ok()
    }
}

/// Files of layers: whether all of them could be read.
impl StepResult for bool {
    fn is_success(&self) -> bool {
        *self
    }
}

impl StepResult for (BTreeMap<LayerKey, Located>, Vec<Measured>) {
    fn is_success(&self) -> bool {
        self.1.iter().all(|measured| measured.space.value().is_some())
    }
}

/// Runs the steps of a round and keeps how each went.
#[derive(Debug, Default)]
struct Steps(Vec<CollectorRun>);

impl Steps {
    fn run<T: StepResult>(&mut self, collector: &str, step: impl FnOnce() -> T) -> T {
        let begin = clock::monotonic();
        let result = step();
        let (success, duration) = (result.is_success(), Span::from(begin.elapsed()));
        self.0.push(CollectorRun { collector: crate::untrusted::Label::new(collector), success, duration });
        result
    }
}
