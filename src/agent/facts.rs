//! What is remembered of one runtime between rounds: its root, its paths, its sockets, who made the container it is in.
//!
//! All of it is read below the runtime's own root, on its own worker: a hung mount costs this layer only.

use super::identity::Evidence;
use super::stored::Stored;
use crate::access::deadline::SingleFlight;
use crate::access::proc::Procfs;
use crate::access::root::Root;
use crate::access::socket::Endpoint;
use crate::access::{AccessError, ProcessId};
use crate::discover::{Process, Role, Socket, told_socket};
use crate::sample::{Absence, AbsenceReason, RuntimeKind};
use crate::source::runtime_config::{self, Environment, RuntimeSettings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is remembered of one runtime.
#[derive(Debug)]
pub(super) struct Facts {
    /// The single-flight worker on which everything of this layer is read.
    pub worker: SingleFlight,
    /// The single-flight worker on which the walk finds this layer's directories: a slow walk does not keep the sampler waiting.
    pub walk_worker: SingleFlight,
    /// Its root directory.
    pub root: Result<Arc<Root>, Absence>,
    /// Where the runtime keeps its images and listens.
    pub paths: Result<RuntimeSettings, Absence>,
    /// Which file its socket is.
    pub socket: Option<Socket>,
    /// The runtime's socket.
    pub endpoint: Option<Endpoint>,
    /// The socket at which its kubelet is answered, where that is another's (cri-dockerd).
    pub cri: Option<Endpoint>,
    /// What its images keep on the disk.
    pub stored: Arc<Stored>,
    /// Who made the container it lives in.
    pub evidence: Evidence,
    /// The round in which it was last read.
    pub read_in: u64,
}

/// What one reading of a runtime's files gave.
struct Read {
    paths: Result<RuntimeSettings, AccessError>,
    socket: Option<Socket>,
    evidence: Evidence,
}

/// Settings and evidence are a handful of small files.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);
const ENVIRONMENT_LIMIT: usize = 256 << 10;

impl Facts {
    /// Nothing read yet; opens the root.
    pub(super) fn open(runtime: &Process, procfs: &Procfs, rootfs: &Path) -> Self {
        let unread = Err(Absence::new(AbsenceReason::NotRead, "not read yet"));
        Self::new(machine_root(runtime, procfs, rootfs), unread)
    }

    /// Those of a machine without a runtime, whose root filesystem is watched.
    pub(super) fn bare(rootfs: &Path) -> Self {
        let paths = RuntimeSettings { root: "/".into(), image_store: "/".into(), ..RuntimeSettings::default() };
        Self::new(Root::open(rootfs).map(Arc::new).map_err(Absence::from), Ok(paths))
    }

    fn new(root: Result<Arc<Root>, Absence>, paths: Result<RuntimeSettings, Absence>) -> Self {
        Self {
            worker: SingleFlight::new(),
            walk_worker: SingleFlight::new(),
            root,
            paths,
            socket: None,
            endpoint: None,
            cri: None,
            stored: Arc::default(),
            evidence: Evidence::default(),
            read_in: 0,
        }
    }

    /// Whether something must be read now: never read, or a minute has passed.
    pub(super) fn is_due(&self, round: u64, every: u64) -> bool {
        self.read_in == 0 || round >= self.read_in + every
    }

    /// Reads the runtime's files.
    pub(super) fn refresh(&mut self, runtime: &Process, procfs: &Procfs, rootfs: &Path, round: u64) {
        self.read_in = round;
        if self.root.is_err() {
            self.root = machine_root(runtime, procfs, rootfs);
        }
        let Some(kind) = kind(runtime.role) else { return };
        match self.read(runtime, kind, procfs) {
            Ok(read) => {
                self.paths = read.paths.map_err(Absence::from);
                self.socket = read.socket;
                self.evidence = read.evidence;
            }
            Err(absence) => self.paths = Err(absence),
        }
        let socket = self.paths.as_ref().map_or_else(|_| runtime_config::defaults(kind).socket, |p| p.socket.clone());
        point_at(&mut self.endpoint, self.root.as_ref().ok(), Some(socket));
    }

    /// The socket at which the kubelet is answered that drives a dockerd.
    pub(super) fn point_at_cri(&mut self, root: Option<&Arc<Root>>, socket: Option<&str>) {
        let path = socket.map(|socket| PathBuf::from(socket.strip_prefix("unix://").unwrap_or(socket)));
        point_at(&mut self.cri, root, path);
    }

    fn read(&self, runtime: &Process, kind: RuntimeKind, procfs: &Procfs) -> Result<Read, Absence> {
        let root = self.root.clone()?;
        let (procfs, runtime) = (procfs.clone(), runtime.clone());
        let path = PathBuf::from(format!("files of the layer of process {}", runtime.pid));
        let work = move || {
            let cwd = procfs.link(runtime.pid, "cwd").ok();
            let environment = environment(&procfs, runtime.pid).unwrap_or_default();
            let paths = runtime_config::read(&root, kind, &runtime.argv, cwd.as_deref(), &environment);
            let in_files = paths.as_ref().ok().map(|paths| paths.socket.to_string_lossy().into_owned());
            let socket = told_socket(&runtime)
                .map(str::to_owned)
                .or(in_files)
                .map(|path| Socket { file: root.identity(Path::new(&path)).ok(), ..Socket::named(&path) });
            let exists = |path: &str| root.exists(Path::new(path));
            let evidence = Evidence {
                capd: exists("/run/kubeadm") || exists("/run/cluster-api"),
                kind: exists("/kind/kubeadm.conf"),
                k3s: exists("/var/lib/rancher/k3s"),
            };
            Ok(Read { paths, socket, evidence })
        };
        self.worker.call("read the", &path, DEADLINE, work).map_err(Absence::from)
    }
}

/// The kind of runtime that a process is.
pub(super) const fn kind(role: Role) -> Option<RuntimeKind> {
    match role {
        Role::Containerd => Some(RuntimeKind::Containerd),
        Role::Dockerd => Some(RuntimeKind::Docker),
        Role::Crio => Some(RuntimeKind::Crio),
        Role::Kubelet(_) | Role::CriDockerd => None,
    }
}

/// A socket that stays where it is stays the same endpoint.
fn point_at(endpoint: &mut Option<Endpoint>, root: Option<&Arc<Root>>, path: Option<PathBuf>) {
    match (root, path) {
        (Some(root), Some(path)) => {
            if endpoint.as_ref().is_none_or(|known| known.path() != path) {
                *endpoint = Some(Endpoint::new(Arc::clone(root), path));
            }
        }
        _ => *endpoint = None,
    }
}

/// The environment variables of a process; `None` where they cannot be read. May hang, as its memory may.
pub(super) fn environment(procfs: &Procfs, pid: u32) -> Option<Environment> {
    let bytes = procfs.read(pid, "environ", ENVIRONMENT_LIMIT).ok()?;
    let variables = bytes.split(|byte| *byte == 0).filter_map(|variable| {
        let text = String::from_utf8_lossy(variable);
        text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    Some(variables.collect())
}

/// The root of a process; for one on the machine itself that which highwater was told, where that of the process may not be opened.
pub(super) fn machine_root(process: &Process, procfs: &Procfs, rootfs: &Path) -> Result<Arc<Root>, Absence> {
    let id = ProcessId { pid: process.pid, start_ticks: process.start_ticks };
    match procfs.root(process.pid).and_then(|root| procfs.confirm(id).map(|()| root)) {
        Err(error) if process.containers.is_empty() && error.reason() == AbsenceReason::Denied => {
            Root::open(rootfs).map(Arc::new).map_err(Absence::from)
        }
        other => other.map(Arc::new).map_err(Absence::from),
    }
}
