"""The lab tested by itself: is what facts.json says so, does what the verbs do happen, is nothing left behind?"""

import json
import os
import pathlib
import re

from . import cri, down, facts, load, observe, settings, up
from .machine import PROC, LabError, cgroup_folders, is_running, loops_of, marked, mounts_below, read_proc, run, say, start_ticks

TUNABLES = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
            "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes")


def machine():
    """What the lab must leave as it was, as far as it can be told from what others do on the machine meanwhile."""
    return {
        "mounts": mounts_below(settings.LAB_DIR),
        "loop devices": loops_of(settings.DISK_FILE),
        "cgroups": [str(folder) for folder in cgroup_folders() if folder.exists()],
        "processes": marked(),
        "files": sorted(os.listdir(settings.LAB_DIR)),
        "kernel tunables": {name: (PROC / "sys" / name).read_text() for name in TUNABLES if (PROC / "sys" / name).exists()},
    }


def expect(what, found, wanted):
    """One statement of the test."""
    if found != wanted:
        raise LabError(f"selftest: {what}: found {found!r}, expected {wanted!r}")
    say(f"  as expected: {what}")


def selftest(bring_up):
    """Up, every check, down; then a failure in the middle of `up`. `bring_up` is the whole verb, with its tidying."""
    if observe.process("containerd"):
        raise LabError(f"the lab is up in {settings.LAB_DIR}, perhaps for somebody else (`lab down` first, or another LAB_DIR)")
    down.down()
    settings.LOGS.mkdir(exist_ok=True)  # stays, for whoever wants to know why something failed
    before = machine()
    bring_up()
    try:
        layers_are_as_told()
        verbs_do_what_they_say()
    finally:
        down.down()
    expect("the machine after down is the machine before up", machine(), before)
    fails_cleanly(bring_up)
    expect("the machine after a failed up is the machine before it", machine(), before)


def layers_are_as_told():
    """Compare the facts file with the processes, folders and kubelets themselves."""
    told = json.loads(settings.FACTS.read_text())
    expect("layers", [layer["name"] for layer in told["layers"]], ["host", "dind", *(node.name for node in settings.NODES)])
    for layer in told["layers"]:
        name, pid = layer["name"], layer["runtime"]["pid"]
        depth = len(re.search(rb"^NSpid:\s+(.*)$", read_proc(pid, "status"), re.M)[1].split())
        expect(f"{name}: pid namespaces of the runtime", depth, {"host": 1, "dind": 2}.get(name, 3))
        expect(f"{name}: start of the runtime", start_ticks(pid), layer["runtime"]["start_ticks"])
        for what in ("image_store", "runtime_root", "kubelet_root"):
            if layer[what]:
                inside = os.stat(f"/proc/{pid}/root{layer[what]['in_layer']}")
                outside = os.stat(layer[what]["on_machine"])
                expect(f"{name}: {what} is one folder from inside and outside", (inside.st_dev, inside.st_ino), (outside.st_dev, outside.st_ino))
                expect(f"{name}: {what} is on the lab's disk", inside.st_dev, told["disk"]["st_dev"])
        if layer["kind"] != "dind":
            mountpoint = cri.call(observe.socket(pid), "ImageFsInfo")["image_filesystems"][0]["fs_id"]["mountpoint"]
            expect(f"{name}: image store as its runtime says", mountpoint, layer["image_store"]["in_layer"])
        if layer["kubelet"]:
            kubelet_is_as_told(layer, told["kubelets"])


def kubelet_is_as_told(layer, kind):
    """Compare a kubelet's own words about its settings with the facts; an imitation has none."""
    name, pid = layer["name"], layer["kubelet"]["pid"]
    expect(f"{name}: name of the kubelet's process", read_proc(pid, "comm"), b"kubelet\n")
    expect(f"{name}: files in the kubelet's working directory", os.listdir(f"/proc/{pid}/cwd/"), [])
    if kind == "imitation":
        return
    words = run("nsenter", "--target", pid, "--net", "curl", "-sSk", "--max-time", "30", "--retry", "5", "--retry-connrefused",
                "https://127.0.0.1:10250/configz")
    effective = json.loads(words)["kubeletconfig"]
    policy = layer["policy"]
    expect(f"{name}: image GC thresholds in /configz",
           (effective["imageGCHighThresholdPercent"], effective["imageGCLowThresholdPercent"]),
           (policy["image_gc"]["high"], policy["image_gc"]["low"]))
    expect(f"{name}: hard eviction thresholds in /configz", effective["evictionHard"], policy["eviction_hard"]["thresholds"])


def verbs_do_what_they_say():
    """Write, fill, stop, start, restart."""
    for layer in ("host", "dind", "capd-old-worker"):
        path = pathlib.Path(load.write(layer, 3 << 20))
        expect(f"write {layer}: bytes on the disk", path.stat().st_blocks * 512, 3 << 20)
    before = os.statvfs(settings.DISK)
    path = load.fill("capd-new-worker", 1 << 30)
    after = os.statvfs(settings.DISK)
    taken = (before.f_bavail - after.f_bavail) * before.f_frsize
    expect("fill: bytes taken, to the nearest 64 MiB", round(taken / (64 << 20)), 16)
    load.unfill()
    expect("unfill removes the file", os.path.exists(path), False)

    name = "capd-old-worker"
    old = facts.of_layer(name)
    load.node_stop(name)
    told = facts.of_layer(name)
    expect("node-stop: runtime and kubelet in the facts", (told["running"], told["runtime"], told["kubelet"]), (False, None, None))
    expect("node-stop: containerd runs", is_running(old["runtime"]["pid"]), False)
    load.node_start(name)
    told = facts.of_layer(name)
    expect("node-start: runs, with the image store it had", (told["running"], told["image_store"]), (True, old["image_store"]))
    for one in ("host", name):
        old = facts.of_layer(one)["kubelet"]["pid"]
        load.kubelet_restart(one)
        expect(f"kubelet-restart {one}: another process", facts.of_layer(one)["kubelet"]["pid"] != old, True)


def fails_cleanly(bring_up):
    """A disk too small for the images makes `up` fail half-way; the message says on what."""
    whole, settings.DISK_MIB = settings.DISK_MIB, 700
    try:
        bring_up()
    except LabError as error:
        if "no space left on device" not in str(error):
            raise LabError(f"selftest: up on a disk that is too small does not name the reason:\n{error}") from error
        say("  as expected: up on a disk that is too small fails and says why")
    else:
        raise LabError("selftest: up on a disk of 700 MiB did not fail")
    finally:
        settings.DISK_MIB = whole
        up.GIVEN_UP.clear()
