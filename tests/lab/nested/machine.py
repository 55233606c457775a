"""The machine under the lab: commands, waiting, processes, mounts, loop devices, cgroups."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

from . import settings

PROC = pathlib.Path("/proc")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Set when a part of `up` has failed: the others, which run beside it, stop waiting.
GIVEN_UP = threading.Event()


class LabError(Exception):
    """Something the reader can act on: what was tried, on what, and the end of the log where there is one."""


def say(text):
    """Progress, on standard error."""
    print(f"[lab {time.strftime('%T')}] {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Run a command to its end and return its standard output; LabError with its messages if it fails."""
    words = [str(word) for word in command]
    options.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"cannot run {words[0]}: {error}") from error
    if done.returncode != 0:
        messages = (done.stderr + b"\n" + done.stdout).decode(errors="replace").strip()
        raise LabError(f"{' '.join(words)[:300]}: exit code {done.returncode}\n{indent(messages[-2000:])}")
    return done.stdout.decode(errors="replace")


def indent(text):
    """The text, each line set in, for quoting below a message."""
    return "\n".join("    " + line for line in text.splitlines())


def tail(log, lines=25):
    """The last lines of a log, ready to be put below a message; empty if there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            text = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return f"\n  end of {log}:\n" + indent("\n".join(line[:400] for line in text))


def wait_until(what, probe, log=None, alive=None):
    """Poll until `probe` returns something true and return that. `alive`, a pid, cuts the wait short when it ends."""
    started = time.monotonic()
    pause, last = 0.02, None
    while True:
        try:
            if answer := probe():
                return answer
            last = None
        except (LabError, OSError, ValueError) as error:
            last = error
        waited = time.monotonic() - started
        if GIVEN_UP.is_set():
            raise LabError(f"{what}: given up")
        ended = alive is not None and not is_running(alive)
        if ended or waited > settings.PATIENCE:
            why = f"process {alive} ended" if ended else f"not within {waited:.0f} s"
            raise LabError(f"{what}: {why}" + (f"\n  last answer: {last}" if last else "") + (tail(log) if log else ""))
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)


# ---------------------------------------------------------------- processes


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third (state) on; None when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def is_running(pid):
    """Whether the process exists and is not just waiting to be reaped."""
    fields = stat_fields(pid)
    return fields is not None and fields[0] not in "ZX"


def start_ticks(pid):
    """Start of the process in clock ticks since boot, as in /proc/PID/stat; None when it is gone."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None


def start_time(pid):
    """Start of the process in seconds since the epoch, to a hundredth; None when it is gone."""
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    # Not from `btime` of /proc/stat, which is cut to whole seconds.
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return round(boot + ticks / os.sysconf("SC_CLK_TCK"), 2)


def pids():
    """Every process id of the machine."""
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]


def read_proc(pid, name):
    """Bytes of a file below /proc/PID; empty when the process is gone or does not let itself be read."""
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def command_line(pid):
    """The arguments of a process."""
    return [part.decode(errors="replace") for part in read_proc(pid, "cmdline").split(b"\0")[:-1]]


def children(pid, name):
    """The child processes of `pid` whose command name is `name`."""
    found = []
    for other in pids():
        fields = stat_fields(other)
        if fields and fields[0] not in "ZX" and fields[1] == str(pid):
            if read_proc(other, "comm").strip() == name.encode():
                found.append(other)
    return found


def container_init(container_id):
    """Machine pid of the first process of the container with that id; None while there is none."""
    found = []
    for pid in pids():
        if container_id.encode() in read_proc(pid, "cgroup"):
            ids = re.search(rb"^NSpid:\s+(.*)$", read_proc(pid, "status"), re.M)
            if ids and ids[1].split()[-1] == b"1" and is_running(pid):
                found.append((len(ids[1].split()), pid))
    # Containers inside this one carry its id too; they are deeper, but their pids can be lower.
    return min(found)[1] if found else None


def marked():
    """Processes of layer 1 of this very lab: those that carry its marker in their environment."""
    mark = f"{settings.MARKER}={settings.LAB_DIR}".encode()
    return [pid for pid in pids() if pid != os.getpid() and mark in read_proc(pid, "environ").split(b"\0")]


def kill(targets, number=signal.SIGKILL):
    """Send a signal to each process; one that is gone already is no error."""
    for pid in targets:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def stop(pid, patience=5.0):
    """End one process: politely, and after some seconds by force."""
    kill([pid], signal.SIGTERM)
    end = time.monotonic() + patience
    while is_running(pid):
        if time.monotonic() > end:
            kill([pid])
            end += patience
        time.sleep(0.02)


