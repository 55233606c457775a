"""The runtimes, each with settings in unusual places, and what has to be true of both."""

import os
import signal
import sys
from dataclasses import dataclass

from nested import settings
from nested.machine import children, run, wait_until
from truth.cell import archived

from . import binaries
from .machine import Machine, REGISTRY_PORT

USED, PINNED, VOLUME, UNUSED = (f"runtimes/{name}:v1" for name in ("used", "pinned", "volume", "unused"))
NAMES = (settings.PAUSE.partition("/")[2], USED, PINNED, VOLUME, UNUSED)
MIB = 4

CONTAINERD = f"""\
version = 3
imports = ["conf.d/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{settings.PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
"""
STATS_PERIOD = 7
CONTAINERD_IMPORTED = f"""\
version = 3
root = "/var/lib/elsewhere"
[grpc]
  address = "/run/elsewhere/runtime.sock"
[plugins.'io.containerd.cri.v1.images']
  stats_collect_period = {STATS_PERIOD}
"""
CRIO = f"""\
[crio]
root = "/var/lib/elsewhere"
runroot = "/run/elsewhere/storage"
storage_driver = "overlay"
[crio.api]
listen = "/run/elsewhere/runtime.sock"
[crio.image]
pause_image = "127.0.0.1:{REGISTRY_PORT}/{NAMES[0]}"
[crio.runtime]
default_runtime = "runc"
cgroup_manager = "cgroupfs"
disable_hostport_mapping = true
[crio.runtime.runtimes.runc]
runtime_path = "/usr/sbin/runc"
monitor_path = "/usr/bin/conmon"
monitor_cgroup = "pod"
"""
CRIO_PINS = "crio/crio.conf.d/50-pinned-images.conf"


@dataclass(eq=False)
class Containerd(Machine):
    """containerd 2, whose images are imported."""

    kind, release, store = "containerd", binaries.CONTAINERD, "/var/lib/elsewhere/io.containerd.snapshotter.v1.overlayfs"
    tells_volumes = tells_freed = True

    def called(self, name):
        """What that image is called here."""
        return f"images.example.test/{name}"

    def load(self, names):
        """Bring the images in."""
        for name in names:
            self.ctr("import", archived(settings.Image(self.called(name), MIB)))

    def pin(self, name):
        """As `explain` says."""
        self.ctr("label", self.called(name), "io.cri-containerd.pinned=pinned")

    def volume(self, name):
        """What a kubelet calls an image that a container mounts: its id, as containerd answers to PullImage."""
        return next(image for image, one in self.images().items() if one.name == self.called(name))

    def ctr(self, *words):
        """containerd's own client."""
        run(self.tree / "usr/local/bin/ctr", "--address", self.socket, "--namespace", "k8s.io", "images", *words)


@dataclass(eq=False)
class Crio(Machine):
    """CRI-O, which pulls its images."""

    kind, release, store = "cri-o", binaries.CRIO.removeprefix("v"), "/var/lib/elsewhere/overlay-images"
    tells_volumes = tells_freed = False

    def called(self, name):
        """What that image is called here."""
        return f"127.0.0.1:{REGISTRY_PORT}/{name}"

    def load(self, names):
        """Bring the images in."""
        archives = [archived(settings.Image(f"images.example.test/{name}", MIB)) for name in names]
        self.spawn("nsenter", "--target", self.init, "--net", sys.executable, os.path.join(os.path.dirname(__file__), "registry.py"),
                   REGISTRY_PORT, *archives, log="registry.log")
        for name in names:
            wait_until(f"image {name}", lambda: self.cri("PullImage", {"image": {"image": self.called(name)}}), self.folder / "registry.log")

    def volume(self, name):
        """What a kubelet calls an image that a container mounts."""
        return self.called(name)

    def pin(self, name):
        """As `explain` says; a reload is enough."""
        (self.folder / "etc" / CRIO_PINS).write_text(f'[crio.image]\npinned_images = ["{self.called(name)}"]\n')
        os.kill(children(self.init, "crio")[0], signal.SIGHUP)
        wait_until("a pinned image", lambda: any(one.pinned for one in self.images().values() if one.name == self.called(name)))


