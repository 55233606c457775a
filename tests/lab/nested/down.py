"""Takes the lab away: whatever of it is there, after a whole `up`, half of one or none."""

import shutil
import signal
import time

from . import observe, settings
from .machine import (LabError, cgroup_processes, holders, is_running, kill, loops_of, marked, mounts_below, remove_cgroups, run)

LIMIT = 60.0


def down():
    """Processes, mounts, loop device, cgroups, files; raises LabError naming what would not go."""
    switched = observe.read_state().get("switched", [])
    end = time.monotonic() + LIMIT
    processes(end)
    mounts(end)
    remove_cgroups(switched)
    for file in (settings.DISK_FILE, settings.FACTS, settings.STATE, settings.STATE.with_suffix(".new")):
        file.unlink(missing_ok=True)
    shutil.rmtree(settings.HOST, ignore_errors=True)
    if settings.DISK.is_dir():
        settings.DISK.rmdir()


def processes(end):
    """End every process of the lab. What would start others again goes first."""
    keepers = [pid for pid in (observe.process("kubelet"), observe.process("containerd")) if pid]
    kill(keepers, signal.SIGKILL)
    while True:
        # Containers are found by their cgroup, programs of layer 1 by their environment.
        left = [pid for pid in {*keepers, *marked(), *cgroup_processes()} if is_running(pid)]
        if not left:
            return
        kill(left)
        if time.monotonic() > end:
            raise LabError(f"processes that do not end: {left}")
        time.sleep(0.05)


def mounts(end):
    """Unmount the disk and let go of its loop device. Mounts of layer 1 go with its last process, a moment later."""
    while True:
        last = None
        for point in mounts_below(settings.LAB_DIR):
            try:
                run("umount", "--no-mtab", point)
            except LabError as error:
                last = error
        for loop in loops_of(settings.DISK_FILE):
            try:
                run("losetup", "--detach", loop)
            except LabError as error:
                last = error
        left = [*mounts_below(settings.LAB_DIR), *loops_of(settings.DISK_FILE)]
        if not left:
            return
        if time.monotonic() > end:
            by = {holder for loop in loops_of(settings.DISK_FILE) for holder in holders(loop)}
            raise LabError(f"still in use: {', '.join(left)}, by {', '.join(sorted(by)) or 'nobody that can be found'}; {last or ''}")
        time.sleep(0.1)
