//! One round: find the layers, measure their filesystems, put together what is known of each.
//!
//! Draws no conclusion. Slow things (runtimes, the walk) are asked elsewhere; their latest answers are put in here.

use super::assemble::{Located, Parts, image_store, layer_sample, targets, tasks};
use super::clock;
use super::facts::Facts;
use super::filesystems::{Filesystems, Found, Location, Measured, Mounts};
use super::identity::{ContainerName, Identity, identify};
use super::kubelets::KubeletFacts;
use super::runtimes::{Answers, Runtimes};
use super::usage::Usage;
use crate::access::AccessError;
use crate::access::proc::Procfs;
use crate::access::root::Root;
use crate::discover::parse::{self, Mount};
use crate::discover::{BARE_HOST, ContainerRef, Driven, FoundLayer, LayerKey, Learned, Process, Role, Scanner, layers};
use crate::sample::{Absence, AbsenceReason, FilesystemId, FilesystemSample, Reading, RuntimeKind, Sample};
use crate::snapshot::CollectorRun;
use crate::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    kubelets: BTreeMap<LayerKey, KubeletFacts>,
    /// The kubelet of each runtime as it was found last.
    drivers: BTreeMap<LayerKey, Option<u32>>,
    filesystems: Filesystems,
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
            kubelets: BTreeMap::new(),
            drivers: BTreeMap::new(),
            filesystems: Filesystems::default(),
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
        let processes = steps.run("discover", || self.scanner.scan(&self.procfs)).unwrap_or_else(|error| {
            tracing::warn!(error = %Absence::from(error), "processes cannot be listed");
            Vec::new()
        });
        steps.run("layer_files", || self.read_files(&processes, now));
        let found = layers(&processes, &self.learned(&processes));
        self.keep_only(&processes, &found);
        self.note_drivers(&found);
        let answers = self.runtimes.answers();
        let identities = self.identities(&found, &answers);
        self.runtimes.set_targets(targets(&found, &self.facts));
        let (located, measured) = steps.run("statfs", || self.measure(&found, &answers, now));
        self.usage.set_tasks(tasks(&measured, &found, &self.facts, &self.kubelets, &identities, &located));
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
                    kubelet: self.kubelet_of(layer),
                    containerd: layer.containerd.and_then(|key| self.facts.get(&key)),
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

    /// Forgets the processes that have ended, and knows the machine itself where it is a layer.
    fn keep_only(&mut self, processes: &[Process], found: &[FoundLayer]) {
        let runs = |key: &LayerKey| processes.iter().any(|process| process.key() == *key);
        self.facts.retain(|key, _| runs(key) || *key == BARE_HOST);
        self.kubelets.retain(|key, _| runs(key));
        if found.iter().any(|layer| layer.key == BARE_HOST) {
            self.facts.entry(BARE_HOST).or_insert_with(|| Facts::bare(&self.options.rootfs));
        }
        for layer in found.iter().filter(|layer| layer.runtime == Some(RuntimeKind::Docker)) {
            let kubelet = layer.kubelet.as_ref().and_then(|kubelet| self.kubelets.get(&kubelet.key()));
            let socket = kubelet.and_then(|kubelet| match &kubelet.driven {
                Driven::At(socket) => Some(socket.path.as_str()),
                _ => None,
            });
            if let Some(facts) = self.facts.get_mut(&layer.key) {
                facts.point_at_cri(kubelet.and_then(|kubelet| kubelet.root.as_ref().ok()), socket);
            }
        }
    }

    /// Says once when another kubelet drives a runtime than before.
    fn note_drivers(&mut self, found: &[FoundLayer]) {
        let drivers: BTreeMap<LayerKey, Option<u32>> =
            found.iter().map(|layer| (layer.key, layer.kubelet.as_ref().map(|kubelet| kubelet.pid))).collect();
        for (key, kubelet) in &drivers {
            if let Some(before) = self.drivers.get(key).filter(|before| *before != kubelet) {
                tracing::info!(runtime = key.pid, ?before, now = ?kubelet, "another kubelet drives this runtime");
            }
        }
        self.drivers = drivers;
    }

    fn kubelet_of(&self, layer: &FoundLayer) -> Option<&KubeletFacts> {
        self.kubelets.get(&layer.kubelet.as_ref()?.key())
    }

    /// Reads the files of each runtime and kubelet where that is due; true when all could be read.
    fn read_files(&mut self, processes: &[Process], now: Timestamp) -> bool {
        let (every, rootfs) = (self.options.files_every, &self.options.rootfs);
        let mut complete = true;
        for runtime in processes.iter().filter(|process| process.role.is_runtime()) {
            let open = || Facts::open(runtime, &self.procfs, rootfs);
            let facts = self.facts.entry(runtime.key()).or_insert_with(open);
            if facts.is_due(self.round, every) {
                facts.refresh(runtime, &self.procfs, rootfs, self.round);
            }
            complete &= facts.paths.is_ok();
        }
        let mut by_container: BTreeMap<Option<&ContainerRef>, usize> = BTreeMap::new();
        for kubelet in processes.iter().filter(|process| process.is_kubelet()) {
            // One pod cannot have highwater read without end.
            let count = by_container.entry(kubelet.containers.last()).or_default();
            *count += 1;
            if *count > MAX_KUBELETS {
                continue;
            }
            let open = || KubeletFacts::open(kubelet, &self.procfs, rootfs);
            let facts = self.kubelets.entry(kubelet.key()).or_insert_with(open);
            if facts.is_due(self.round, every) {
                facts.refresh(kubelet, &listeners_around(kubelet, processes), &self.procfs, rootfs, self.round, now);
            }
            complete &= facts.config.value().is_some() || facts.driven == Driven::Off;
        }
        complete
    }

    /// What the files tell of who drives whom.
    fn learned(&self, processes: &[Process]) -> Learned {
        let mut learned = Learned::default();
        for process in processes {
            if let Some(facts) = self.facts.get(&process.key()) {
                learned.listens.extend(facts.socket.clone().map(|socket| (process.pid, socket)));
                let containerd = facts.paths.as_ref().ok().and_then(|paths| paths.containerd.as_ref());
                let containerd = containerd.map(|path| path.to_string_lossy().into_owned());
                learned.containerd_of.extend(containerd.map(|path| (process.pid, path)));
            }
            if let Some(facts) = self.kubelets.get(&process.key()) {
                learned.kubelets.insert(process.pid, facts.driven.clone());
            }
        }
        learned
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
        let blind = self.scanner.blind();
        for layer in found {
            let Some(facts) = self.facts.get(&layer.key) else { continue };
            if let Some(absence) = blind.clone().filter(|_| layer.key == BARE_HOST) {
                located.insert(layer.key, Located { imagefs: Err(absence.clone()), nodefs: Err(absence) });
                continue;
            }
            let kubelet = layer.kubelet.as_ref();
            let kubelet_facts = kubelet.and_then(|kubelet| self.kubelets.get(&kubelet.key()));
            let containerd = layer.containerd.and_then(|key| self.facts.get(&key));
            let image_store = image_store(layer, facts, containerd, answers.get(&layer.key));
            let refresh = facts.read_in == self.round;
            let filesystems = &mut self.filesystems;
            let pid = kubelet.map_or(layer.key.pid, |kubelet| kubelet.pid);
            let mut locate = |root: &Result<Arc<Root>, Absence>, path: PathBuf| {
                let place = Location { layer: layer.key, root: Arc::clone(root.as_ref().map_err(Clone::clone)?), path };
                let found = filesystems.locate(&place, &facts.worker, STATFS_DEADLINE, refresh, || {
                    mounts(&self.procfs, [pid, layer.key.pid])
                })?;
                places.push(place);
                Ok(found)
            };
            let mut imagefs = locate(&facts.root, image_store.path);
            // A runtime that never unpacked an image has no snapshotter directory yet: its root then stands for it. What the runtime
            // itself names, a kubelet measures or nothing.
            if let (Err(_), Ok(paths)) = (&imagefs, &facts.paths)
                && !(image_store.is_answer && kubelet.is_some())
            {
                imagefs = locate(&facts.root, paths.root.clone()).or(imagefs);
            }
            let config = kubelet_facts.and_then(|kubelet| kubelet.config.value());
            let nodefs = match (config, kubelet_facts.map(|kubelet| &kubelet.root)) {
                (Some(config), Some(root)) => locate(root, PathBuf::from(config.root_dir.as_str())),
                _ => imagefs.clone(),
            };
            let as_seen = |found: Found| match kubelet_facts {
                Some(kubelet) => seen_by(kubelet, &found),
                None => Ok(found.id),
            };
            located.insert(layer.key, Located { imagefs: imagefs.and_then(as_seen), nodefs: nodefs.and_then(as_seen) });
        }
        (located, self.filesystems.measure(&places, STATFS_DEADLINE, now))
    }
}

