//! What is remembered of one layer between rounds: its root, its paths, its kubelet's configuration, who made it.
//!
//! All of it is read below the layer's own root, on the layer's own worker: a hung mount costs this layer only.

use super::identity::Evidence;
use super::stored::Stored;
use crate::access::deadline::SingleFlight;
use crate::access::proc::Procfs;
use crate::access::root::Root;
use crate::access::socket::Endpoint;
use crate::access::{AccessError, ProcessId};
use crate::discover::{FoundKubelet, FoundLayer, LayerKey};
use crate::sample::{Absence, AbsenceReason, KubeletConfig, KubeletVersion, Reading};
use crate::source::{kubelet_config, kubelet_serving, kubelet_version, runtime_config};
use crate::time::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is remembered of one layer.
#[derive(Debug)]
pub(super) struct Facts {
    /// The single-flight worker on which everything of this layer is read.
    pub worker: SingleFlight,
    /// The single-flight worker on which the walk finds this layer's directories: a slow walk does not keep the sampler waiting.
    pub walk_worker: SingleFlight,
    /// Its root directory.
    pub root: Result<Arc<Root>, Absence>,
    /// The kubelet's root directory, which may be another mount namespace's.
    pub kubelet_root: Option<Result<Arc<Root>, Absence>>,
    /// Where the runtime keeps its images and listens.
    pub paths: Result<runtime_config::RuntimeSettings, Absence>,
    /// The runtime's socket.
    pub endpoint: Option<Endpoint>,
    /// What its images keep on the disk.
    pub stored: Arc<Stored>,
    /// The kubelet's settings.
    pub kubelet: Option<KubeletFacts>,
    /// Who made the container it lives in.
    pub evidence: Evidence,
    /// The round in which it was last read.
    pub read_in: u64,
}

/// What is remembered of a kubelet.
#[derive(Debug)]
pub(super) struct KubeletFacts {
    /// Which process: pid and start.
    pub process: (u32, u64),
    /// Its settings.
    pub config: Reading<KubeletConfig>,
    /// When the socket was made at which it, or the kubelet before it, serves.
    pub serving_since: Option<Timestamp>,
    /// Its release.
    pub version: Option<KubeletVersion>,
    /// What its executable told of that.
    told: kubelet_version::Known,
}

/// What one reading of a layer's files gave.
struct Read {
    paths: Result<runtime_config::RuntimeSettings, AccessError>,
    kubelet: Option<KubeletRead>,
    evidence: Evidence,
}

/// What was read of a kubelet.
struct KubeletRead {
    config: Result<KubeletConfig, Absence>,
    serving_since: Option<Timestamp>,
    version: Option<KubeletVersion>,
    told: kubelet_version::Known,
}

/// Settings and evidence are a handful of small files.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

impl Facts {
    /// Nothing read yet; opens the roots.
    pub(super) fn open(layer: &FoundLayer, procfs: &Procfs, rootfs: &Path) -> Self {
        let root = layer_root(layer, procfs, rootfs);
        Self {
            worker: SingleFlight::new(),
            walk_worker: SingleFlight::new(),
            root,
            kubelet_root: None,
            paths: Err(Absence::new(AbsenceReason::NotRead, "not read yet")),
            endpoint: None,
            stored: Arc::default(),
            kubelet: None,
            evidence: Evidence::default(),
            read_in: 0,
        }
    }

    /// Whether something must be read now: never read, another kubelet, or a minute has passed.
    pub(super) fn is_due(&self, layer: &FoundLayer, round: u64, every: u64) -> bool {
        let kubelet = layer.kubelet.as_ref().map(|k| (k.pid, k.start_ticks));
        self.read_in == 0 || kubelet != self.kubelet.as_ref().map(|k| k.process) || round >= self.read_in + every
    }

    /// Reads the layer's files.
    pub(super) fn refresh(&mut self, layer: &FoundLayer, procfs: &Procfs, rootfs: &Path, round: u64, now: Timestamp) {
        self.read_in = round;
        if self.root.is_err() {
            self.root = layer_root(layer, procfs, rootfs);
        }
        let kubelet_root = layer.kubelet.as_ref().map(|kubelet| {
            root_of(procfs, kubelet.pid, kubelet.start_ticks).or_else(|error| match &self.root {
                // The machine's own files need no other process where that may not be opened.
                Ok(root) if layer.container.is_none() => Ok(Arc::clone(root)),
                _ => Err(Absence::from(error)),
            })
        });
        self.kubelet_root = kubelet_root;
        let result = self.read(layer, procfs);
        self.keep(layer, result, now);
        self.point_at_socket(layer);
    }

