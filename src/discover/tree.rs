//! Processes to layers: which runtime is a layer, which kubelet drives it, and which layer does it live in? Pure.
//!
//! Not decided here: names and kinds, which need files and answers from inside (see `agent/identity.rs`).

use super::parse::{flag, flag_values};
use super::process::{Carrier, ContainerRef, Process, Role};
use crate::access::root::FileId;
use crate::sample::RuntimeKind;
use std::collections::BTreeMap;

/// What files and sockets tell of the processes, by pid; of a process that is not in it only its arguments are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    /// Kubelets.
    pub kubelets: BTreeMap<u32, Driven>,
    /// The sockets at which runtimes and cri-dockerd listen.
    pub listens: BTreeMap<u32, Socket>,
    /// The socket of the containerd that a dockerd uses.
    pub containerd_of: BTreeMap<u32, String>,
}

/// Which runtime a kubelet was told to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driven {
    /// Its settings cannot be read.
    Unknown,
    /// It was told nothing.
    Untold,
    /// The one at this socket.
    At(Socket),
    /// Docker, by the dockershim that kubelets had up to 1.23.
    Dockershim,
    /// The process carries a kubelet and does not run it.
    Off,
}

/// A Unix socket as one process names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Socket {
    /// The path, with or without a scheme.
    pub path: String,
    /// Which file that is in the root of the process; `None` where it cannot be seen.
    pub file: Option<FileId>,
    /// The runtime that holds the listening socket of this path.
    pub holder: Option<u32>,
}

/// Identity of a layer: its runtime's process. Stable while the runtime runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey {
    /// The runtime's pid; 0 for a machine without a runtime.
    pub pid: u32,
    /// The runtime's start in clock ticks since the boot.
    pub start_ticks: u64,
}

/// A layer as far as processes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLayer {
    /// Its identity.
    pub key: LayerKey,
    /// The layer that contains it.
    pub parent: Option<LayerKey>,
    /// Which program keeps the images; `None`: no runtime was found, the root filesystem is watched.
    pub runtime: Option<RuntimeKind>,
    /// The container it lives in; `None` on the machine itself.
    pub container: Option<ContainerRef>,
    /// The kubelet that drives it.
    pub kubelet: Option<FoundKubelet>,
    /// The containerd that keeps the images of a dockerd, where it is a process of its own.
    pub containerd: Option<LayerKey>,
}

/// A kubelet as far as processes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKubelet {
    /// Its pid.
    pub pid: u32,
    /// Its start in clock ticks since the boot.
    pub start_ticks: u64,
    /// Its arguments.
    pub argv: Vec<String>,
    /// The program that it is part of.
    pub carrier: Carrier,
}

/// The key of the layer that stands for a machine without a runtime.
pub const BARE_HOST: LayerKey = LayerKey { pid: 0, start_ticks: 0 };

const DEFAULT_CONTAINERD: &str = "/run/containerd/containerd.sock";

impl Process {
    /// Its identity as a layer.
    pub const fn key(&self) -> LayerKey {
        LayerKey { pid: self.pid, start_ticks: self.start_ticks }
    }
}

impl FoundKubelet {
    /// Its identity as a process.
    pub const fn key(&self) -> LayerKey {
        LayerKey { pid: self.pid, start_ticks: self.start_ticks }
    }
}

