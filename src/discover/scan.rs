//! Which runtimes and kubelets run now? Reads /proc incrementally: of a process that is known and does not matter nothing is
//! read again, except in rotation, since a process may turn into another program (`exec`) and a pid may be reused.

use super::parse;
use super::process::{ContainerRef, Process, Role, shim};
use crate::access::AccessError;
use crate::access::deadline::SingleFlight;
use crate::access::proc::Procfs;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Memory of what was seen in /proc.
#[derive(Debug, Default)]
pub struct Scanner {
    round: u32,
    known: HashMap<u32, Known>,
    /// The container that highwater itself runs in: seen from inside it is the machine.
    own: Option<String>,
}

#[derive(Debug)]
enum Known {
    /// Does not matter; its name is read again in that round.
    Other { again: u32, checks: u32, seen: u32 },
    /// Matters.
    Matters { process: Box<Process>, seen: u32 },
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
            self.own = procfs.read_path("self/cgroup", CGROUP_LIMIT).ok().and_then(|bytes| parse::container_id(&bytes));
        }
        for pid in pids {
            self.look_at(procfs, pid, first);
        }
        let round = self.round;
        self.known.retain(|_, known| match known {
            Known::Other { seen, .. } | Known::Matters { seen, .. } => *seen == round,
        });
        let mut processes: Vec<Process> = self
            .known
            .values()
            .filter_map(|known| match known {
                Known::Matters { process, .. } => Some(process.as_ref().clone()),
                Known::Other { .. } => None,
            })
            .collect();
        processes.sort_by_key(|process| process.pid);
        Ok(processes)
    }

    fn look_at(&mut self, procfs: &Procfs, pid: u32, first: bool) {
        let round = self.round;
        match self.known.get_mut(&pid) {
            Some(Known::Other { again, seen, .. }) if *again != round => {
                *seen = round;
                return;
            }
            Some(Known::Matters { process, seen }) if !process.argv.is_empty() && is_still(procfs, process) => {
                *seen = round;
                return;
            }
            _ => {}
        }
        let known = match read_process(procfs, pid, self.own.as_deref()) {
            Some(process) => Known::Matters { process: Box::new(process), seen: round },
            None => self.other(pid, first),
        };
        self.known.insert(pid, known);
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

/// Same start time and same name: no other process, and no other program in it.
fn is_still(procfs: &Procfs, process: &Process) -> bool {
    procfs
        .read(process.pid, "stat", STAT_LIMIT)
        .ok()
        .and_then(|bytes| parse::stat(&bytes))
        .is_some_and(|stat| stat.start_ticks == process.start_ticks && Role::of(&stat.comm) == Some(process.role))
}

fn read_process(procfs: &Procfs, pid: u32, own: Option<&str>) -> Option<Process> {
    let role = Role::of(&procfs.comm(pid).ok()?)?;
    let stat = parse::stat(&procfs.read(pid, "stat", STAT_LIMIT).ok()?)?;
    let argv = arguments(procfs, pid);
    let mut containers = containers_around(procfs, pid, stat.ppid);
    if containers.is_empty() {
        containers.extend(container_without_shim(procfs, pid).filter(|c| Some(c.id.as_str()) != own));
    }
    let process = Process { pid, start_ticks: stat.start_ticks, ppid: stat.ppid, role, argv, containers };
    // Between the first read and the last the pid may have gone to another process.
    is_still(procfs, &process).then_some(process)
}

fn arguments(procfs: &Procfs, pid: u32) -> Vec<String> {
    let owned = procfs.clone();
    let path = format!("{pid}/cmdline");
    let bytes = SingleFlight::new()
        .call("read", Path::new(&path), CMDLINE_DEADLINE, move || owned.read(pid, "cmdline", CMDLINE_LIMIT));
    bytes.map(|bytes| parse::argv(&bytes)).unwrap_or_default()
}

/// Walks up the parents. The process directly below a shim is the first one of a container.
fn containers_around(procfs: &Procfs, pid: u32, parent: u32) -> Vec<ContainerRef> {
    let mut containers = Vec::new();
    let (mut below, mut current) = (pid, parent);
    for _ in 0..MAX_ANCESTORS {
        if current == 0 {
            break;
        }
        let Some(stat) = procfs.read(current, "stat", STAT_LIMIT).ok().and_then(|bytes| parse::stat(&bytes)) else {
            break;
        };
        let is_shim = stat.comm.starts_with(b"containerd-shim") || stat.comm == b"conmon";
        let told = is_shim.then(|| shim(&stat.comm, &arguments(procfs, current))).flatten();
        if let Some((sandbox, namespace, address)) = told {
            // Docker has one shim for each container; Kubernetes one for each pod.
            let own = (namespace != "moby").then(|| container_by_cgroup(procfs, below)).flatten();
            let id = own.unwrap_or_else(|| sandbox.clone());
            containers.push(ContainerRef { id, sandbox, namespace, address, shim_pid: current, init_pid: below });
        }
        (below, current) = (current, stat.ppid);
    }
    containers
}

/// A container that no shim among the ancestors tells of: known by its cgroup, else by a pid namespace of its own.
fn container_without_shim(procfs: &Procfs, pid: u32) -> Option<ContainerRef> {
    let nested = || {
        let status = procfs.read(pid, "status", STATUS_LIMIT).ok()?;
        let namespace = procfs.link(pid, "ns/pid").map(|link| link.to_string_lossy().into_owned());
        (parse::namespace_pids(&status).len() > 1).then(|| namespace.unwrap_or_else(|_| "pid namespace".to_owned()))
    };
    let id = container_by_cgroup(procfs, pid).or_else(nested)?;
    Some(ContainerRef {
        sandbox: id.clone(),
        id,
        namespace: String::new(),
        address: String::new(),
        shim_pid: 0,
        init_pid: pid,
    })
}

fn container_by_cgroup(procfs: &Procfs, pid: u32) -> Option<String> {
    parse::container_id(&procfs.read(pid, "cgroup", CGROUP_LIMIT).ok()?)
}
