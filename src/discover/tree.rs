//! Processes to layers: which runtime is a layer, which kubelet drives it, and which layer does it live in? Pure.
//!
//! Not decided here: names and kinds, which need files and answers from inside (see `agent/identity.rs`).

use super::parse::{flag, flag_values};
use super::process::{ContainerRef, Process, Role};
use crate::sample::RuntimeKind;
use std::collections::BTreeMap;

/// Sockets by pid that configuration files name: the one that a runtime listens on, the one that a kubelet uses.
pub type Sockets = BTreeMap<u32, String>;

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
    /// Arguments of the runtime.
    pub argv: Vec<String>,
    /// The container it lives in; `None` on the machine itself.
    pub container: Option<ContainerRef>,
    /// The kubelet that drives it.
    pub kubelet: Option<FoundKubelet>,
    /// The socket given on the command line of the runtime or of its kubelet, as the layer sees it.
    pub socket: Option<String>,
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
    /// Whether it is part of k3s or rke2.
    pub embedded: bool,
}

/// The key of the layer that stands for a machine without a runtime.
pub const BARE_HOST: LayerKey = LayerKey { pid: 0, start_ticks: 0 };

/// Orders the processes into layers, parents before children; `learned` is what has been read of configuration files so far.
/// There is always a layer for the machine itself.
pub fn layers(processes: &[Process], learned: &Sockets) -> Vec<FoundLayer> {
    let runtimes: Vec<&Process> = processes
        .iter()
        .filter(|p| p.role.is_runtime() && !is_fork(p, processes) && !serves_docker(p, processes, learned))
        .collect();
    let mut found: Vec<FoundLayer> = runtimes
        .iter()
        .map(|runtime| FoundLayer {
            key: key(runtime),
            parent: parent(runtime, &runtimes, processes, learned),
            runtime: match runtime.role {
                Role::Dockerd => Some(RuntimeKind::Docker),
                Role::Crio => Some(RuntimeKind::Crio),
                _ => Some(RuntimeKind::Containerd),
            },
            argv: runtime.argv.clone(),
            container: runtime.containers.first().cloned(),
            kubelet: kubelet_of(runtime, &runtimes, processes, learned),
            socket: told_socket(runtime).map(str::to_owned),
        })
        .collect();
    if !found.iter().any(|layer| layer.container.is_none()) {
        let orphans: Vec<LayerKey> = found.iter().filter(|l| l.parent.is_none()).map(|l| l.key).collect();
        for layer in found.iter_mut().filter(|layer| orphans.contains(&layer.key)) {
            layer.parent = Some(BARE_HOST);
        }
        found.push(bare_host(processes));
    }
    // Where several runtimes run on the machine itself, the one that a kubelet drives comes first.
    found.sort_by_key(|layer| (layer.container.is_some(), layer.kubelet.is_none(), layer.key));
    parents_first(found)
}

