"""File trees put together from unpacked packages: programs of layer 1, root of the test pod, root of a node."""

import pathlib
import shutil
import subprocess

from . import settings
from .kubelet_binary import binary, kind
from .machine import say
from .packages import PACKAGES, unpack

# Two sets, so that changing between real kubelets and imitations makes nothing anew.
TREES = settings.CACHE / f"trees-{kind()}{settings.OTHER_RELEASE}"
HOST = TREES / "host"
POD = TREES / "pod"
NODE = TREES / "node"

# A kubelet writes these for the whole machine. It finds files of its own there instead: `shield` is put in front of
# every kubelet, in a mount namespace that is not the machine's.
SHIELD = """\
shield() { # shield FOLDER: kernel tunables that a kubelet writes become files in FOLDER
  mkdir -p "$1"
  for entry in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \\
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    name=${entry%%=*} file=$1/$(echo "${entry%%=*}" | tr / .)
    [ -e "/proc/sys/$name" ] || continue
    echo "${entry##*=}" >"$file"
    mount --bind "$file" "/proc/sys/$name" || exit 1
  done
}
"""

# Process 1 of a node container does what systemd does there: mounts, containerd, and the kubelet once its command line exists.
NODE_INIT = """\
#!/bin/sh
trap 'exit 0' TERM INT
mount --make-rshared /
mkdir -p /run/containerd /run/kubelet-folder /var/log/pods /var/lib/kubelet
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  # Version 2: a group with processes of its own cannot hand out controllers.
  mkdir -p /sys/fs/cgroup/init
  for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo "$pid" >/sys/fs/cgroup/init/cgroup.procs; done 2>/dev/null
  for name in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$name" >/sys/fs/cgroup/cgroup.subtree_control; done
  mkdir -p /sys/fs/cgroup/kubelet
else
  for group in /sys/fs/cgroup/*/; do
    mkdir -p "$group/kubelet" 2>/dev/null || continue
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$group/$file" ] || cat "$group/$file" >"$group/kubelet/$file"
    done
  done
fi
. /usr/local/lib/shield.sh
shield /run/tunables
/usr/local/bin/containerd --config /etc/containerd/config.toml >>/var/log/containerd.log 2>&1 &
# A kubelet removes files beside it when it cleans up a container without a log path: its folder is empty.
cd /run/kubelet-folder
while :; do
  if [ -e /etc/kubernetes/kubelet.sh ] && [ -S /run/containerd/containerd.sock ]; then
    sh /etc/kubernetes/kubelet.sh >>/var/log/kubelet.log 2>&1 & wait $!
  fi
  sleep 0.2 & wait $!
done
"""

RUNNER = """\
#!/bin/sh
trap 'exit 0' TERM INT
mkdir -p /run/docker
parent=
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  # Version 2: the containers of Docker go below the cgroup of this container, which may then have no processes of its own.
  own=$(sed -n 's/^0:://p' /proc/self/cgroup)
  group=/sys/fs/cgroup$own
  mkdir -p "$group/runner"
  for pid in $(cat "$group/cgroup.procs"); do echo "$pid" >"$group/runner/cgroup.procs"; done 2>/dev/null
  for name in $(cat "$group/cgroup.controllers"); do echo "+$name" >"$group/cgroup.subtree_control"; done
  parent=--cgroup-parent=$own/docker
fi
# Bridges and addresses are made, packet filters are not: nothing here talks to the outside.
dockerd --data-root=/docker-graph --host=unix:///var/run/docker.sock --exec-opt=native.cgroupdriver=cgroupfs \\
  --iptables=false --ip6tables=false --userland-proxy=false $parent >/var/log/dockerd.log 2>&1 &
while :; do sleep 3600 & wait $!; done
"""


# Settings of a containerd in its ordinary places.
CONTAINERD = f"""\
version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{settings.PAUSE}"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE no process may ask for a smaller OOM score than its parent's.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    discard_unpacked_layers = true
"""


def build():
    """Put the trees together; again only when something that goes into them has changed."""
    stamp = TREES / "complete"
    content = pathlib.Path(__file__).read_text() + repr((PACKAGES, settings.PAUSE, settings.KUBERNETES))
    if stamp.exists() and stamp.read_text() == content:
        return
    say("putting file trees together")
    shutil.rmtree(TREES, ignore_errors=True)
    HOST.mkdir(parents=True)
    unpack(HOST, "containerd", "runc")
    write(HOST / "usr/local/lib/shield.sh", SHIELD)

    skeleton(POD)
    unpack(POD, "containerd", "runc", "docker.io", "libc6", "libseccomp2", "libsystemd0", "libcap2")
    write_etc(POD / "etc")
    write(POD / "usr/local/bin/runner.sh", RUNNER, 0o755)

    skeleton(NODE)
    unpack(NODE, "containerd", "runc", "libc6", "libseccomp2")
    for program in ("containerd", "containerd-shim-runc-v2", "ctr"):  # where kind's node images have them
        (NODE / "usr/bin" / program).rename(NODE / "usr/local/bin" / program)
    write_etc(NODE / "etc")
    write(NODE / "usr/local/lib/shield.sh", SHIELD)
    (NODE / "usr/sbin/init").unlink(missing_ok=True)
    write(NODE / "usr/sbin/init", NODE_INIT, 0o755)
    write(NODE / "kind/version", settings.KUBERNETES + "\n")
    shutil.copy(binary(kind()), NODE / "usr/bin/kubelet")
    for tree in (HOST, POD, NODE):
        for program in ("containerd-shim", "containerd-shim-runc-v1", "containerd-stress"):
            (tree / "usr/bin" / program).unlink(missing_ok=True)
    stamp.write_text(content)


def skeleton(root):
    """An empty system with merged /usr and every tool of busybox."""
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/local/bin", "usr/local/lib", "proc",
                    "sys", "dev", "tmp", "run", "var/lib", "var/log", "root"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "var/run").symlink_to("/run")
    unpack(root, "busybox-static")
    busybox = root / "usr/bin/busybox"
    for tool in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split():
        if not (root / "usr/bin" / tool).exists():
            (root / "usr/bin" / tool).symlink_to("busybox")


def write_etc(folder):
    """The files that every layer needs in its /etc, in place of those of the packages."""
    write(folder / "passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write(folder / "group", "root:x:0:\ndocker:x:999:\n")
    write(folder / "hosts", "127.0.0.1 localhost\n")
    write(folder / "nsswitch.conf", "hosts: files\n")
    write(folder / "os-release", 'ID=debian\nNAME="Debian GNU/Linux"\nPRETTY_NAME="highwater lab"\n')
    write(folder / "resolv.conf", "")
    write(folder / "containerd/config.toml", CONTAINERD)
    for empty in ("cni/net.d", "kubernetes/manifests"):
        (folder / empty).mkdir(parents=True, exist_ok=True)


def write(path, text, mode=0o644):
    """Write a text file with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
