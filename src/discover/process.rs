//! Which processes matter, and what is known of each? Runtimes and kubelets, recognised by name; plain values.

use super::parse;

/// What a process is for a tree of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A kubelet of its own.
    Kubelet,
    /// k3s or rke2 with the kubelet inside; the runtime is a child of its own.
    EmbeddedKubelet,
    /// containerd.
    Containerd,
    /// dockerd.
    Dockerd,
    /// CRI-O.
    Crio,
}

/// The container a process lives in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerRef {
    /// The id of the container, or of its pod's sandbox where only that is known.
    pub id: String,
    /// The id that the shim was started with: the pod sandbox under Kubernetes, the container under Docker.
    pub sandbox: String,
    /// The containerd namespace: `k8s.io`, `moby`; empty for CRI-O.
    pub namespace: String,
    /// The socket of the runtime that made it, as that runtime sees it; empty where unknown.
    pub address: String,
    /// The shim: the process above the container's first one; 0 where none is among the ancestors (a daemon in a pod with the
    /// machine's pid namespace, a container made by other means).
    pub shim_pid: u32,
    /// The container's first process.
    pub init_pid: u32,
}

/// A process that matters. Identity is pid and start time together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// As this machine's /proc counts it.
    pub pid: u32,
    /// Clock ticks since the boot.
    pub start_ticks: u64,
    /// Its parent at the time it was read.
    pub ppid: u32,
    /// What it is.
    pub role: Role,
    /// Its arguments.
    pub argv: Vec<String>,
    /// The containers around it, innermost first; empty on the machine itself.
    pub containers: Vec<ContainerRef>,
}

impl ContainerRef {
    /// Whether both are one container. The id alone is not enough where a shim is known: it may come from a cgroup's name, and
    /// whoever is root in a container can make a cgroup with any name.
    pub fn is_same(&self, other: &Self) -> bool {
        if self.shim_pid == 0 || other.shim_pid == 0 {
            return self.id == other.id;
        }
        self.shim_pid == other.shim_pid && self.init_pid == other.init_pid
    }
}

impl Role {
    /// Recognises a process by `comm`, which the kernel cuts at 15 bytes. Whoever controls a process chooses its name: a forged
    /// one costs only the layer it lives in.
    pub fn of(comm: &[u8]) -> Option<Self> {
        match comm {
            b"kubelet" | b"hyperkube" => Some(Self::Kubelet),
            b"k3s" | b"k3s-server" | b"k3s-agent" | b"rke2" => Some(Self::EmbeddedKubelet),
            b"containerd" => Some(Self::Containerd),
            b"dockerd" => Some(Self::Dockerd),
            b"crio" => Some(Self::Crio),
            _ => None,
        }
    }

    /// Whether it keeps images.
    pub const fn is_runtime(self) -> bool {
        matches!(self, Self::Containerd | Self::Dockerd | Self::Crio)
    }
}

/// What the arguments of a container's monitor say: containerd-shim (all versions) and conmon.
pub(super) fn shim(comm: &[u8], argv: &[String]) -> Option<(String, String, String)> {
    if comm.starts_with(b"containerd-shim") {
        let text = |names: &[&str]| parse::flag(argv, names).unwrap_or_default().to_owned();
        // Version 1 shims of old Docker have no -id: the bundle directory's name is the id.
        let id = parse::flag(argv, &["id"])
            .map_or_else(|| text(&["workdir"]).rsplit('/').next().unwrap_or_default().to_owned(), str::to_owned);
        return Some((id, text(&["namespace"]), text(&["address"])));
    }
    if comm == b"conmon" {
        let id = parse::flag(argv, &["c", "cid"]).unwrap_or_default().to_owned();
        return Some((id, String::new(), String::new()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn shims_tell_id_namespace_and_address() {
        let line =
            "/usr/bin/containerd-shim-runc-v2 -namespace moby -id abc -address /run/docker/containerd/containerd.sock";
        assert_eq!(
            shim(b"containerd-shim", &argv(line)),
            Some(("abc".to_owned(), "moby".to_owned(), "/run/docker/containerd/containerd.sock".to_owned()))
        );
        assert_eq!(
            shim(b"conmon", &argv("/usr/bin/conmon -b /x -c 1234 --exit-dir /y")),
            Some(("1234".to_owned(), String::new(), String::new()))
        );
        assert_eq!(shim(b"bash", &argv("bash -id 1")), None);
    }

    #[test]
    fn a_shim_is_no_runtime() {
        assert_eq!(Role::of(b"containerd-shim"), None);
        assert_eq!(Role::of(b"containerd"), Some(Role::Containerd));
    }
}
