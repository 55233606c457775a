"""Finds the parts of a lab that is up: processes, containers, sockets. Everything is looked up anew, nothing remembered
but the processes of layer 1, which are known by pid and start."""

import json
import pathlib

from . import cri, docker, settings
from .machine import LabError, children, container_init, is_running, start_ticks


def read_state():
    """What `up` has written down so far; empty when the lab is down."""
    try:
        return json.loads(settings.STATE.read_text())
    except OSError:
        return {}


def remember(**entries):
    """Add entries to the state, before the thing they name is used."""
    fresh = settings.STATE.with_suffix(".new")
    fresh.write_text(json.dumps(read_state() | entries, indent=2))
    fresh.rename(settings.STATE)


def kubelets():
    """What the kubelets of the lab that is up are: "real" or "imitation", whatever the next `up` would get."""
    return read_state()["kubelets"]


def process(name):
    """Pid of a process of layer 1 ("containerd", "kubelet"), or None when it is not that process any more."""
    pid, ticks = read_state().get(name, (None, None))
    return pid if pid and is_running(pid) and start_ticks(pid) == ticks else None


def host():
    """Pid of the containerd of layer 1."""
    pid = process("containerd")
    if pid is None:
        raise LabError("the lab is down")
    return pid


def socket(pid):
    """CRI socket of the containerd with that pid, as the machine can reach it."""
    return pathlib.Path(f"/proc/{pid}/root{settings.CONTAINERD_SOCKET}")


def test_container():
    """Id of the running test container of layer 2."""
    found = cri.running_container(socket(host()), settings.POD_NAME, settings.POD_NAMESPACE)
    if found is None:
        raise LabError(f"pod {settings.POD_NAMESPACE}/{settings.POD_NAME} has no running container")
    return found


def dockerd():
    """Pid of the dockerd of layer 2."""
    init = container_init(test_container())
    for pid in children(init, "dockerd") if init else ():
        return pid
    raise LabError("no dockerd in the test container")


def inspect(name, daemon=None):
    """Docker's own words about a node container."""
    return docker.call(daemon or dockerd(), "GET", f"/containers/{name}/json")


def node_init(name, daemon=None):
    """Machine pid of process 1 of a node container, None when it is stopped."""
    told = inspect(name, daemon)
    return container_init(told["Id"]) if told["State"]["Running"] else None


def node_child(init, name):
    """Pid of the one child of a node's process 1 with that name; None without."""
    found = children(init, name)
    return found[0] if found else None


def containerd_of(layer):
    """Pid of the containerd that serves a layer's CRI, by the layer's short name or whole id."""
    layer = layer.rpartition("/")[2]
    if layer == "host":
        return host()
    if settings.node(layer) is None:
        raise LabError(f"{layer}: not a layer with containerd; those are {', '.join(['host', *(n.name for n in settings.NODES)])}")
    init = node_init(layer)
    if init is None:
        raise LabError(f"{layer} is stopped")
    pid = node_child(init, "containerd")
    if pid is None:
        raise LabError(f"no containerd in {layer}")
    return pid
