//! Which processes matter, and what is known of each? Runtimes and kubelets; plain values.
//!
//! A name makes a process a candidate, its arguments confirm it. A kubelet of any other name is known by the socket at which it serves
//! pod resources (`scan.rs`).

use super::parse;
use std::path::Path;

/// What a process is for a tree of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs the kubelet's code.
    Kubelet(Carrier),
    /// containerd.
    Containerd,
    /// dockerd.
    Dockerd,
    /// CRI-O.
    Crio,
    /// cri-dockerd, which answers the CRI with what a dockerd has.
    CriDockerd,
}

/// Which program carries the kubelet's code: it decides where the settings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A kubelet of its own; its arguments are the kubelet's flags.
    Kubelet,
    /// k3s, which passes on what its own configuration says.
    K3s,
    /// The one process of microk8s; the kubelet's flags stand in a file.
    Kubelite,
    /// MicroShift, which loads a file of its own.
    Microshift,
    /// Another program, whose settings are not known.
    Other,
}

/// The container a process lives in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerRef {
    /// The id of the container, or of its pod's sandbox where only that is known; else a name by which a person can find it.
    pub id: String,
    /// The id that the shim was started with: the pod sandbox under Kubernetes, the container under Docker.
    pub sandbox: String,
    /// The containerd namespace: `k8s.io`, `moby`; empty where no containerd shim is its monitor.
    pub namespace: String,
    /// The socket of the runtime that made it, as that runtime sees it; empty where unknown.
    pub address: String,
    /// Its monitor (a shim, conmon): the process above the container's first one; 0 where none is among the ancestors (a daemon in a
    /// pod with the machine's pid namespace).
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
    /// Its arguments; empty where they cannot be read.
    pub argv: Vec<String>,
    /// The containers around it, innermost first; empty on the machine itself.
    pub containers: Vec<ContainerRef>,
    /// How many pid namespaces it is in; 0 where the kernel does not tell.
    pub pid_depth: usize,
}

impl ContainerRef {
    /// Whether both are one container. The id alone is not enough where a shim is known: it may come from a cgroup's name, and
    /// whoever is root in a container can make a cgroup with any name. A process that was put into a container later (`exec`) has the
    /// same monitor, and is the first of its own.
    pub fn is_same(&self, other: &Self) -> bool {
        if self.shim_pid == 0 || other.shim_pid == 0 {
            return self.id == other.id;
        }
        self.shim_pid == other.shim_pid && (self.init_pid == other.init_pid || self.id == other.id)
    }
}

impl Process {
    /// Whether it runs the kubelet's code.
    pub const fn is_kubelet(&self) -> bool {
        matches!(self.role, Role::Kubelet(_))
    }
}

impl Role {
    /// What a process of this name may be. `comm` is cut at 15 bytes by the kernel. Whoever controls a process chooses its name: a
    /// forged one costs only the layer it lives in.
    pub fn candidate(comm: &[u8]) -> Option<Self> {
        match comm {
            b"hyperkube" => Some(Self::Kubelet(Carrier::Kubelet)),
            b"k3s" | b"k3s-server" | b"k3s-agent" => Some(Self::Kubelet(Carrier::K3s)),
            b"kubelite" => Some(Self::Kubelet(Carrier::Kubelite)),
            b"microshift" => Some(Self::Kubelet(Carrier::Microshift)),
            b"containerd" => Some(Self::Containerd),
            b"dockerd" => Some(Self::Dockerd),
            b"crio" => Some(Self::Crio),
            b"cri-dockerd" => Some(Self::CriDockerd),
            _ if comm.windows(7).any(|part| part == b"kubelet") => Some(Self::Kubelet(Carrier::Kubelet)),
            _ => None,
        }
    }

    /// Whether the arguments of a candidate are those of what its name says. Programs that carry a kubelet have other commands too,
    /// and others have a kubelet in their name only.
    pub fn is_confirmed_by(self, comm: &[u8], argv: &[String]) -> bool {
        // A title that was written over the arguments is one string: "/usr/local/bin/k3s server".
        let mut words = argv.iter().flat_map(|argument| argument.split(' ')).skip(1);
        match self {
            Self::Kubelet(Carrier::K3s) => match comm {
                b"k3s" => words.any(|word| matches!(word, "server" | "agent")),
                _ => true,
            },
            Self::Kubelet(Carrier::Microshift) => argv.is_empty() || words.any(|word| word == "run"),
            Self::Kubelet(Carrier::Kubelet) => match comm {
                b"kubelet" => true,
                b"hyperkube" => words.any(|word| matches!(word, "kubelet" | "--kubelet")),
                _ => has_kubelet_flags(argv),
            },
            _ => true,
        }
    }

