"""What the lab consists of and where it lives: names, paths, knobs. No behaviour."""

import hashlib
import os
import pathlib
import re
import sys
from dataclasses import dataclass, field


def number(name, default):
    """A whole number from the environment; ends the program, with the reason, when it is none."""
    word = os.environ.get(name) or default
    if not word.isdecimal() or int(word) == 0:
        sys.exit(f"lab: {name}={word}: must be a whole number above 0")
    return int(word)


LAB_DIR = pathlib.Path(os.environ.get("LAB_DIR") or "/var/tmp/highwater-lab").absolute()
CACHE = pathlib.Path(
    os.environ.get("LAB_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "highwater-lab"
).absolute()
DISK_MIB = number("LAB_DISK_MIB", "6144")
# auto: real ones where Go or a cached binary is there, else imitations; real: fail without; imitation: never real.
KUBELETS = os.environ.get("LAB_KUBELETS") or "auto"
if KUBELETS not in ("auto", "real", "imitation"):
    sys.exit(f"lab: LAB_KUBELETS={KUBELETS}: must be auto, real or imitation")
# Seconds that any one wait may last. Polling is fast, so a quiet machine never sees this number.
PATIENCE = number("LAB_PATIENCE", "180")

# The release of the kubelets. The truth test plays with several; the rest of the lab is made for the first one here.
KUBERNETES = os.environ.get("LAB_KUBERNETES") or "v1.37.2"
if not re.fullmatch(r"v1\.\d+\.\d+", KUBERNETES):
    sys.exit(f"lab: LAB_KUBERNETES={KUBERNETES}: must be a release such as v1.33.13")
MINOR = int(KUBERNETES.split(".")[1])
# Put behind names of what is made for another release than the usual one.
OTHER_RELEASE = "" if KUBERNETES == "v1.37.2" else f"-{KUBERNETES}"
KUBELET = CACHE / f"kubelet-{KUBERNETES}" / "kubelet"
IMITATION = CACHE / "imitation" / "kubelet"

# On the machine.
DISK_FILE = LAB_DIR / "disk.img"
DISK = LAB_DIR / "disk"
HOST = LAB_DIR / "host"
LOGS = LAB_DIR / "logs"
STATE = LAB_DIR / "state.json"
FACTS = LAB_DIR / "facts.json"
# Carried in the environment of every process of layer 1, so that `down` finds them by what they are and not by name.
MARKER = "_HIGHWATER_LAB_PROCESS_OF"
CGROUP = "highwater-lab-" + hashlib.sha256(str(LAB_DIR).encode()).hexdigest()[:8]

# Layer 1 and 2. A static pod's name gets its node's name behind it.
HOST_NODE = "prow-host"
HOST_ADDRESS = "192.0.2.100"
POD_NAMESPACE = "test-pods"
POD_MANIFEST_NAME = "ci-e2e-capi"
POD_NAME = f"{POD_MANIFEST_NAME}-{HOST_NODE}"
POD_UID = "5d0c7c1e-8d0f-4d0a-9c57-6b1f6a4f2d10"
POD_CONTAINER = "test"
POD_LABELS = {"created-by-prow": "true", "prow.k8s.io/job": "periodic-e2e-capi", "prow.k8s.io/build-id": "1960000000000000000"}
GRAPH = "/docker-graph"
GRAPH_VOLUME = f"/var/lib/kubelet/pods/{POD_UID}/volumes/kubernetes.io~empty-dir/docker-graph"

# Inside every layer with containerd: the ordinary places.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CONTAINERD_ROOT = "/var/lib/containerd"
SNAPSHOTS = f"{CONTAINERD_ROOT}/io.containerd.snapshotter.v1.overlayfs"
KUBELET_ROOT = "/var/lib/kubelet"
KUBELET_CONFIG = f"{KUBELET_ROOT}/config.yaml"
KUBELET_HEALTH = 10248

DEFAULT_EVICTION = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
NO_EVICTION = {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"}


@dataclass(frozen=True)
class Image:
    """A preloaded image made by hand: random bytes beside busybox."""

    name: str
    mib: int
    pinned: bool = False


@dataclass(frozen=True)
class Policy:
    """The truth about a layer's kubelet settings, and the form in which they are given to it."""

    high: int = 85
    low: int = 80
    high_origin: str = "default"
    eviction: dict = field(default_factory=lambda: DEFAULT_EVICTION)
    eviction_origin: str = "default"


@dataclass(frozen=True)
class Node:
    """A node container in the Docker of layer 2."""

    name: str
    kind: str
    cluster: str
    role: str
    policy: Policy
    # Files that the tool that made the node leaves behind. Those below /run are gone after a restart of the
    # container, on a real node too, because /run is a tmpfs.
    traces: tuple = ()


PAUSE = "images.example.test/pause:3.10"
NODE_IMAGE = f"kindest/node:{KUBERNETES}"
TEST_IMAGE = "images.example.test/k8s-testimages/kubekins-e2e:lab"
HOST_IMAGES = (Image("images.example.test/ci/yesterdays-job:v1", 40),)
# The names without a pin are those that no registry has: `:dev`, as an end-to-end run builds and loads them.
NODE_IMAGES = (
    Image(PAUSE, 1, pinned=True),
    Image(f"images.example.test/kube-apiserver:{KUBERNETES}", 24, pinned=True),
    Image("images.example.test/coredns/coredns:v1.12.0", 12, pinned=True),
    Image("images.example.test/cluster-api/cluster-api-controller-amd64:dev", 32),
    Image("images.example.test/cluster-api/capd-manager-amd64:dev", 20),
    Image("images.example.test/cert-manager/cert-manager-webhook:v1.18.0", 12),
)
# Static pods of every node: name and image.
NODE_PODS = (
    ("kube-apiserver", f"images.example.test/kube-apiserver:{KUBERNETES}"),
    ("cert-manager-webhook", "images.example.test/cert-manager/cert-manager-webhook:v1.18.0"),
)

CAPD_TRACES = ("/run/kubeadm/kubeadm.yaml", "/run/cluster-api/bootstrap-success.complete")
NODES = (
    Node(
        "kind-control-plane",
        "kind_node",
        "kind",
        "control-plane",
        Policy(high=100, high_origin="file", eviction=NO_EVICTION, eviction_origin="file"),
        ("/kind/kubeadm.conf",),
    ),
    Node(
        "capd-old-worker",
        "capd_node",
        "capi-quickstart",
        "worker",
        Policy(eviction=NO_EVICTION, eviction_origin="flag"),
        CAPD_TRACES,
    ),
    Node(
        "capd-new-worker",
        "capd_node",
        "capi-quickstart",
        "worker",
        Policy(high=100, high_origin="flag", eviction=NO_EVICTION, eviction_origin="flag"),
        CAPD_TRACES,
    ),
)
HOST_POLICY = Policy()


def node(name):
    """The node of that name, or None."""
    return next((n for n in NODES if n.name == name), None)
