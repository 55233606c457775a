"""Image archives made by hand, in the form of `docker save`: no builder and no registry."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import tarfile

from . import settings
from .kubelet_binary import kind
from .machine import say
from .trees import NODE, POD, TREES

FOLDER = settings.CACHE / f"images-{kind()}"
HOST_PAUSE = FOLDER / "host-pause.tar"
HOST_OTHERS = FOLDER / "host-others.tar"
HOST_TEST = FOLDER / "host-test.tar"
DOCKER_NODE = FOLDER / "docker-node.tar"
NODE_ALL = FOLDER / "node-all.tar"


def build():
    """Make every archive; again only when the trees or the list of images have changed."""
    stamp = FOLDER / "complete"
    content = (TREES / "complete").read_text() + pathlib.Path(__file__).read_text() + repr((settings.HOST_IMAGES, settings.NODE_IMAGES))
    if stamp.exists() and stamp.read_text() == content:
        return
    say("making images")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    pause = settings.Image(settings.PAUSE, 1)
    write(HOST_PAUSE, [(pause.name, small_layer(pause))])
    write(HOST_OTHERS, [(image.name, small_layer(image)) for image in settings.HOST_IMAGES])
    write(HOST_TEST, [(settings.TEST_IMAGE, tree_layer(POD))])
    write(DOCKER_NODE, [(settings.NODE_IMAGE, tree_layer(NODE))])
    write(NODE_ALL, [(image.name, small_layer(image)) for image in settings.NODE_IMAGES])
    for layer in FOLDER.glob("*.layer"):
        layer.unlink()
    stamp.write_text(content)


def small_layer(image):
    """A layer with busybox and random bytes, which nothing can compress: the size in every count is the size asked for."""
    path = layer_path(image.name)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(NODE / "usr/bin/busybox", arcname="bin/busybox", filter=as_root)
        for name in ("sh", "sleep", "pause"):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        blob = os.urandom(image.mib << 20)
        entry = tarfile.TarInfo("payload")
        entry.size = len(blob)
        tar.addfile(entry, io.BytesIO(blob))
    return path


def tree_layer(root):
    """A layer with a whole file tree."""
    path = layer_path(str(root))
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(root, arcname=".", filter=as_root)
    return path


def layer_path(name):
    return FOLDER / (hashlib.sha256(name.encode()).hexdigest()[:16] + ".layer")


def as_root(entry):
    """The entry, owned by root whoever unpacked the packages."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def write(path, images):
    """Write an archive of (name, layer file) pairs, each image with one layer."""
    manifest = []
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, layer in images:
            with open(layer, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            config = json.dumps({
                "architecture": go_architecture(),
                "os": "linux",
                "config": {
                    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                    # What the pause image runs; it makes the sandbox's first process.
                    "Cmd": ["/bin/sleep", "1000000000"],
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created": "2026-01-01T00:00:00Z", "created_by": name}],
                "created": "2026-01-01T00:00:00Z",
            }).encode()
            config_name = hashlib.sha256(config).hexdigest() + ".json"
            entry = tarfile.TarInfo(config_name)
            entry.size = len(config)
            tar.addfile(entry, io.BytesIO(config))
            tar.add(layer, arcname=f"{digest}/layer.tar", filter=as_root)
            manifest.append({"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]})
        text = json.dumps(manifest).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))


def go_architecture():
    """This machine's architecture, as images call it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
