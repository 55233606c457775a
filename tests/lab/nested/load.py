"""What tests do to a lab that is up: write into a layer, stop and start a node."""

import os
import pathlib
import signal

from . import docker, facts, observe, settings, up
from .machine import LabError, kill, say, stop, wait_until

PREFIX = "highwater-lab-"


def folder(layer):
    """A folder that belongs to that layer alone: its kubelet's root, or Docker's data root where there is no kubelet."""
    told = facts.of_layer(layer)
    return pathlib.Path((told["kubelet_root"] or told["docker_data_root"])["on_machine"])


def fresh_file(layer, what):
    """A path in the layer's folder that is not taken."""
    number = 0
    while (path := folder(layer) / f"{PREFIX}{what}.{number}").exists():
        number += 1
    return path


def fill(layer, size):
    """Take that many bytes of the disk, at once and without writing them. Returns the file."""
    path = fresh_file(layer, "fill")
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            path.unlink()
            raise LabError(f"{path}: {error}") from error
    return path


def write(layer, size):
    """Write a file of that many bytes that nothing can compress, down to the disk. Returns the file."""
    path = fresh_file(layer, "write")
    try:
        with open(path, "wb") as file:
            left = size
            while left:
                left -= file.write(os.urandom(min(left, 1 << 20)))
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise LabError(f"{path}: {error}") from error
    return path


def unfill():
    """Remove what `fill` and `write` have left, in all layers."""
    for layer in ("host", "dind", *(node.name for node in settings.NODES)):
        for path in folder(layer).glob(f"{PREFIX}*"):
            path.unlink()


def known(name):
    """The node of that name or whole id, or an error that lists them."""
    found = settings.node(name.rpartition("/")[2])
    if found is None:
        raise LabError(f"{name}: no such node; there are {', '.join(node.name for node in settings.NODES)}")
    return found


def node_stop(name):
    """`docker stop`: the node's processes go, its volume stays."""
    node = known(name)
    docker.call(observe.dockerd(), "POST", f"/containers/{node.name}/stop?t=10")
    facts.write()
    say(f"{node.name} is stopped")


def node_start(name):
    """`docker start`, and wait for its containerd, its kubelet and its static pods."""
    node, daemon = known(name), observe.dockerd()
    docker.call(daemon, "POST", f"/containers/{node.name}/start")
    init, pid = up.wait_for_node(daemon, node)
    up.wait_for_pods(init, pid, node)
    facts.write()
    say(f"{node.name} is started")


def kubelet_restart(layer):
    """End a layer's kubelet and wait for the next. In a node process 1 starts it again, as systemd would."""
    if layer == "host":
        old = observe.process("kubelet")
        if old:
            stop(old)
        up.host_kubelet(observe.host())
    else:
        node = known(layer)
        init = observe.node_init(node.name)
        old = observe.node_child(init, "kubelet") if init else None
        if old is None:
            raise LabError(f"no kubelet runs in {layer}")
        kill([old], signal.SIGTERM)
        wait_until(f"new kubelet of {layer}", lambda: observe.node_child(init, "kubelet") not in (None, old))
        up.wait_for_pods(init, observe.node_child(init, "containerd"), node)
    facts.write()