fn bare_host(processes: &[Process]) -> FoundLayer {
    let kubelet = processes.iter().find(|p| is_kubelet(p) && p.containers.is_empty()).map(found_kubelet);
    FoundLayer { key: BARE_HOST, parent: None, runtime: None, argv: Vec::new(), container: None, kubelet, socket: None }
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

fn key(process: &Process) -> LayerKey {
    LayerKey { pid: process.pid, start_ticks: process.start_ticks }
}

/// Two processes share a scope when they live in the same container, or both on the machine itself.
fn same_scope(a: &Process, b: &Process) -> bool {
    match (a.containers.first(), b.containers.first()) {
        (None, None) => true,
        (Some(a), Some(b)) => a.is_same(b),
        _ => false,
    }
}

/// A runtime forks before it starts a shim or a helper; until the child has become another program it looks like its parent.
fn is_fork(process: &Process, processes: &[Process]) -> bool {
    processes.iter().any(|p| p.pid == process.ppid && p.role == process.role && p.argv == process.argv)
}

const fn is_kubelet(process: &Process) -> bool {
    matches!(process.role, Role::Kubelet | Role::EmbeddedKubelet)
}

fn found_kubelet(process: &Process) -> FoundKubelet {
    FoundKubelet {
        pid: process.pid,
        start_ticks: process.start_ticks,
        argv: process.argv.clone(),
        embedded: process.role == Role::EmbeddedKubelet,
    }
}

/// Whether a containerd only works for a dockerd: a child of it, started with Docker's own configuration, or the socket that a
/// dockerd of the same scope was told to use, unless a kubelet uses it as well.
fn serves_docker(candidate: &Process, processes: &[Process], learned: &Sockets) -> bool {
    if candidate.role != Role::Containerd {
        return false;
    }
    let address = address(candidate, learned);
    let mut dockerds = processes.iter().filter(|p| p.role == Role::Dockerd && same_scope(p, candidate));
    let docker_uses_it = dockerds.any(|dockerd| {
        candidate.ppid == dockerd.pid
            || flag(&dockerd.argv, &["containerd"]).is_some_and(|told| same_socket(told, address))
    });
    let private = flag(&candidate.argv, &["config", "c"]).is_some_and(|path| path.contains("/docker/containerd/"));
    let kubelet_uses_it = processes
        .iter()
        .filter(|p| is_kubelet(p) && same_scope(p, candidate))
        .any(|kubelet| same_socket(endpoint(kubelet, learned), address));
    (docker_uses_it || private) && !kubelet_uses_it
}

const DEFAULT_CONTAINERD: &str = "/run/containerd/containerd.sock";

/// The runtime socket that a kubelet uses: its flag, its file as far as read, or the default of KubeletConfiguration v1beta1.
fn endpoint<'a>(kubelet: &'a Process, learned: &'a Sockets) -> &'a str {
    flag(&kubelet.argv, &["container-runtime-endpoint"])
        .or_else(|| learned.get(&kubelet.pid).map(String::as_str))
        .unwrap_or(DEFAULT_CONTAINERD)
}

/// The socket that a runtime listens on: its arguments, its file as far as read, or the program's default.
fn address<'a>(runtime: &'a Process, learned: &'a Sockets) -> &'a str {
    told_socket(runtime).or_else(|| learned.get(&runtime.pid).map(String::as_str)).unwrap_or(match runtime.role {
        Role::Dockerd => "/run/docker.sock",
        Role::Crio => "/run/crio/crio.sock",
        _ => DEFAULT_CONTAINERD,
    })
}

/// The socket that the runtime's arguments name.
fn told_socket(runtime: &Process) -> Option<&str> {
    let argv = &runtime.argv;
    match runtime.role {
        Role::Containerd => flag(argv, &["address", "a"]),
        Role::Crio => flag(argv, &["listen"]),
        Role::Dockerd => flag_values(argv, &["host", "H"]).into_iter().find_map(|value| value.strip_prefix("unix://")),
        Role::Kubelet | Role::EmbeddedKubelet => None,
    }
}

/// The kubelet of the runtime's scope that names its socket or started it (k3s); the only one where there is only one runtime.
fn kubelet_of(
    runtime: &Process,
    runtimes: &[&Process],
    processes: &[Process],
    learned: &Sockets,
) -> Option<FoundKubelet> {
    let kubelets: Vec<&Process> = processes.iter().filter(|p| is_kubelet(p) && same_scope(p, runtime)).collect();
    let named = kubelets.iter().find(|kubelet| {
        runtime.ppid == kubelet.pid || same_socket(endpoint(kubelet, learned), address(runtime, learned))
    });
    let alone = runtimes.iter().filter(|r| same_scope(r, runtime)).count() == 1;
    match (named, kubelets.as_slice()) {
        (Some(kubelet), _) => Some(found_kubelet(kubelet)),
        (None, [only]) if alone => Some(found_kubelet(only)),
        _ => None,
    }
}

/// Whether two addresses name one socket: with or without the scheme, `/var/run` for `/run`.
pub fn same_socket(a: &str, b: &str) -> bool {
    fn plain(address: &str) -> &str {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        match path.strip_prefix("/var/run/") {
            // The slash belongs to both.
            Some(_) => path.strip_prefix("/var").unwrap_or(path),
            None => path,
        }
    }
    plain(a) == plain(b)
}

/// The runtime that made the container around `runtime`: the layer whose own scope holds the shim and whose socket the shim
/// names.
fn parent(runtime: &Process, runtimes: &[&Process], processes: &[Process], learned: &Sockets) -> Option<LayerKey> {
    let container = runtime.containers.first()?;
    let outer = runtime.containers.get(1);
    let in_scope = |p: &&&Process| match (p.containers.first(), outer) {
        (None, None) => true,
        (Some(a), Some(b)) => a.is_same(b),
        _ => false,
    };
    let candidates: Vec<&&Process> = runtimes.iter().filter(in_scope).filter(|p| p.pid != runtime.pid).collect();
    let makes_it = |p: &&&&Process| match p.role {
        // The shim names the containerd below dockerd, which is no layer; with a private one the address lies in Docker's
        // own directory, with a shared one dockerd was told its socket.
        Role::Dockerd => {
            container.namespace == "moby"
                && (children_or_told(p, processes, &container.address) || container.address.contains("/docker/"))
        }
        Role::Containerd => container.namespace != "moby" && same_socket(&container.address, address(p, learned)),
        Role::Crio => container.namespace.is_empty() && container.address.is_empty(),
        Role::Kubelet | Role::EmbeddedKubelet => false,
    };
    // Without a shim nothing tells who made it.
    let fits_role =
        |p: &&&&Process| container.shim_pid == 0 || (p.role == Role::Dockerd) == (container.namespace == "moby");
    candidates
        .iter()
        .find(makes_it)
        // A configuration file may name another socket than the default: the only runtime of the right kind will do.
        .or_else(|| candidates.iter().find(fits_role))
        .map(|p| key(p))
}

fn children_or_told(dockerd: &Process, processes: &[Process], address: &str) -> bool {
    let told = flag(&dockerd.argv, &["containerd"]).is_some_and(|told| same_socket(told, address));
    told || processes.iter().any(|p| {
        p.role == Role::Containerd && p.ppid == dockerd.pid && told_socket(p).is_some_and(|s| same_socket(s, address))
    })
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