    /// Whether it keeps images.
    pub const fn is_runtime(self) -> bool {
        matches!(self, Self::Containerd | Self::Dockerd | Self::Crio)
    }
}

/// Whether arguments hold a flag that kubelets have, and hardly anything else.
pub(super) fn has_kubelet_flags(argv: &[String]) -> bool {
    const FLAGS: [&str; 11] = [
        "bootstrap-kubeconfig",
        "cert-dir",
        "cluster-dns",
        "config-dir",
        "container-runtime-endpoint",
        "eviction-hard",
        "hostname-override",
        "image-gc-high-threshold",
        "node-labels",
        "pod-manifest-path",
        "root-dir",
    ];
    let has = |flags: &[&str]| parse::flag(argv, flags).is_some();
    has(&FLAGS)
        || (has(&["config"]) && (has(&["kubeconfig"]) || argv.first().is_some_and(|name| is_named_kubelet(name))))
}

fn is_named_kubelet(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name.to_string_lossy().contains("kubelet"))
}

/// Whether a process of this name is the monitor of a container or pod, and no container itself.
pub(super) fn is_monitor(comm: &[u8]) -> bool {
    comm.starts_with(b"containerd-shim") || comm.windows(6).any(|part| part == b"conmon")
}

/// What the arguments of a container's monitor say: containerd-shim (all versions) and conmon. conmonrs, one for each pod, says
/// nothing.
pub(super) fn shim(comm: &[u8], argv: &[String]) -> Option<(String, String, String)> {
    if comm.starts_with(b"containerd-shim") {
        let text = |names: &[&str]| parse::flag(argv, names).unwrap_or_default().to_owned();
        // Version 1 shims of old Docker have no -id: the bundle directory's name is the id.
        let id = parse::flag(argv, &["id"])
            .map_or_else(|| text(&["workdir"]).rsplit('/').next().unwrap_or_default().to_owned(), str::to_owned);
        return Some((id, text(&["namespace"]), text(&["address"])));
    }
    if is_monitor(comm) {
        let id = parse::flag(argv, &["c", "cid"])?.to_owned();
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
        for comm in [&b"conmon"[..], b"crio-conmon"] {
            let found = shim(comm, &argv("/usr/bin/conmon -b /x -c 1234 --exit-dir /y"));
            assert_eq!(found, Some(("1234".to_owned(), String::new(), String::new())));
        }
        assert_eq!(shim(b"conmonrs", &argv("/usr/bin/conmonrs --runtime /usr/bin/crun")), None);
        assert_eq!(shim(b"bash", &argv("bash -id 1")), None);
    }

    #[test]
    fn a_name_and_its_arguments_make_a_kubelet() {
        let role = |comm: &str, line: &str| {
            let (comm, argv) = (comm.as_bytes(), argv(line));
            Role::candidate(comm).filter(|role| role.is_confirmed_by(comm, &argv))
        };
        let kubelet = |carrier| Some(Role::Kubelet(carrier));
        let cases = [
            ("kubelet", "kubelet", kubelet(Carrier::Kubelet)),
            ("kubelet-v1.30.2", "/opt/kubelet-v1.30.2 --root-dir=/x", kubelet(Carrier::Kubelet)),
            ("my-kubelet", "/opt/my-kubelet --config /etc/k.yaml", kubelet(Carrier::Kubelet)),
            ("kubelet-csr-app", "kubelet-csr-approver --kubeconfig /x", None),
            ("hyperkube", "/hyperkube kubelet --v=2", kubelet(Carrier::Kubelet)),
            ("hyperkube", "/hyperkube kube-proxy --config=/x", None),
            ("k3s-server", "/usr/local/bin/k3s server", kubelet(Carrier::K3s)),
            ("k3s", "k3s agent --token x", kubelet(Carrier::K3s)),
            ("k3s", "k3s kubectl get pods", None),
            ("rke2", "/usr/local/bin/rke2 server", None),
            ("k0s", "/usr/local/bin/k0s worker", None),
            ("kubelite", "/snap/kubelite --kubelet-args-file=/x", kubelet(Carrier::Kubelite)),
            ("microshift", "microshift run", kubelet(Carrier::Microshift)),
            ("microshift", "microshift healthcheck", None),
            ("cri-dockerd", "cri-dockerd --container-runtime-endpoint fd://", Some(Role::CriDockerd)),
            ("containerd", "containerd", Some(Role::Containerd)),
            ("containerd-shim", "containerd-shim-runc-v2 -id x", None),
        ];
        for (comm, line, expected) in cases {
            assert_eq!(role(comm, line), expected, "{comm}: {line}");
        }
    }
}
