//! Which runtimes and kubelets run now? Reads /proc incrementally: of a process that is known and does not matter nothing is
//! read again, except in rotation, since a process may turn into another program (`exec`) and a pid may be reused.
//!
//! A kubelet that nothing names as one is found by what it does: it listens at the socket of pod resources.

use super::parse;
use super::process::{Carrier, ContainerRef, Process, Role, has_kubelet_flags, is_monitor, shim};
use crate::access::AccessError;
use crate::access::deadline::SingleFlight;
use crate::access::proc::Procfs;
use crate::sample::{Absence, AbsenceReason};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

/// Memory of what was seen in /proc.
#[derive(Debug, Default)]
pub struct Scanner {
    round: u32,
    known: HashMap<u32, Known>,
    /// The containers that highwater itself and the first process run in: seen from inside they are the machine.
    own: BTreeSet<String>,
    /// Whether the first process that is seen is the first of a container.
    is_contained: bool,
    /// Sockets of kubelets that no visible process holds.
    unheld: BTreeSet<u64>,
}

#[derive(Debug)]
enum Known {
    /// Does not matter; its name is read again in that round.
    Other { again: u32, checks: u32, seen: u32 },
    /// Matters, under this name.
    Matters { process: Box<Process>, comm: Vec<u8>, seen: u32 },
}

/// After its first rounds a process is looked at again every so many rounds; at one round in 5 s, every 80 s.
const ROTATION: u32 = 16;
const STAT_LIMIT: usize = 4 << 10;
const STATUS_LIMIT: usize = 16 << 10;
const CGROUP_LIMIT: usize = 64 << 10;
/// The kernel hands out what the process keeps, up to megabytes; a kubelet's arguments take a few KiB.
const CMDLINE_LIMIT: usize = 128 << 10;
const CMDLINE_DEADLINE: Duration = Duration::from_millis(500);
/// pid namespaces nest 32 deep at most; shells and supervisors add a few levels each.
const MAX_ANCESTORS: usize = 128;
/// 100 bytes a socket; a large node has some thousands.
const NET_UNIX_LIMIT: usize = 4 << 20;
const MOUNTINFO_LIMIT: usize = 8 << 20;
/// A containerd with 500 pods holds some thousand.
const MAX_DESCRIPTORS: usize = 20_000;
const MAX_UNHELD: usize = 1_000;
/// `pkg/kubelet/apis/podresources` and `pkg/kubelet/kubelet_getters.go` getPodResourcesDir, below `--root-dir`; from 1.15 on.
const SERVING_SOCKET: &str = "/pod-resources/kubelet.sock";

impl Scanner {
    /// A scanner that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what is new in /proc and returns every process that matters, by pid. Processes that vanish while they are read,
    /// or may not be read, are left out.
    pub fn scan(&mut self, procfs: &Procfs) -> Result<Vec<Process>, AccessError> {
        let pids = procfs.pids()?;
        self.round = self.round.wrapping_add(1);
        let first = self.known.is_empty();
        if first {
            let entries = ["self/cgroup", "1/cgroup"].into_iter();
            let read = |entry| procfs.read_path(entry, CGROUP_LIMIT).ok();
            self.own = entries.filter_map(read).filter_map(|bytes| parse::container_id(&bytes)).collect();
            self.is_contained = is_contained(procfs);
        }
        for pid in pids {
            self.look_at(procfs, pid, first);
        }
        let round = self.round;
        self.known.retain(|_, known| match known {
            Known::Other { seen, .. } | Known::Matters { seen, .. } => *seen == round,
        });
        if first || round.is_multiple_of(ROTATION) {
            self.find_serving(procfs);
        }
        let mut processes: Vec<Process> = self.matters().cloned().collect();
        processes.sort_by_key(|process| process.pid);
        Ok(processes)
    }