    /// A socket that stays where it is stays the same endpoint.
    fn point_at_socket(&mut self, layer: &FoundLayer) {
        let (Ok(root), Some(kind)) = (&self.root, layer.runtime) else {
            self.endpoint = None;
            return;
        };
        let socket = self.paths.as_ref().map_or_else(|_| runtime_config::defaults(kind).socket, |p| p.socket.clone());
        if self.endpoint.as_ref().is_none_or(|endpoint| endpoint.path() != socket) {
            self.endpoint = Some(Endpoint::new(Arc::clone(root), socket));
        }
    }

    fn read(&self, layer: &FoundLayer, procfs: &Procfs) -> Result<Read, Absence> {
        let root = self.root.clone()?;
        let runtime = layer.runtime.map(|kind| (kind, layer.argv.clone()));
        let kubelet = layer.kubelet.clone().zip(self.kubelet_root.clone());
        let (procfs, pid) = (procfs.clone(), layer.key.pid);
        let mut told = self.kubelet.as_ref().map(|known| known.told.clone()).unwrap_or_default();
        let path = PathBuf::from(format!("files of the layer of process {}", layer.key.pid));
        let work = move || {
            let paths = match &runtime {
                Some((kind, argv)) => {
                    let working_directory = procfs.link(pid, "cwd").ok();
                    runtime_config::read(&root, *kind, argv, working_directory.as_deref())
                }
                None => Ok(bare_paths()),
            };
            let kubelet = kubelet.map(|(kubelet, kubelet_root)| {
                let process = ProcessId { pid: kubelet.pid, start_ticks: kubelet.start_ticks };
                let own_root = kubelet_root.as_deref().ok();
                let version = kubelet_version::read(&procfs, process, own_root, &root, &mut told);
                let mut serving_since = None;
                let config = kubelet_root.and_then(|root| {
                    let working_directory = procfs.link(kubelet.pid, "cwd").ok();
                    let config = kubelet_config::read(&root, &kubelet.argv, working_directory.as_deref())?;
                    serving_since = kubelet_serving::since(&root, Path::new(config.root_dir.as_str())).ok();
                    Ok(config)
                });
                KubeletRead { config, serving_since, version, told }
            });
            let exists = |path: &str| root.exists(Path::new(path));
            let evidence = Evidence {
                capd: exists("/run/kubeadm") || exists("/run/cluster-api"),
                kind: exists("/kind/kubeadm.conf"),
                k3s: exists("/var/lib/rancher/k3s"),
            };
            Ok(Read { paths, kubelet, evidence })
        };
        self.worker.call("read the", &path, DEADLINE, work).map_err(Absence::from)
    }

    fn keep(&mut self, layer: &FoundLayer, result: Result<Read, Absence>, now: Timestamp) {
        let process = |kubelet: &FoundKubelet| (kubelet.pid, kubelet.start_ticks);
        match result {
            Ok(read) => {
                self.paths = read.paths.map_err(Absence::from);
                self.evidence = read.evidence;
                self.kubelet = layer.kubelet.as_ref().zip(read.kubelet).map(|(kubelet, read)| KubeletFacts {
                    process: process(kubelet),
                    config: Reading::from_result(read.config, now),
                    serving_since: read.serving_since,
                    version: read.version,
                    told: read.told,
                });
            }
            Err(absence) => {
                self.paths = Err(absence.clone());
                self.kubelet = layer.kubelet.as_ref().map(|kubelet| KubeletFacts {
                    process: process(kubelet),
                    config: Reading::Absent(absence),
                    serving_since: None,
                    version: None,
                    told: kubelet_version::Known::default(),
                });
            }
        }
    }
}

/// Without a runtime the root filesystem is watched.
fn bare_paths() -> runtime_config::RuntimeSettings {
    runtime_config::RuntimeSettings {
        root: "/".into(),
        image_store: "/".into(),
        socket: PathBuf::new(),
        stats_period: None,
    }
}

/// The root of the runtime's process; for the machine itself also the root that highwater was told.
fn layer_root(layer: &FoundLayer, procfs: &Procfs, rootfs: &Path) -> Result<Arc<Root>, Absence> {
    let LayerKey { pid, start_ticks } = layer.key;
    let own = || Root::open(rootfs).map(Arc::new).map_err(Absence::from);
    if layer.runtime.is_none() {
        return own();
    }
    match root_of(procfs, pid, start_ticks) {
        Err(error) if layer.container.is_none() && error.reason() == AbsenceReason::Denied => own(),
        other => other.map_err(Absence::from),
    }
}

/// The root of a process, if it is still the same process after the root was opened.
fn root_of(procfs: &Procfs, pid: u32, start_ticks: u64) -> Result<Arc<Root>, AccessError> {
    let root = procfs.root(pid)?;
    procfs.confirm(ProcessId { pid, start_ticks })?;
    Ok(Arc::new(root))
}
