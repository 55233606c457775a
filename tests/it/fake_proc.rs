//! A directory in the form of /proc, as far as highwater reads it. A fixture, not a mock: it is read by the same code.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A made-up procfs in a temporary directory.
pub(crate) struct FakeProc {
    directory: TempDir,
}

/// One process of it.
pub(crate) struct Fake<'a> {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) comm: &'a str,
    pub(crate) argv: &'a [&'a str],
    pub(crate) cgroup: &'a str,
    /// How many pid namespaces it is in.
    pub(crate) depth: usize,
}

/// Every made-up process starts that many ticks after the boot, plus its pid.
pub(crate) const START_TICKS: u64 = 10_000;

impl FakeProc {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("uptime"), "100000.00 1.00\n").unwrap();
        fs::create_dir(directory.path().join("self")).unwrap();
        fs::write(directory.path().join("self/mountinfo"), "").unwrap();
        // Entries that are no processes.
        fs::create_dir(directory.path().join("sys")).unwrap();
        fs::write(directory.path().join("1x"), "").unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn entry(&self, pid: u32) -> PathBuf {
        self.path().join(pid.to_string())
    }

    pub(crate) fn add(&self, fake: &Fake<'_>) {
        let entry = self.entry(fake.pid);
        fs::create_dir(&entry).unwrap();
        let Fake { pid, parent, comm, .. } = fake;
        let start = START_TICKS + u64::from(*pid);
        fs::write(entry.join("comm"), format!("{comm}\n")).unwrap();
        let zeros = "0 ".repeat(17);
        fs::write(entry.join("stat"), format!("{pid} ({comm}) S {parent} {zeros}{start} 0 0\n")).unwrap();
        fs::write(entry.join("cmdline"), fake.argv.join("\0") + "\0").unwrap();
        let pids = (0..fake.depth).map(|level| (pid >> level).to_string()).collect::<Vec<_>>().join("\t");
        fs::write(entry.join("status"), format!("Name:\t{comm}\nNSpid:\t{pids}\n")).unwrap();
        fs::write(entry.join("cgroup"), format!("0::{}\n", fake.cgroup)).unwrap();
        symlink("/", entry.join("cwd")).unwrap();
    }

    /// Gives a process a root directory.
    pub(crate) fn set_root(&self, pid: u32, root: &Path) {
        symlink(root, self.entry(pid).join("root")).unwrap();
    }

    pub(crate) fn remove(&self, pid: u32) {
        fs::remove_dir_all(self.entry(pid)).unwrap();
    }

    /// A process listens at a Unix socket.
    pub(crate) fn listen(&self, pid: u32, inode: u64, path: &str) {
        let entry = self.entry(pid);
        fs::create_dir_all(entry.join("net")).unwrap();
        fs::create_dir_all(entry.join("fd")).unwrap();
        let line = format!("ffff0000: 00000002 00000000 00010000 0001 01 {inode} {path}\n");
        let mut list = fs::File::options().append(true).create(true).open(entry.join("net/unix")).unwrap();
        list.write_all(line.as_bytes()).unwrap();
        symlink("/dev/null", entry.join("fd/0")).ok();
        symlink(format!("socket:[{inode}]"), entry.join(format!("fd/{inode}"))).unwrap();
    }

    /// The environment variables of a process.
    pub(crate) fn set_environment(&self, pid: u32, variables: &[&str]) {
        fs::write(self.entry(pid).join("environ"), variables.join("\0") + "\0").unwrap();
    }

    /// A process becomes another program, as `exec` does.
    pub(crate) fn exec(&self, pid: u32, parent: u32, comm: &str, argv: &[&str]) {
        let root = fs::read_link(self.entry(pid).join("root")).ok();
        self.remove(pid);
        self.add(&Fake { pid, parent, comm, argv, cgroup: "/", depth: 1 });
        if let Some(root) = root {
            self.set_root(pid, &root);
        }
    }
}

/// The pids of a node made by [`prow_node`].
pub(crate) const HOST_CONTAINERD: u32 = 100;
pub(crate) const HOST_KUBELET: u32 = 110;
pub(crate) const DOCKERD: u32 = 1_001;
pub(crate) const DOCKERS_CONTAINERD: u32 = 1_002;

/// The runtime of a node container.
pub(crate) const fn node_containerd(number: u32) -> u32 {
    2_010 + 100 * number
}

/// The kubelet of a node container.
pub(crate) const fn node_kubelet(number: u32) -> u32 {
    2_011 + 100 * number
}

fn id(number: u32) -> String {
    format!("{number:064x}")
}

/// A Prow node with one Docker-in-Docker pod and `nodes` node containers in it, among `others` other processes.
pub(crate) fn prow_node(proc: &FakeProc, nodes: u32, others: u32) {
    const PRIVATE: &str = "/var/run/docker/containerd/containerd.sock";
    let add = |pid, parent, comm, argv: &[&str], cgroup: &str, depth| {
        proc.add(&Fake { pid, parent, comm, argv, cgroup, depth });
    };
    add(1, 0, "systemd", &["/sbin/init"], "/", 1);
    add(HOST_CONTAINERD, 1, "containerd", &["/usr/bin/containerd"], "/system.slice/containerd.service", 1);
    let kubelet = ["/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml"];
    add(HOST_KUBELET, 1, "kubelet", &kubelet, "/system.slice/kubelet.service", 1);
    let pod = format!("/kubepods/burstable/pod1/{}", id(1));
    let shim = [
        "/usr/bin/containerd-shim-runc-v2",
        "-namespace",
        "k8s.io",
        "-id",
        &id(9),
        "-address",
        "/run/containerd/containerd.sock",
    ];
    add(990, 1, "containerd-shim", &shim, "/", 1);
    add(1_000, 990, "bash", &["bash", "/runner.sh"], &pod, 2);
    add(DOCKERD, 1_000, "dockerd", &["dockerd", "-H", "unix:///var/run/docker.sock"], &pod, 2);
    let private = ["containerd", "--config", "/var/run/docker/containerd/containerd.toml"];
    add(DOCKERS_CONTAINERD, DOCKERD, "containerd", &private, &pod, 2);
    for number in 0..nodes {
        let base = 2_000 + 100 * number;
        let container = id(10 + number);
        let inner = format!("{pod}/docker/{container}");
        let shim = ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", &container, "-address", PRIVATE];
        add(base, DOCKERS_CONTAINERD, "containerd-shim", &shim, &pod, 2);
        add(base + 1, base, "systemd", &["/sbin/init"], &inner, 3);
        add(node_containerd(number), base + 1, "containerd", &["/usr/local/bin/containerd"], &inner, 3);
        let kubelet = ["/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml"];
        add(node_kubelet(number), base + 1, "kubelet", &kubelet, &inner, 3);
    }
    for number in 0..others {
        let pid = 10_000 + number;
        let comm = ["sleep", "bash", "containerd-shim", "kube-proxy", "go"][usize::try_from(number % 5).unwrap()];
        add(pid, 1, comm, &[comm, "--flag"], "/", 1);
    }
}