    /// Why nothing of the machine is seen: highwater runs in a container with a pid namespace of its own, and nothing in that matters.
    pub fn blind(&self) -> Option<Absence> {
        let text = "highwater sees the processes of its own container only: give its pod hostPID: true (a Docker container --pid=host)";
        (self.is_contained && self.matters().next().is_none()).then(|| Absence::new(AbsenceReason::Blind, text))
    }

    fn matters(&self) -> impl Iterator<Item = &Process> {
        self.known.values().filter_map(|known| match known {
            Known::Matters { process, .. } => Some(process.as_ref()),
            Known::Other { .. } => None,
        })
    }

    fn look_at(&mut self, procfs: &Procfs, pid: u32, first: bool) {
        let round = self.round;
        match self.known.get_mut(&pid) {
            Some(Known::Other { again, seen, .. }) if *again != round => {
                *seen = round;
                return;
            }
            Some(Known::Matters { process, comm, seen })
                if !process.argv.is_empty() && is_still(procfs, process, comm) =>
            {
                *seen = round;
                return;
            }
            _ => {}
        }
        let known = match self.read_process(procfs, pid, false) {
            Some((process, comm)) => Known::Matters { process: Box::new(process), comm, seen: round },
            None => self.other(pid, first),
        };
        self.known.insert(pid, known);
    }

    /// Finds kubelets of any name by the socket that each of them listens at. Descriptors are looked through only where such a socket
    /// is held by none of the kubelets that are known, and once for each.
    fn find_serving(&mut self, procfs: &Procfs) {
        let mut sockets = BTreeSet::new();
        let runtimes = self
            .matters()
            .filter(|process| process.role.is_runtime())
            .map(|process| format!("{}/net/unix", process.pid));
        let mut namespaces = BTreeSet::new();
        for entry in ["1/net/unix".to_owned(), "net/unix".to_owned()].into_iter().chain(runtimes) {
            // Processes on one network share one list.
            let pid = entry.split('/').next().and_then(|pid| pid.parse().ok());
            let namespace = pid.and_then(|pid| procfs.link(pid, "ns/net").ok());
            if namespace.is_some_and(|namespace| !namespaces.insert(namespace)) {
                continue;
            }
            let Ok(bytes) = procfs.read_path(&entry, NET_UNIX_LIMIT) else { continue };
            let serving =
                parse::listeners(&bytes).into_iter().filter(|listener| listener.path.ends_with(SERVING_SOCKET));
            sockets.extend(serving.map(|listener| listener.inode));
        }
        self.unheld.retain(|inode| sockets.contains(inode));
        let held: BTreeSet<u64> = self
            .matters()
            .filter(|process| process.is_kubelet())
            .flat_map(|kubelet| sockets_of(procfs, kubelet.pid))
            .collect();
        sockets.retain(|inode| !held.contains(inode) && !self.unheld.contains(inode));
        let others: Vec<u32> = if sockets.is_empty() { Vec::new() } else { self.known.keys().copied().collect() };
        for pid in others {
            let held: Vec<u64> = sockets_of(procfs, pid).into_iter().filter(|inode| sockets.contains(inode)).collect();
            if held.is_empty() {
                continue;
            }
            if let Some((process, comm)) = self.read_process(procfs, pid, true) {
                let known = Known::Matters { process: Box::new(process), comm, seen: self.round };
                self.known.insert(pid, known);
                sockets.retain(|inode| !held.contains(inode));
            }
            if sockets.is_empty() {
                break;
            }
        }
        self.unheld.extend(sockets.into_iter().take(MAX_UNHELD));
    }