impl Socket {
    /// A socket of which only the path is known.
    pub fn named(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    /// Whether it is one at which a dockerd is driven, by cri-dockerd or by a kubelet's own dockershim.
    fn is_docker(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        ["dockerd", "dockershim"].iter().any(|word| name.contains(word))
    }
}

/// Orders the processes into layers, parents before children; `learned` is what files and sockets tell.
/// There is always a layer for the machine itself.
pub fn layers(processes: &[Process], learned: &Learned) -> Vec<FoundLayer> {
    let scene = Scene::new(processes, learned);
    let runtimes: Vec<&Process> =
        scene.runtimes.iter().filter(|p| scene.kubelet_of(p).is_some() || !scene.serves_docker(p)).copied().collect();
    let mut found: Vec<FoundLayer> = runtimes
        .iter()
        .map(|runtime| FoundLayer {
            key: runtime.key(),
            parent: scene.parent(runtime, &runtimes),
            runtime: match runtime.role {
                Role::Dockerd => Some(RuntimeKind::Docker),
                Role::Crio => Some(RuntimeKind::Crio),
                _ => Some(RuntimeKind::Containerd),
            },
            container: runtime.containers.first().cloned(),
            kubelet: scene.kubelet_of(runtime).map(found_kubelet),
            containerd: scene.containerd_of(runtime).map(Process::key),
        })
        .collect();
    if !found.iter().any(|layer| layer.container.is_none()) {
        let orphans: Vec<LayerKey> = found.iter().filter(|l| l.parent.is_none()).map(|l| l.key).collect();
        for layer in found.iter_mut().filter(|layer| orphans.contains(&layer.key)) {
            layer.parent = Some(BARE_HOST);
        }
        found.push(scene.bare_host());
    }
    // Where several runtimes run on the machine itself, the one that a kubelet drives comes first.
    found.sort_by_key(|layer| (layer.container.is_some(), layer.kubelet.is_none(), layer.key));
    parents_first(found)
}

/// Orders children behind their parents and cuts the parent of a layer that would be its own ancestor.
fn parents_first(mut rest: Vec<FoundLayer>) -> Vec<FoundLayer> {
    let mut ordered: Vec<FoundLayer> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|layer| layer.parent.is_none_or(|p| ordered.iter().any(|o| o.key == p)));
        rest = waiting;
        if ready.is_empty() {
            for layer in &mut rest {
                layer.parent = None;
            }
        }
        ordered.extend(ready);
    }
    ordered
}

/// Whether two containers, or their absence, are one.
fn same_container(a: Option<&ContainerRef>, b: Option<&ContainerRef>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.is_same(b),
        _ => false,
    }
}

/// Two processes share a scope when they live in the same container, or both on the machine itself.
fn same_scope(a: &Process, b: &Process) -> bool {
    same_container(a.containers.first(), b.containers.first())
}

/// A program forks before it starts another; until the child has become that one it looks like its parent.
fn is_fork(process: &Process, processes: &[Process]) -> bool {
    processes.iter().any(|p| p.pid == process.ppid && p.role == process.role && p.argv == process.argv)
}

fn found_kubelet(process: &Process) -> FoundKubelet {
    let carrier = match process.role {
        Role::Kubelet(carrier) => carrier,
        _ => Carrier::Other,
    };
    FoundKubelet { pid: process.pid, start_ticks: process.start_ticks, argv: process.argv.clone(), carrier }
}

/// The processes that matter, and who drives whom.
struct Scene<'a> {
    processes: &'a [Process],
    learned: &'a Learned,
    runtimes: Vec<&'a Process>,
    kubelets: Vec<&'a Process>,
    /// The runtime's pid of each kubelet that drives one, by the kubelet's.
    driven: BTreeMap<u32, u32>,
}

impl<'a> Scene<'a> {
    fn new(processes: &'a [Process], learned: &'a Learned) -> Self {
        let own = |p: &&Process| !is_fork(p, processes);
        let runtimes: Vec<&Process> = processes.iter().filter(|p| p.role.is_runtime()).filter(own).collect();
        let is_off = |p: &Process| matches!(learned.kubelets.get(&p.pid), Some(Driven::Off));
        // A program that starts a kubelet as its child is none itself.
        let supervises = |p: &Process| {
            processes.iter().any(|child| child.ppid == p.pid && child.is_kubelet() && child.argv != p.argv)
        };
        let is_kubelet = |p: &&Process| p.is_kubelet() && !is_off(p) && !supervises(p);
        let kubelets: Vec<&Process> = processes.iter().filter(is_kubelet).filter(own).collect();
        let mut scene = Self { processes, learned, runtimes, kubelets, driven: BTreeMap::new() };
        let driven = |kubelet: &&Process| Some((kubelet.pid, scene.driven_by(kubelet)?.pid));
        scene.driven = scene.kubelets.iter().filter_map(driven).collect();
        scene
    }

