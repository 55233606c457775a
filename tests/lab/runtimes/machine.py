"""A small machine like a cell of the truth test, with another runtime and without a kubelet that acts."""

import json
import pathlib
import subprocess
from dataclasses import dataclass

from nested import cri, kubelet, settings, trees
from nested.machine import children, wait_until
from truth.cell import Cell, INIT, RECORDINGS, make_cgroup

STARTED_THERE = "/usr/local/bin/containerd --config /etc/containerd/config.toml &"
assert STARTED_THERE in INIT
SOCKET = "/run/elsewhere/runtime.sock"
REGISTRY_PORT = 5000


@dataclass(eq=False)
class Machine(Cell):
    """`tree` is laid over that of a node; `files` are its settings."""

    tree: pathlib.Path = None
    command: tuple = ()
    files: dict = None

    @property
    def socket(self):
        """The CRI socket of its runtime."""
        return self.root(SOCKET)

    def start(self):
        """The machine with its runtime and an imitated kubelet."""
        self.folder.mkdir(parents=True)
        etc = self.folder / "etc"
        trees.write_etc(etc)
        for name, text in self.files.items():
            trees.write(etc / name, text)
        written = kubelet.config(settings.HOST_POLICY, f"/{self.cgroup}").replace(settings.CONTAINERD_SOCKET, SOCKET)
        trees.write(etc / "kubernetes/kubelet.yaml", written)
        make_cgroup(self.name)
        RECORDINGS.mkdir(exist_ok=True)
        self.recording.unlink(missing_ok=True)
        init = INIT.replace(STARTED_THERE, f"{' '.join(self.command)} & /run/kubelet --config=/etc/kubernetes/kubelet.yaml &").replace(
            "mount --make-rshared /", "mount --make-rshared /; cp /etc/kubelet-imitation /run/kubelet; mkdir -p /var/tmp")
        trees.write(etc / "kubelet-imitation", "")
        (etc / "kubelet-imitation").write_bytes(settings.IMITATION.read_bytes())
        (etc / "kubelet-imitation").chmod(0o755)
        self.spawn("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "slave",
                   "sh", "-c", init, "cell", self.disk.loop, self.folder, f"{self.tree}:{trees.NODE}", self.name, log="runtime.log")
        unshare = self.keepers[-1].pid
        log = self.folder / "runtime.log"
        self.init = wait_until(f"process 1 of {self.name}", lambda: (children(unshare, "sh") or [0])[0], log, unshare)
        wait_until(f"runtime of {self.name}", lambda: cri.call(self.socket, "Version"), log, unshare)

    def says(self, *words):
        """What highwater answers of this machine, as JSON whatever its exit code."""
        done = subprocess.run([self.program, *words, "-o", "json", f"--path.procfs={self.root('/proc')}", f"--path.rootfs={self.root('/')}"],
                              stdout=subprocess.PIPE, check=False)
        return json.loads(done.stdout)

    def cri(self, method, request=None):
        """A call of its CRI."""
        return cri.call(self.socket, method, request)

    def run_pod(self, name, image, volume=None, start=True):
        """A pod with a container of that image, on the machine's own network."""
        made = kubelet.pod(name, "default", f"uid-{name}", "main", image, ["/bin/sleep", "1000000000"])
        # CRI-O leaves that to the kubelet.
        self.root(f"/var/log/pods/default_{name}_uid-{name}/main").mkdir(parents=True)
        cri.run_pod(self.socket, f"/{self.cgroup}", made, volume, start)
