"""One small machine: a containerd and a kubelet on a disk of their own, in namespaces of their own, watched by the agent.

Process 1 of its pid namespace keeps all of it alive; when that ends the kernel ends the rest, and with it go the mounts.
"""

import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field

from nested import archive, cri, kubelet, settings, trees
from nested.machine import (CGROUPS, GIVEN_UP, LabError, cgroup_folders, cgroup_processes, cgroup_version, children, kill, loops_of,
                            remove_cgroups, run, start_time, wait_until)

CELLS = settings.LAB_DIR / "cells"
RECORDINGS = settings.LAB_DIR / "recordings"
CTR = trees.HOST / "usr/bin/ctr"
BLOCK = 4096
DISK_MIB = 512

# $1 loop device, $2 the cell's folder, $3 file tree of a node, $4 the cell's name.
# The machine gets a root of its own: the tree of a node, with what is written above it kept in memory. Several cells may
# share a disk; a kubelet finds a disk by the first mount of it.
INIT = """\
set -eu
mkdir -p "$2/root"
mount --no-mtab -t tmpfs -o mode=755 cell "$2/root"
mkdir "$2/root/upper" "$2/root/work" "$2/root/new"
mount --no-mtab -t overlay -o "lowerdir=$3,upperdir=$2/root/upper,workdir=$2/root/work" cell "$2/root/new"
cd "$2/root/new"
mkdir -p disk old var/lib var/log
mount --no-mtab -t ext4 "$1" disk
mkdir -p "disk/$4/lib/containerd" "disk/$4/lib/kubelet" "disk/$4/log/pods"
mount --no-mtab --bind "disk/$4/lib" var/lib
mount --no-mtab --bind "disk/$4/log" var/log
mount --no-mtab --bind "$2/etc" etc
mount --no-mtab --rbind /dev dev
mount --no-mtab --rbind /sys sys
mount --no-mtab -t proc proc proc
mount --no-mtab -t tmpfs -o mode=755 run run
mount --no-mtab -t tmpfs tmp tmp
ip link set lo up
ip link add cell0 type veth peer name cell1
ip address add 192.0.2.100/24 dev cell0
ip link set cell0 up
ip link set cell1 up
ip route add default dev cell0
pivot_root . old
exec /usr/bin/chroot . /bin/sh -euc '
  umount -l /old
  mount --make-rshared /
  mkdir -p /run/containerd /run/kubelet-folder /run/lock
  . /usr/local/lib/shield.sh
  shield /run/tunables
  /usr/local/bin/containerd --config /etc/containerd/config.toml &
  while :; do sleep 3600 & wait $!; done'
"""

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    """In a child before it becomes another program: it ends when the thread that made it does."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True)
class Listed:
    """An image as the runtime lists it."""

    name: str
    size: int
    pinned: bool


@dataclass
class Disk:
    """A loop device with ext4, for one cell or several."""

    name: str
    loop: str = ""

    def make(self):
        """Make it; sparse, so that it takes what is written."""
        file = CELLS / f"{self.name}.img"
        with open(file, "wb") as handle:
            handle.truncate(DISK_MIB << 20)
        # Without lazy initialisation nothing but the cell changes the disk later on.
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", file)
        self.loop = run("losetup", "--find", "--show", file).strip()

    def file(self):
        """The file behind it."""
        return CELLS / f"{self.name}.img"


@dataclass(eq=False)
class Cell:
    """A machine of its own; `config` is what its kubelet's settings say beside what the lab needs, None: flags only."""

    name: str
    disk: Disk
    program: pathlib.Path
    config: dict | None = field(default_factory=dict)
    flags: tuple = ()
    init: int = 0
    kubelet: int = 0
    agent: object = None
    keepers: list = field(default_factory=list)

    # ------------------------------------------------------------ the machine

    @property
    def folder(self):
        """Its folder on the machine."""
        return CELLS / self.name

    @property
    def cgroup(self):
        """The cgroup below which its pods are."""
        return f"{settings.CGROUP}/{self.name}"

    @property
    def recording(self):
        """What the agent has written."""
        return RECORDINGS / f"{self.name}.jsonl"

    @property
    def log(self):
        """The kubelet's log, of all its starts."""
        return self.folder / "kubelet.log"

    def root(self, path):
        """A path of the cell, as the machine can reach it."""
        return pathlib.Path(f"/proc/{self.init}/root{path}")

    @property
    def socket(self):
        """The CRI socket of its containerd."""
        return self.root(settings.CONTAINERD_SOCKET)

    def start(self):
        """The machine with its containerd and the pause image; no kubelet yet."""
        self.folder.mkdir(parents=True)
        etc = self.folder / "etc"
        trees.write_etc(etc)
        trees.write(etc / "machine-id", uuid.uuid4().hex + "\n")
        # kind discards blobs that are unpacked; a host keeps them, as here.
        config = (etc / "containerd/config.toml").read_text().replace("discard_unpacked_layers = true", "discard_unpacked_layers = false")
        trees.write(etc / "containerd/config.toml", config)
        make_cgroup(self.name)
        RECORDINGS.mkdir(exist_ok=True)
        self.recording.unlink(missing_ok=True)
        self.spawn("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "slave",
                   "sh", "-c", INIT, "cell", self.disk.loop, self.folder, trees.NODE, self.name, log="containerd.log")
        unshare = self.keepers[-1].pid
        self.init = wait_until(f"process 1 of {self.name}", lambda: (children(unshare, "sh") or [0])[0], self.folder / "containerd.log", unshare)
        wait_until(f"containerd of {self.name}", lambda: cri.call(self.socket, "Version"), self.folder / "containerd.log", unshare)
        self.load([settings.Image(settings.PAUSE, 1)])
        self.pin(settings.PAUSE)

    def spawn(self, *command, log):
        """Start a process that ends with this program, and write what it says into the cell's folder."""
        environment = os.environ | {
            "PATH": f"{trees.HOST}/usr/bin:{trees.HOST}/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        with open(self.folder / log, "ab") as out:
            started = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env=environment, start_new_session=True, cwd="/", preexec_fn=end_with_parent)
        self.keepers.append(started)
        return started

    def inside(self, *command, log):
        """Start a program in the cell; its pid there is not told, its pid here is."""
        # A kubelet removes files beside it when it cleans up a container without a log path: its folder is empty.
        entering = self.spawn("nsenter", "--target", self.init, "--mount", "--net", "--pid", "--root", "/bin/sh", "-c",
                              'cd /run/kubelet-folder && exec "$@"', "sh", *command, log=log)
        name = pathlib.Path(command[0]).name
        return wait_until(f"{name} of {self.name}", lambda: (children(entering.pid, name) or [0])[0], self.folder / log, entering.pid)

    def end(self):
        """Everything of it; the mounts go with the last process."""
        if self.agent:
            # Politely, so that the last line of its recording is whole.
            self.agent.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.agent.wait(10)
        if self.init:
            kill([self.init])
        for keeper in self.keepers:
            keeper.kill()
        for keeper in self.keepers:
            keeper.wait()

    # ------------------------------------------------------------ the agent

    def watch(self):
        """Start the agent, as an operator would, with its default intervals. It is told that this cell is its machine."""
        self.agent = self.spawn(self.program, "run", f"--recording={self.recording}", f"--path.procfs={self.root('/proc')}",
                   f"--path.rootfs={self.root('/')}", "--web.listen-address=127.0.0.1:0", log="highwater.log")
        wait_until(f"recording of {self.name}", self.recording.exists, self.folder / "highwater.log")

    def explain(self, at):
        """What the agent would have said at that time."""
        told = run(self.program, "explain", "--recording", self.recording, "--at", stamp(at), "-o", "json")
        return json.loads(told)["layers"][0]

    # ------------------------------------------------------------ the kubelet

    def start_kubelet(self):
        """Start it and return when it says so."""
        words = ["--hostname-override=" + self.name, "--node-ip=192.0.2.100", "--v=2", "--vmodule=eviction_manager=3", *self.flags]
        if self.config is None:
            words += [
                f"--container-runtime-endpoint=unix://{settings.CONTAINERD_SOCKET}", "--cgroup-driver=cgroupfs",
                f"--cgroup-root=/{self.cgroup}", *(["--fail-cgroupv1=false"] if settings.MINOR >= 31 else []), "--fail-swap-on=false", "--oom-score-adj=0", "--resolv-conf=",
                "--make-iptables-util-chains=false", "--pod-manifest-path=/etc/kubernetes/manifests", "--anonymous-auth=true",
                "--authorization-mode=AlwaysAllow", f"--volume-plugin-dir={settings.KUBELET_ROOT}/volume-plugins"]
        else:
            written = kubelet.config(settings.HOST_POLICY, f"/{self.cgroup}")
            # Settings of the scenario take the place of those that the lab writes.
            kept = [line for line in written.splitlines() if line.partition(":")[0] not in self.config]
            trees.write(self.root(settings.KUBELET_CONFIG), "\n".join(kept) + "\n" + (kubelet.yaml(self.config) + "\n" if self.config else ""))
            words.append(f"--config={settings.KUBELET_CONFIG}")
        self.kubelet = self.inside("/usr/bin/kubelet", *words, log="kubelet.log")
        self.started = start_time(self.kubelet)
        wait_until(f"kubelet of {self.name}", lambda: self.passes(self.started), self.log, self.kubelet)

    def stop_kubelet(self):
        """End it; its pods stay."""
        kill([self.kubelet], signal.SIGTERM)
        wait_until(f"end of the kubelet of {self.name}", lambda: not pathlib.Path(f"/proc/{self.kubelet}/stat").exists() or
                   pathlib.Path(f"/proc/{self.kubelet}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        self.kubelet = 0

    def tick(self, number):
        """When image collection is due for that time after the start."""
        return self.started + 0.3 + 300.01 * number

    def passes(self, since):
        """The times of its eviction passes."""
        return [at for at, text in self.logged(since) if "synchronize housekeeping" in text]

    def removed(self, since):
        """What it says that it has deleted: time and id."""
        found = []
        for at, text in self.logged(since):
            if "Removing image to free bytes" in text:
                found.append((at, re.search(r'imageID="([^"]+)"', text)[1]))
        return found

    def logged(self, since):
        """Its log since then: time and text."""
        lines = []
        for line in self.log.read_text(errors="replace").splitlines():
            if matched := LOG_LINE.match(line):
                at = moment(matched[1])
                if at >= since:
                    lines.append((at, line))
        return lines

    # ------------------------------------------------------------ pods

    def pod(self, name, *containers, init=None, ends=False):
        """A static pod with a container for each image; `init`: the image of an init container that never ends."""
        made = kubelet.pod(name, "default", str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{name}")), "main", "", [])
        pattern = made["spec"]["containers"][0]
        command = ["/bin/sh", "-c", "exit 0"] if ends else ["/bin/sleep", "1000000000"]
        made["spec"]["containers"] = [
            pattern | {"name": f"c{number}", "image": image, "command": command} for number, image in enumerate(containers)]
        made["spec"]["restartPolicy"] = "Never" if ends or init else "Always"
        if init:
            made["spec"]["initContainers"] = [pattern | {"name": "init", "image": init, "command": ["/bin/sleep", "1000000000"]}]
        trees.write(self.root(f"/etc/kubernetes/manifests/{name}.yaml"), kubelet.yaml(made) + "\n")
        wanted = {init} if init else set(containers)
        state = EXITED if ends else cri.RUNNING
        wait_until(f"pod {name} of {self.name}", lambda: wanted <= self.used(state), self.log, self.kubelet)

    def used(self, state):
        """The images of containers in that state, by name."""
        names = {image: listed.name for image, listed in self.images().items()}
        containers = cri.call(self.socket, "ListContainers").get("containers", [])
        return {names.get(one.get("image_ref")) for one in containers if one.get("state", 0) == state}

    def remove_pod(self, name, *images):
        """Take the manifest away, and wait until no container of it is left."""
        self.root(f"/etc/kubernetes/manifests/{name}.yaml").unlink()
        wait_until(f"end of pod {name} of {self.name}", lambda: not set(images) & (self.used(cri.RUNNING) | self.used(EXITED)), self.log)

    # ------------------------------------------------------------ images and disk

    def load(self, images):
        """Import images from the cache."""
        for image in images:
            run(CTR, "--address", self.socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs", archived(image))

    def pin(self, name):
        """Pin an image, as kind does with those in its node images."""
        run(CTR, "--address", self.socket, "--namespace", "k8s.io", "images", "label", name, "io.cri-containerd.pinned=pinned")

    def images(self):
        """What the runtime lists: id to image."""
        told = cri.call(self.socket, "ListImages").get("images", [])
        return {one["id"]: Listed((one.get("repo_tags") or [one["id"]])[0], one.get("size", 0), one.get("pinned", False)) for one in told}

    def space(self):
        """Capacity and available bytes of its disk."""
        told = os.statvfs(self.root("/var/lib/containerd"))
        return told.f_frsize * told.f_blocks, told.f_frsize * told.f_bavail

    def leave(self, available):
        """Take or give back space until exactly so many bytes, in whole blocks, are available."""
        path = self.root("/var/lib/highwater-truth.fill")
        with open(path, "ab") as file:
            size = os.fstat(file.fileno()).st_size
            # The map of a large file takes a block or two itself, so that it needs a second look.
            for _ in range(6):
                too_much = (self.space()[1] - available) // BLOCK * BLOCK
                if too_much == 0:
                    break
                if size + too_much < 0:
                    raise LabError(f"{self.name}: {self.space()[1]} bytes available, {available} wanted, and nothing to give back")
                if too_much > 0:
                    os.posix_fallocate(file.fileno(), size, too_much)
                else:
                    os.ftruncate(file.fileno(), size + too_much)
                size += too_much

    def leave_percent(self, percent):
        """The same, in per cent of the capacity."""
        self.leave(int(self.space()[0] * percent / 100))

    def relieve(self):
        """Give all of the filling back."""
        self.root("/var/lib/highwater-truth.fill").unlink(missing_ok=True)


LOG_LINE = re.compile(r"[IWEF](\d{4} \d\d:\d\d:\d\d\.\d{6})")
EXITED = 2
ARCHIVES = settings.CACHE / "images-truth"
ONE_AT_A_TIME = threading.Lock()


def moment(text):
    """Seconds since the epoch of the head of a log line, which has no year. Cells have no time zone."""
    year = datetime.datetime.now(datetime.timezone.utc).year
    return datetime.datetime.strptime(f"{year}{text}+0000", "%Y%m%d %H:%M:%S.%f%z").timestamp()


def stamp(at):
    """Seconds since the epoch as the command line takes them."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def archived(image):
    """An archive with that image, made once."""
    path = ARCHIVES / f"{image.name.replace('/', '_').replace(':', '_')}-{image.mib}.tar"
    with ONE_AT_A_TIME:
        if not path.exists():
            ARCHIVES.mkdir(parents=True, exist_ok=True)
            layer = archive.small_layer(image)
            fresh = path.with_suffix(".new")
            archive.write(fresh, [(image.name, layer)])
            layer.unlink()
            fresh.rename(path)
    return path


def make_cgroup(name):
    """A cgroup of its own below the lab's: in a common one each kubelet would take the pods of the others for orphans."""
    for top in [CGROUPS / settings.CGROUP] if cgroup_version() == 2 else [
            folder / settings.CGROUP for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]:
        if cgroup_version() == 2:
            for controller in (top / "cgroup.controllers").read_text().split():
                (top / "cgroup.subtree_control").write_text(f"+{controller}")
        (top / name).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if cgroup_version() == 1 and (top / file).exists():
                (top / name / file).write_text((top / file).read_text())


def clear():
    """Whatever of an earlier run, or of this one, is left: processes, loop devices, cgroups, files. Logs are kept for a failure."""
    kill(cgroup_processes())
    end = time.monotonic() + 30
    while loops := [loop for file in CELLS.glob("*.img") for loop in loops_of(file)]:
        for loop in loops:
            try:
                run("losetup", "--detach", loop)
            except LabError:
                pass
        if time.monotonic() > end:
            raise LabError(f"still in use: {', '.join(loops)}")
        time.sleep(0.1)
    while any(folder.exists() for folder in cgroup_folders()):
        remove_cgroups([])
        if time.monotonic() > end:
            raise LabError("cgroups that do not go")
    logs = settings.LAB_DIR / "logs"
    if CELLS.exists():
        shutil.rmtree(logs, ignore_errors=True)
        for log in CELLS.glob("*/*.log"):
            (logs / log.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.move(log, logs / log.parent.name)
        shutil.rmtree(CELLS)


def pause(seconds):
    """Wait, unless the others have given up."""
    if GIVEN_UP.wait(max(0, seconds)):
        raise LabError("given up")


def pause_until(at):
    """Wait until that time."""
    pause(at - time.time())