    /// The kubelet that drives a runtime: of several the one that is nearest to it.
    fn kubelet_of(&self, runtime: &Process) -> Option<&'a Process> {
        let drives = |kubelet: &&&Process| self.driven.get(&kubelet.pid) == Some(&runtime.pid);
        self.kubelets.iter().filter(drives).min_by_key(|kubelet| (!same_scope(kubelet, runtime), kubelet.pid)).copied()
    }

    fn bare_host(&self) -> FoundLayer {
        let on_machine = |p: &&&Process| p.containers.is_empty() && !self.driven.contains_key(&p.pid);
        let kubelet = self.kubelets.iter().find(on_machine).map(|kubelet| found_kubelet(kubelet));
        FoundLayer { key: BARE_HOST, parent: None, runtime: None, container: None, kubelet, containerd: None }
    }

    /// Where a runtime or cri-dockerd listens: as its files say, else its arguments, else where the program does by itself.
    fn address(&self, process: &Process) -> Socket {
        self.learned.listens.get(&process.pid).cloned().unwrap_or_else(|| {
            Socket::named(told_socket(process).unwrap_or(match process.role {
                Role::Dockerd => "/run/docker.sock",
                Role::Crio => "/run/crio/crio.sock",
                Role::CriDockerd => "/run/cri-dockerd.sock",
                _ => DEFAULT_CONTAINERD,
            }))
        })
    }

    /// The runtime that a kubelet drives. It is looked for where the kubelet lives, and further out only as far as the kubelet shares
    /// the pid namespace: a kubelet in a container of the runtime that it drives does, the one of a node in a container does not. A
    /// socket that is the same file, or whose listener is known, is the same wherever it is.
    fn driven_by(&self, kubelet: &'a Process) -> Option<&'a Process> {
        let told = match self.learned.kubelets.get(&kubelet.pid) {
            Some(driven) => driven.clone(),
            None => match flag(&kubelet.argv, &["container-runtime-endpoint"]) {
                Some(path) => Driven::At(Socket::named(path)),
                None => Driven::Untold,
            },
        };
        let scopes = self.scopes(kubelet);
        let own: Vec<&Process> = self.runtimes.iter().filter(|p| same_scope(p, kubelet)).copied().collect();
        match told {
            Driven::Off => None,
            // Nothing is claimed but where there is no choice.
            Driven::Unknown => match own.iter().filter(|p| !self.serves_docker(p)).collect::<Vec<_>>().as_slice() {
                [only] => Some(**only),
                _ => None,
            },
            Driven::Dockershim => self.docker(&scopes, None),
            Driven::At(socket) => self.at(&socket, kubelet, &scopes),
            Driven::Untold => {
                let socket = Socket::named(DEFAULT_CONTAINERD);
                let by_default = self.at(&socket, kubelet, &scopes);
                // A kubelet of the time when there was nothing to tell drives Docker.
                by_default.or_else(|| match own.as_slice() {
                    [only] if only.role == Role::Dockerd => Some(*only),
                    _ => None,
                })
            }
        }
    }

    /// The containers in which a kubelet's runtime may be, innermost first; `None` is the machine.
    fn scopes(&self, kubelet: &'a Process) -> Vec<Option<&'a ContainerRef>> {
        let mut scopes = vec![kubelet.containers.first()];
        for level in 1..=kubelet.containers.len() {
            let outer = kubelet.containers.get(level);
            let shares = |p: &&Process| {
                same_container(p.containers.first(), outer) && p.pid_depth > 0 && p.pid_depth == kubelet.pid_depth
            };
            if !self.processes.iter().any(|p| shares(&p)) {
                break;
            }
            scopes.push(outer);
        }
        scopes
    }

    /// Who is driven at a socket.
    fn at(&self, socket: &Socket, kubelet: &Process, scopes: &[Option<&ContainerRef>]) -> Option<&'a Process> {
        let by_pid = |pid: u32| self.processes.iter().find(|p| p.pid == pid);
        if let Some(holder) = socket.holder.and_then(by_pid) {
            return match holder.role {
                Role::CriDockerd => self.docker(scopes, Some(holder)),
                _ => self.runtimes.iter().find(|p| p.pid == holder.pid).copied(),
            };
        }
        // One file is one socket in every container around the kubelet; who is further in may have been given it.
        let around = |p: &Process| match p.containers.first() {
            None => true,
            Some(container) => kubelet.containers.iter().any(|outer| outer.is_same(container)),
        };
        let same_file = |p: &&&Process| {
            p.role != Role::Dockerd && around(p) && socket.file.is_some() && self.address(p).file == socket.file
        };
        if let Some(runtime) = self.runtimes.iter().find(same_file) {
            return Some(runtime);
        }
        for scope in scopes {
            let here = |p: &&&Process| same_container(p.containers.first(), *scope);
            // dockerd listens for its own clients, never for a kubelet.
            let listens = |p: &&&Process| p.role != Role::Dockerd && same_socket(&socket.path, &self.address(p).path);
            if let Some(runtime) = self.runtimes.iter().filter(here).find(listens) {
                return Some(runtime);
            }
            let mut between = self.processes.iter().filter(|p| p.role == Role::CriDockerd && here(&p));
            if let Some(between) = between.find(|p| same_socket(&socket.path, &self.address(p).path)) {
                return self.docker(scopes, Some(between));
            }
        }
        if socket.is_docker() {
            return self.docker(scopes, None);
        }
        // A runtime that a k3s started is its own, whatever its file says.
        let child = |p: &&&Process| p.ppid == kubelet.pid && p.role == Role::Containerd;
        self.runtimes.iter().find(child).copied()
    }

    /// The dockerd that is driven, by this cri-dockerd where there is one.
    fn docker(&self, scopes: &[Option<&ContainerRef>], between: Option<&Process>) -> Option<&'a Process> {
        let told = between.and_then(|between| flag(&between.argv, &["docker-endpoint"]));
        for scope in scopes {
            let here = |p: &&&Process| p.role == Role::Dockerd && same_container(p.containers.first(), *scope);
            let mut dockerds = self.runtimes.iter().filter(here);
            let found = match &told {
                Some(told) => dockerds.find(|p| same_socket(told, &self.address(p).path)),
                None => dockerds.next(),
            };
            if found.is_some() {
                return found.copied();
            }
        }
        None
    }

    /// The containerd that a dockerd uses: its child, or the one at the socket that it was told or found.
    fn containerd_of(&self, dockerd: &Process) -> Option<&'a Process> {
        if dockerd.role != Role::Dockerd {
            return None;
        }
        let mut containerds = self.runtimes.iter().filter(|p| p.role == Role::Containerd && same_scope(p, dockerd));
        containerds.find(|p| self.is_used_by(p, dockerd)).copied()
    }

    fn told_containerd<'b>(&'b self, dockerd: &'b Process) -> Option<&'b str> {
        let told = flag(&dockerd.argv, &["containerd"]);
        told.or_else(|| self.learned.containerd_of.get(&dockerd.pid).map(String::as_str))
    }

    fn is_used_by(&self, containerd: &Process, dockerd: &Process) -> bool {
        match self.told_containerd(dockerd) {
            Some(told) => same_socket(told, &self.address(containerd).path),
            None => containerd.ppid == dockerd.pid,
        }
    }

    /// Whether a containerd works for a dockerd: it is used by one of the same scope, or was started with Docker's own configuration.
    fn serves_docker(&self, containerd: &Process) -> bool {
        let mut dockerds = self.runtimes.iter().filter(|p| p.role == Role::Dockerd && same_scope(p, containerd));
        let private =
            || flag(&containerd.argv, &["config", "c"]).is_some_and(|path| path.contains("/docker/containerd/"));
        containerd.role == Role::Containerd
            && (dockerds.any(|p| containerd.ppid == p.pid || self.is_used_by(containerd, p)) || private())
    }

    /// The layer whose runtime made the container around `runtime`. Where the runtime that made it keeps no images as a layer
    /// (Podman, LXC), the layer that lives where it was made.
    fn parent(&self, runtime: &Process, layers: &[&Process]) -> Option<LayerKey> {
        for (level, container) in runtime.containers.iter().enumerate() {
            let outer = runtime.containers.get(level + 1);
            let in_scope = |p: &&&Process| p.pid != runtime.pid && same_container(p.containers.first(), outer);
            let candidates: Vec<&&Process> = layers.iter().filter(in_scope).collect();
            let is_docker = container.namespace == "moby";
            let fits = |p: &&&&Process| container.shim_pid == 0 || (p.role == Role::Dockerd) == is_docker;
            let driven = |p: &&&&Process| self.kubelet_of(p).is_some();
            let found = candidates.iter().find(|p| self.makes(p, container));
            // A configuration file may name another socket than the default: the only runtime of the right kind will do.
            let found = found.or_else(|| candidates.iter().find(fits));
            let found = found.or_else(|| candidates.iter().find(driven)).or_else(|| candidates.first());
            if let Some(found) = found {
                return Some(found.key());
            }
        }
        None
    }

    /// Whether a runtime made this container: a shim names the containerd below dockerd, which is no layer.
    fn makes(&self, p: &Process, container: &ContainerRef) -> bool {
        match p.role {
            Role::Dockerd => {
                let is_address = |address: &str| same_socket(address, &container.address);
                let of_docker = |containerd: &Process| is_address(&self.address(containerd).path);
                container.namespace == "moby"
                    && (self.containerd_of(p).is_some_and(of_docker)
                        || self.told_containerd(p).is_some_and(is_address)
                        || container.address.contains("/docker/"))
            }
            Role::Containerd => container.namespace != "moby" && same_socket(&container.address, &self.address(p).path),
            Role::Crio => container.namespace.is_empty() && container.address.is_empty(),
            Role::Kubelet(_) | Role::CriDockerd => false,
        }
    }
}

/// The socket that the arguments of a runtime or of cri-dockerd name.
pub fn told_socket(process: &Process) -> Option<&str> {
    let argv = &process.argv;
    match process.role {
        Role::Containerd => flag(argv, &["address", "a"]),
        Role::Crio => flag(argv, &["listen"]),
        Role::Dockerd => flag_values(argv, &["host", "H"]).into_iter().find_map(|value| value.strip_prefix("unix://")),
        // systemd opens the usual one for it.
        Role::CriDockerd => flag(argv, &["container-runtime-endpoint"]).filter(|value| !value.starts_with("fd:")),
        Role::Kubelet(_) => None,
    }
}

/// Whether two addresses name one socket: with or without the scheme, `/var/run` for `/run`.
pub fn same_socket(a: &str, b: &str) -> bool {
    fn plain(address: &str) -> &str {
        let path = address.strip_prefix("unix://").or_else(|| address.strip_prefix("unix:")).unwrap_or(address);
        match path.strip_prefix("/var/run/") {
            // The slash belongs to both.
            Some(_) => path.strip_prefix("/var").unwrap_or(path),
            None => path,
        }
    }
    plain(a) == plain(b)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
