"""Debian packages, downloaded with an apt state of the lab's own and unpacked, never installed."""

import os
import pathlib
import re
import shutil

from . import settings
from .machine import LabError, run, say

# Debian 12's own containerd (1.6.20) is too old to know pinned images, so containerd and Docker come from Debian 13.
# runc is that of Debian 12, which still starts containers where CAP_SYS_RESOURCE is missing.
PACKAGES = {
    "containerd": "trixie",
    "docker.io": "trixie",
    "runc": "bookworm",
    "busybox-static": "trixie",
    "libc6": "trixie",
    "libcap2": "trixie",
    "libseccomp2": "trixie",
    "libsystemd0": "trixie",
}
FOLDER = settings.CACHE / "packages"
# What the machine must have: a command, and the package that brings it.
NEEDED = {
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "curl": "curl",
    "tar": "tar",
    "dpkg-deb": "dpkg",
}


def complete_machine():
    """Install what the machine itself lacks; nothing on an ordinary Debian with curl."""
    missing = {package for command, package in NEEDED.items() if not shutil.which(command)}
    # runc of layer 1 is linked with the machine's own library.
    if not list(pathlib.Path("/").glob("usr/lib/*/libseccomp.so.2")) + list(pathlib.Path("/").glob("lib/*/libseccomp.so.2")):
        missing.add("libseccomp2")
    if missing:
        say(f"the machine lacks {', '.join(sorted(missing))}: installing")
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(missing),
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def mirror():
    """Address of the Debian archive that this machine already uses."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Identifier: Packages")
    for line in listed.splitlines():
        address, _, component = line.partition(" ")
        if component == "main" and re.search(r"/debian/?$", address):
            return address
    raise LabError("no Debian archive (an address that ends in /debian, component main) is set up for apt on this machine")


def apt(*words):
    """apt-get with the lab's own lists, which know both suites and leave the machine's alone."""
    state = settings.CACHE / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    suites = sorted(set(PACKAGES.values()))
    (state / "sources.list").write_text("".join(f"deb [signed-by={keys}] {mirror()} {suite} main\n" for suite in suites))
    (state / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{state}/sources.list";\n'
        'Dir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{state}/lists";\n'
        f'Dir::Cache "{state}/cache";\n'
        'APT::Sandbox::User "root";\n'
        'Acquire::Retries "3";\n'
        'Acquire::Languages "none";\n'
        'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";\n'
    )
    run("apt-get", "-qq", *words, cwd=FOLDER, env={**os.environ, "APT_CONFIG": str(state / "apt.conf")})


def fetch():
    """Download the packages once."""
    wanted = "\n".join(f"{package}/{suite}" for package, suite in sorted(PACKAGES.items()))
    done = FOLDER / "complete"
    if done.exists() and done.read_text() == wanted:
        return
    say("downloading Debian packages")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    apt("update")
    apt("download", *wanted.splitlines())
    done.write_text(wanted)


def unpack(root, *names):
    """Unpack packages over a file tree, without their documentation."""
    for name in names:
        found = list(FOLDER.glob(f"{name}_*.deb"))
        if len(found) != 1:
            raise LabError(f"{FOLDER} holds {len(found)} files of the package {name}; remove that folder and prepare again")
        run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --exclude=./usr/share --exclude=./usr/lib/systemd',
            "sh", found[0], root)