/// Kubelets of one outermost container whose files are read; a test of many nodes has a dozen.
const MAX_KUBELETS: usize = 64;

/// The runtimes, and what stands between them and kubelets, that live where a kubelet does or around it.
fn listeners_around(kubelet: &Process, processes: &[Process]) -> Vec<u32> {
    let is_around = |process: &&Process| match process.containers.first() {
        None => true,
        Some(container) => kubelet.containers.iter().any(|outer| outer.is_same(container)),
    };
    let listens = |process: &&Process| process.role.is_runtime() || process.role == Role::CriDockerd;
    processes.iter().filter(listens).filter(is_around).map(|process| process.pid).collect()
}

/// The filesystem as a kubelet measures it, where it does and that is known.
fn seen_by(kubelet: &KubeletFacts, found: &Found) -> Result<FilesystemId, Absence> {
    let kind = found.kind.as_deref().unwrap_or_default();
    let refuse = |text: String| Err(Absence::new(AbsenceReason::Failed, text.as_str()));
    if !found.seen_by_kubelet {
        return refuse(format!(
            "a kubelet finds no device for a filesystem of type {kind}: it deletes nothing for its sake"
        ));
    }
    // cAdvisor 0.56, kubelet 1.36: with the device at hand the size is that of `zfs list`, children and snapshots included.
    let asks_zfs = || kubelet.root.as_ref().is_ok_and(|root| root.exists(Path::new("/dev/zfs")));
    if kind == "zfs" && kubelet.minor().is_none_or(|minor| minor >= 36) && asks_zfs() {
        return refuse(
            "this kubelet takes the size of a dataset from `zfs list`, which statfs does not tell".to_owned(),
        );
    }
    Ok(found.id)
}

/// The machine's mounts, those of process 1 where they may be read, else highwater's own; and those that these processes see.
fn mounts(procfs: &Procfs, pids: [u32; 2]) -> Mounts {
    let read = |name: &str| procfs.read_path(name, MOUNTINFO_LIMIT).ok().map(|bytes| parse::mounts(&bytes));
    let machine: Vec<Mount> = read("1/mountinfo").or_else(|| read("self/mountinfo")).unwrap_or_default();
    let own = pids.into_iter().filter_map(|pid| read(&format!("{pid}/mountinfo"))).flatten().collect();
    Mounts { machine, own }
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