def free_inotify_instances():
    """How many inotify instances root may still open, and the limit. They are counted per user."""
    limit = int((PROC / "sys/fs/inotify/max_user_instances").read_text())
    used = 0
    for pid in pids():
        try:
            for handle in os.scandir(PROC / str(pid) / "fd"):
                used += os.readlink(handle.path) == "anon_inode:inotify"
        except OSError:
            continue
    return limit - used, limit


# ---------------------------------------------------------------- mounts and loop devices


def mounts_below(folder):
    """Mount points of the machine at or below a folder, the innermost first."""
    points = []
    for line in (PROC / "self/mounts").read_text().splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[1])
        if point == str(folder) or point.startswith(f"{folder}/"):
            points.append(point)
    return sorted(points, reverse=True)


def loops_of(file):
    """Loop devices that are backed by a file, also a deleted one."""
    found = []
    for device in pathlib.Path("/sys/block").glob("loop*"):
        try:
            backing = (device / "loop/backing_file").read_text().rstrip("\n")
        except OSError:
            continue
        if backing in (str(file), f"{file} (deleted)"):
            found.append(f"/dev/{device.name}")
    return found


def holders(loop):
    """Processes, as "pid name", that keep the file system on a loop device: by a handle, or by a mount in a namespace of
    their own."""
    number = os.stat(loop).st_rdev
    mounted = f" {os.major(number)}:{os.minor(number)} ".encode()
    ours = os.stat("/proc/self/ns/mnt").st_ino
    found = []
    for pid in pids():
        handles = [f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
        try:
            handles += [handle.path for handle in os.scandir(f"/proc/{pid}/fd")]
        except OSError:
            pass
        try:
            elsewhere = os.stat(f"/proc/{pid}/ns/mnt").st_ino != ours
        except OSError:
            continue
        if (elsewhere and mounted in read_proc(pid, "mountinfo")) or any(device_of(path) == number for path in handles):
            found.append(f"{pid} {read_proc(pid, 'comm').decode(errors='replace').strip()}")
    return found


def device_of(path):
    """The device a path leads to; None when it leads nowhere."""
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


# ---------------------------------------------------------------- cgroups


def cgroup_version():
    """1 or 2: what is mounted on /sys/fs/cgroup. Mixed forms count as 1, as runc counts them."""
    return 2 if (CGROUPS / "cgroup.controllers").exists() else 1


def cgroup_folders():
    """The lab's own cgroup in each hierarchy, whether it exists or not."""
    if cgroup_version() == 2:
        return [CGROUPS / settings.CGROUP]
    return [folder / settings.CGROUP for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]


def cgroup_processes():
    """Every process in the lab's own cgroups: all of the containers, however deep."""
    found = set()
    for folder in cgroup_folders():
        for path, _, names in os.walk(folder):
            if "cgroup.procs" in names:
                try:
                    found.update(int(pid) for pid in pathlib.Path(path, "cgroup.procs").read_text().split())
                except OSError:
                    continue
    return sorted(found - {0})


def make_cgroups():
    """Make the lab's own cgroup in each hierarchy; returns the version 2 controllers that had to be switched on."""
    switched = []
    if cgroup_version() == 2:
        control = CGROUPS / "cgroup.subtree_control"
        for name in (CGROUPS / "cgroup.controllers").read_text().split():
            if name in control.read_text().split():
                continue
            try:
                control.write_text(f"+{name}")
                switched.append(name)
            except OSError as error:
                raise LabError(
                    f"cannot switch on the cgroup controller {name} in {control}: {error}; "
                    "the lab needs the top of a cgroup tree without processes of its own"
                ) from error
    for folder in cgroup_folders():
        folder.mkdir(exist_ok=True)
        # Version 1: a new cpuset is empty and takes no process.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if cgroup_version() == 1 and (folder / name).exists():
                (folder / name).write_text((folder.parent / name).read_text())
    return switched


def remove_cgroups(switched):
    """Remove the lab's own cgroups, and switch off again what `make_cgroups` switched on."""
    for folder in cgroup_folders():
        for path, _, _ in os.walk(folder, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                continue
    for name in switched:
        try:
            (CGROUPS / "cgroup.subtree_control").write_text(f"-{name}")
        except OSError:
            continue
