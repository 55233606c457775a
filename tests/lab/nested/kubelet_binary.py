"""The kubelet itself: a real one, built once from its Go module, or an imitation where there is no Go."""

import json
import os
import platform
import re
import shutil
import struct
import time

from . import settings
from .machine import LabError, run, say

MODULE = "k8s.io/kubernetes"


def go():
    """The go command, or None."""
    return shutil.which("go") or shutil.which("/usr/local/go/bin/go")


def kind():
    """Which kubelets an `up` gets now: "real" where there is one or Go to build it with, unless asked otherwise."""
    if settings.KUBELETS == "real" or (settings.KUBELETS == "auto" and (settings.KUBELET.exists() or go())):
        return "real"
    return "imitation"


def prepare():
    """Make the kubelet that `up` will use."""
    if kind() == "imitation":
        why = "as asked by LAB_KUBELETS" if settings.KUBELETS == "imitation" else "because there is no go on this machine"
        say(f"WARNING: kubelets: IMITATION, {why}: processes with the name, the arguments and the files of a kubelet, "
            "which act on no disk however full")
        imitate()
    elif not settings.KUBELET.exists():
        if not go():
            raise LabError("LAB_KUBELETS=real, but there is no go on this machine to build a kubelet with")
        build()


def binary(which):
    """The executable that goes by the name of kubelet, for "real" or "imitation"."""
    return settings.KUBELET if which == "real" else settings.IMITATION


def build():
    """Build the kubelet of the wanted release from the Go module; minutes the first time, seconds with a warm build cache."""
    folder = settings.KUBELET.parent
    module = folder / "module"
    module.mkdir(parents=True, exist_ok=True)
    say(f"building kubelet {settings.KUBERNETES} from its Go module: 8 minutes on two cores with an empty Go build cache, only this once")
    began = time.monotonic()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}
    command = ["nice", "-n", "10", go()]
    write_module(module, environment, command)
    versions = " ".join(
        f"-X {package}.gitVersion={settings.KUBERNETES}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    fresh = folder / "kubelet.new"
    # -mod=mod: tidy leaves out a checksum that 1.28 needs.
    run(*command, "build", "-mod=mod", "-trimpath", "-ldflags", f"-s -w {versions}", "-o", fresh, f"{MODULE}/cmd/kubelet",
        cwd=module, env=environment)
    told = run(fresh, "--version").strip()
    if told != f"Kubernetes {settings.KUBERNETES}":
        raise LabError(f"the built kubelet calls itself {told!r}, not {settings.KUBERNETES}")
    fresh.rename(settings.KUBELET)
    say(f"kubelet built in {time.monotonic() - began:.0f} s: {settings.KUBELET}")


def write_module(folder, environment, command):
    """A Go module that requires nothing but Kubernetes.

    Kubernetes replaces its own libraries by folders of its repository (./staging). Such lines count only in the main
    module, so they are written anew here, with the published versions: v1.37.2 goes with v0.37.2 of each library, and with
    that of the patch release before where one was never published.
    """
    told = json.loads(run(go(), "mod", "download", "-json", f"{MODULE}@{settings.KUBERNETES}", cwd="/", env=environment))
    origin = json.loads(run(go(), "mod", "edit", "-json", told["GoMod"], cwd="/", env=environment))
    library_version = settings.KUBERNETES.replace("v1.", "v0.", 1)
    libraries = {
        replaced["Old"]["Path"]: library_version for replaced in origin["Replace"] if replaced["New"]["Path"].startswith("./staging/")}
    # Names the package that is built, for `go mod tidy`.
    (folder / "tools.go").write_text(f'package tools\n\nimport _ "{MODULE}/cmd/kubelet/app"\n')
    while True:
        lines = ["module highwater.test/lab-kubelet", f"go {origin['Go']}", f"require {MODULE} {settings.KUBERNETES}"]
        lines += [f"replace {library} => {library} {version}" for library, version in libraries.items()]
        (folder / "go.mod").write_text("\n".join(lines) + "\n")
        try:
            run(*command, "mod", "tidy", cwd=folder, env=environment)
            return
        except LabError as error:
            lacking = set(re.findall(r"(k8s\.io/[\w-]+)@v[\d.]+: reading \S+: (?:403|404)", str(error))) & set(libraries)
            if not lacking:
                raise
            for library in lacking:
                head, _, patch = libraries[library].rpartition(".")
                libraries[library] = f"{head}.{int(patch) - 1}"


def imitate():
    """Write a program that takes any arguments and waits for a signal: a whole static executable of some 150 bytes."""
    machines = {
        # e_machine, then: system call pause, again and again
        "x86_64": (62, bytes.fromhex("b822000000" "0f05" "ebf7")),
        # system call ppoll with four zeros, again and again
        "aarch64": (183, struct.pack("<7I", 0xD2800928, 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD4000001, 0x17FFFFFA)),
    }
    if platform.machine() not in machines:
        raise LabError(f"no imitation of a kubelet for {platform.machine()}")
    number, code = machines[platform.machine()]
    base, size = 0x400000, 64 + 56
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, number, 1, base + size, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size + len(code), size + len(code), 0x1000)
    program = header + segment + code
    if settings.IMITATION.exists() and settings.IMITATION.read_bytes() == program:
        return  # perhaps it is running, and a running program cannot be written
    settings.IMITATION.parent.mkdir(parents=True, exist_ok=True)
    settings.IMITATION.write_bytes(program)
    settings.IMITATION.chmod(0o755)