    /// Reads a process, if it matters; one that `serves` as a kubelet does, whatever its name.
    fn read_process(&self, procfs: &Procfs, pid: u32, serves: bool) -> Option<(Process, Vec<u8>)> {
        let comm = procfs.comm(pid).ok()?;
        let candidate = Role::candidate(&comm);
        if candidate.is_none() && !serves {
            return None;
        }
        let stat = parse::stat(&procfs.read(pid, "stat", STAT_LIMIT).ok()?)?;
        let argv = arguments(procfs, pid);
        let confirmed = candidate.filter(|role| role.is_confirmed_by(&comm, &argv));
        let role = match confirmed {
            Some(role) if !serves || matches!(role, Role::Kubelet(_)) => role,
            _ if serves && has_kubelet_flags(&argv) => Role::Kubelet(Carrier::Kubelet),
            _ if serves => Role::Kubelet(Carrier::Other),
            _ => return None,
        };
        let (containers, pid_depth) = containers_around(procfs, pid, stat.ppid, &self.own);
        let (start_ticks, ppid) = (stat.start_ticks, stat.ppid);
        let process = Process { pid, start_ticks, ppid, role, argv, containers, pid_depth };
        // Between the first read and the last the pid may have gone to another process.
        is_still(procfs, &process, &comm).then_some((process, comm))
    }

    /// A process that does not matter (now). A new one is looked at again soon, since what starts as a shell may `exec` a
    /// kubelet; what was there at the first scan, in its turn.
    fn other(&self, pid: u32, first: bool) -> Known {
        let checks = match self.known.get(&pid) {
            Some(Known::Other { checks, .. }) => checks.saturating_add(1),
            _ if first => ROTATION,
            _ => 0,
        };
        let wait = match checks {
            0..=3 => 1 << checks,
            _ if first => 1 + pid % ROTATION,
            _ => ROTATION,
        };
        Known::Other { again: self.round.wrapping_add(wait), checks, seen: self.round }
    }
}

/// Whether these processes are those of a container. The machine's first child is the kernel's own; and a container says so by its
/// cgroup, its root or the variables that its runtime sets.
fn is_contained(procfs: &Procfs) -> bool {
    if procfs.comm(2).is_ok_and(|comm| comm == b"kthreadd") {
        return false;
    }
    let read = |entry, limit| procfs.read(1, entry, limit).unwrap_or_default();
    let has_cgroup = ["self/cgroup", "1/cgroup"]
        .iter()
        .any(|entry| procfs.read_path(entry, CGROUP_LIMIT).is_ok_and(|bytes| parse::container_id(&bytes).is_some()));
    let on_overlay = || {
        let mounts = parse::mounts(&read("mountinfo", MOUNTINFO_LIMIT));
        mounts.iter().any(|mount| mount.mountpoint == Path::new("/") && mount.kind == "overlay")
    };
    let has_variable = || {
        let names = [&b"KUBERNETES_SERVICE_HOST="[..], b"container="];
        let variables = read("environ", CMDLINE_LIMIT);
        variables.split(|byte| *byte == 0).any(|variable| names.iter().any(|name| variable.starts_with(name)))
    };
    has_cgroup || on_overlay() || has_variable()
}

/// Same start time and same name: no other process, and no other program in it.
fn is_still(procfs: &Procfs, process: &Process, comm: &[u8]) -> bool {
    procfs
        .read(process.pid, "stat", STAT_LIMIT)
        .ok()
        .and_then(|bytes| parse::stat(&bytes))
        .is_some_and(|stat| stat.start_ticks == process.start_ticks && stat.comm == comm)
}

fn arguments(procfs: &Procfs, pid: u32) -> Vec<String> {
    let owned = procfs.clone();
    let path = format!("{pid}/cmdline");
    let bytes = SingleFlight::new()
        .call("read", Path::new(&path), CMDLINE_DEADLINE, move || owned.read(pid, "cmdline", CMDLINE_LIMIT));
    bytes.map(|bytes| parse::argv(&bytes)).unwrap_or_default()
}

/// The sockets that a process holds, as far as that may be seen.
fn sockets_of(procfs: &Procfs, pid: u32) -> Vec<u64> {
    let links = procfs.links(pid, "fd", MAX_DESCRIPTORS).unwrap_or_default();
    links.iter().filter_map(|link| parse::socket_inode(link)).collect()
}