def containerd(disk, program, tree):
    """A machine with containerd 2, its root and socket told by an imported file."""
    files = {"containerd/config.toml": CONTAINERD, "containerd/conf.d/50-elsewhere.toml": CONTAINERD_IMPORTED}
    return Containerd("containerd", disk, program, tree=tree, command=("/usr/local/bin/containerd",), files=files)


def crio(disk, program, tree):
    """A machine with CRI-O, its root and socket told by a drop-in."""
    files = {
        "crio/crio.conf.d/10-elsewhere.conf": CRIO,
        "containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
        "containers/registries.conf": f'[[registry]]\nlocation = "127.0.0.1:{REGISTRY_PORT}"\ninsecure = true\n',
    }
    return Crio("crio", disk, program, tree=tree, command=("/usr/local/bin/crio",), files=files)


ALL = {"containerd": containerd, "crio": crio}


def compare(machine):
    """What highwater says wrong of a machine, after everything was brought about of which it should know."""
    before = used(machine)
    machine.load(NAMES)
    machine.pin(PINNED)
    machine.run_pod("one", machine.called(USED), machine.volume(VOLUME))
    run("sync", "--file-system", machine.root("/var/lib/elsewhere"))
    grown = used(machine) - before
    layers = machine.says("check")["layers"]
    if len(layers) != 1:
        yield f"{len(layers)} layers"
        return
    [layer] = layers
    explained = machine.says("explain")["layers"][0]

    def differs(what, said, true):
        return [] if said == true else [f"{what}: highwater says {said!r}, true is {true!r}"]

    yield from differs("runtime", (layer["runtime"]["name"], layer["runtime"]["version"]), (machine.kind, machine.release))
    yield from differs("image store", layer["image_store"], machine.store)
    yield from differs("device", layer["device"], machine.disk.loop)
    held = layer["exclusive_bytes_by_component"].get("store", 0)
    if not 0.95 * grown <= held <= 1.05 * grown:
        yield f"its store holds {held} by highwater, the disk has grown by {grown}"
    listed = machine.images()
    yield from differs("images", {one["name"]: one["size_bytes"] for one in explained["images"]}, {one.name: one.size for one in listed.values()})
    states = {one["name"]: one["state"] for one in explained["images"]}
    yield from differs("pinned", {name for name, state in states.items() if state == "pinned"}, {one.name for one in listed.values() if one.pinned})
    yield from differs("what is pinned", {one.name for one in listed.values() if one.pinned}, {machine.called(NAMES[0]), machine.called(PINNED)})
    in_use = {machine.called(USED)} | ({machine.called(VOLUME)} if machine.tells_volumes else set())
    yield from differs("in use", {name for name, state in states.items() if state == "in_use"}, in_use)
    yield from differs("image volumes known", explained["image_volumes_known"], machine.tells_volumes)
    collection = [one for one in explained["triggers"] if one["trigger"] == "image_gc"]
    if not collection:
        yield "nothing is said of what would be deleted"
        return
    freed = collection[0]["freed_bytes"]
    if not machine.tells_freed:
        yield from differs("bytes that deletion frees", freed, None)
        return
    # The only image that may go.
    before = used(machine)
    # By its id, too, which the CRI has for a second name.
    machine.ctr("rm", "--sync", machine.called(UNUSED), machine.volume(UNUSED))
    run("sync", "--file-system", machine.root("/var/lib/elsewhere"))
    really = before - used(machine)
    if not 0.98 * really <= freed["most"] <= 1.02 * really:
        yield f"{UNUSED}: highwater said that it frees {freed['most']} at most, it has freed {really}"
    machine.watch()
    period = f'"stats_period":{STATS_PERIOD}'
    wait_until(f"{period} in a recording", lambda: period in machine.recording.read_text().replace(" ", ""), machine.folder / "highwater.log")


def used(machine):
    """Bytes in use on its disk."""
    told = os.statvfs(machine.root("/disk"))
    return told.f_frsize * (told.f_blocks - told.f_bfree)
