"""The runtimes themselves: built once from their Go modules, with what Debian has of the rest."""

import json
import os
import pathlib
import shutil
import time

from nested import packages, settings
from nested.kubelet_binary import go
from nested.machine import LabError, run, say

CONTAINERD, CONTAINERD_MODULE = "v2.4.2", "github.com/containerd/containerd/v2"
CRIO, CRIO_MODULE = "v1.34.0", "github.com/cri-o/cri-o"
# What CRI-O has beside it: the programs that Go does not build.
CRIO_PACKAGES = ("conmon",)
CRIO_TAGS = "containers_image_openpgp containers_image_ostree_stub exclude_graphdriver_btrfs exclude_graphdriver_devicemapper"


def containerd():
    """A file tree with containerd 2, its shim and ctr, to be laid over that of a node."""
    tree = settings.CACHE / f"containerd-{CONTAINERD}"
    commands = ("containerd", "containerd-shim-runc-v2", "ctr")
    return made(tree, lambda fresh: build(
        CONTAINERD_MODULE, CONTAINERD, commands, fresh / "usr/local/bin", {"CGO_ENABLED": "0"},
        "-ldflags", f"-s -w -X {CONTAINERD_MODULE}/version.Version={CONTAINERD}"))


def crio():
    """A file tree with CRI-O, conmon and pinns, to be laid over that of a node."""

    def make(fresh):
        programs = fresh / "usr/local/bin"
        source = build(CRIO_MODULE, CRIO, ("crio",), programs, {"CGO_ENABLED": "1"}, "-ldflags", "-s -w", "-tags", CRIO_TAGS)
        # As its own Makefile does.
        run("cc", "-std=c99", "-Os", "-static", "-o", programs / "pinns", *sorted((source / "pinns/src").glob("*.c")))
        folder = fresh.parent / f"{fresh.name}.packages"
        (folder / "partial").mkdir(parents=True, exist_ok=True)
        packages.apt("update")
        packages.apt("--download-only", "--no-install-recommends", "-o", "Dir::State::status=/dev/null",
                     "-o", f"Dir::Cache::archives={folder}", "-t", "trixie", "install", *CRIO_PACKAGES)
        for package in sorted(folder.glob("*.deb")):
            run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --exclude=./usr/share', "sh", package, fresh)
        shutil.rmtree(folder)

    return made(settings.CACHE / f"crio-{CRIO}", make)


def made(tree, make):
    """The tree, made where it is not there yet."""
    if not tree.exists():
        fresh = tree.with_name(f"{tree.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        make(fresh)
        fresh.rename(tree)
    return tree


def build(module, version, commands, to, settings_of_go, *words):
    """Build commands of a Go module; returns the folder of its source."""
    if not go():
        raise LabError(f"no go on this machine to build {module} with")
    folder = settings.CACHE / "modules" / module.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    say(f"building {', '.join(commands)} {version}: some minutes with an empty Go build cache, only this once")
    began = time.monotonic()
    environment = {**os.environ, **settings_of_go, "GOWORK": "off", "GOFLAGS": "-buildvcs=false -mod=mod"}
    (folder / "go.mod").write_text(f"module highwater.test/lab\ngo 1.24\nrequire {module} {version}\n")
    told = json.loads(run(go(), "mod", "download", "-json", f"{module}@{version}", cwd="/", env=environment))
    source = pathlib.Path(told["Dir"])
    # The checksums of the module's own dependencies, which it brings with it: some are in no checksum database.
    shutil.copyfile(source / "go.sum", folder / "go.sum")
    (folder / "go.sum").chmod(0o644)
    to.mkdir(parents=True)
    run("nice", "-n", "10", go(), "build", "-trimpath", "-o", f"{to}/", *words, *(f"{module}/cmd/{command}" for command in commands),
        cwd=folder, env=environment)
    say(f"built in {time.monotonic() - began:.0f} s")
    return source