/// A process on the way up, as far as that tells containers apart.
struct Ancestor {
    pid: u32,
    /// The innermost container that its cgroup names.
    container: Option<String>,
    /// A unit of systemd that its cgroup names.
    unit: Option<String>,
    /// pid namespaces that it is in; 0 where that is not told.
    depth: usize,
    is_monitor: bool,
}

impl Ancestor {
    fn read(procfs: &Procfs, pid: u32, is_monitor: bool) -> Self {
        let cgroup = procfs.read(pid, "cgroup", CGROUP_LIMIT).unwrap_or_default();
        let status = procfs.read(pid, "status", STATUS_LIMIT).unwrap_or_default();
        Self {
            pid,
            container: parse::container_id(&cgroup),
            unit: parse::unit(&cgroup),
            depth: parse::namespace_pids(&status).len(),
            is_monitor,
        }
    }

    /// By what a person finds the container again whose first process this is.
    fn container_name(&self, procfs: &Procfs) -> String {
        let namespace = || procfs.link(self.pid, "ns/pid").ok().map(|link| link.to_string_lossy().into_owned());
        let name = self.container.clone().or_else(|| self.unit.clone()).or_else(namespace);
        name.unwrap_or_else(|| format!("pid-{}", self.pid))
    }

    /// The container whose first process this is, where no monitor says more.
    fn container(&self, procfs: &Procfs, monitor: u32) -> ContainerRef {
        let id = self.container_name(procfs);
        ContainerRef {
            sandbox: id.clone(),
            id,
            namespace: String::new(),
            address: String::new(),
            shim_pid: monitor,
            init_pid: self.pid,
        }
    }
}

/// Walks up the parents; also says in how many pid namespaces the process is. A process is the first one of a container where its
/// parent is a monitor, where it is in one more pid namespace than its parent, or where its cgroup names another container than its
/// parent's: a container in the machine's pid namespace shows by that alone.
fn containers_around(procfs: &Procfs, pid: u32, parent: u32, own: &BTreeSet<String>) -> (Vec<ContainerRef>, usize) {
    let mut containers = Vec::new();
    let mut below = Ancestor::read(procfs, pid, false);
    let (depth, mut current) = (below.depth, parent);
    for _ in 0..MAX_ANCESTORS {
        let stat = procfs.read(current, "stat", STAT_LIMIT).ok().and_then(|bytes| parse::stat(&bytes));
        let Some(stat) = stat.filter(|_| current != 0) else { break };
        let above = Ancestor::read(procfs, current, is_monitor(&stat.comm));
        let told = above.is_monitor.then(|| shim(&stat.comm, &arguments(procfs, current))).flatten();
        let deeper = above.depth > 0 && below.depth > above.depth;
        let elsewhere = below.container.is_some() && below.container != above.container && !below.is_monitor;
        if let Some((sandbox, namespace, address)) = told {
            // Docker has one shim for each container; Kubernetes one for each pod.
            let own = below.container.clone().filter(|_| namespace != "moby");
            let id = own.unwrap_or_else(|| sandbox.clone());
            containers.push(ContainerRef { id, sandbox, namespace, address, shim_pid: current, init_pid: below.pid });
        } else if deeper || above.is_monitor {
            containers.push(below.container(procfs, current));
        } else if elsewhere && below.container.as_ref().is_some_and(|id| !own.contains(id)) {
            containers.push(below.container(procfs, 0));
        }
        (below, current) = (above, stat.ppid);
    }
    // What is above cannot be seen: the first process, or one that was put in from outside.
    let is_own = below.container.as_ref().is_some_and(|id| own.contains(id));
    if !is_own && (below.container.is_some() || below.depth > 1) && !below.is_monitor {
        containers.push(below.container(procfs, 0));
    }
    (containers, depth)
}
