"""The truth about a lab that is up, for tests to compare with: found by other ways than highwater's own.

Where a path is given twice, `in_layer` is how the layer's own processes call it and `on_machine` where the same folder is
on the lab's disk, as seen from outside of every layer.
"""

import json
import os

from . import cri, docker, observe, settings
from .machine import LabError, cgroup_version, children, command_line, loops_of, start_ticks, start_time

FORM = 1


def write():
    """Look at everything and write the facts file anew."""
    fresh = settings.FACTS.with_suffix(".new")
    fresh.write_text(json.dumps(collect(), indent=2) + "\n")
    fresh.rename(settings.FACTS)


def collect():
    """Every fact, as plain values."""
    daemon = observe.dockerd()
    disk = os.stat(settings.DISK)
    kind = observe.kubelets()
    return {
        "form": FORM,
        "lab_dir": str(settings.LAB_DIR),
        "kubelets": kind,
        "kubelet_version": settings.KUBERNETES if kind == "real" else None,
        "cgroup_version": cgroup_version(),
        "clock_ticks_per_second": os.sysconf("SC_CLK_TCK"),
        "disk": {
            "loop": loops_of(settings.DISK_FILE)[0],
            "mountpoint": str(settings.DISK),
            "st_dev": disk.st_dev,
            "device_number": f"{os.major(disk.st_dev)}:{os.minor(disk.st_dev)}",
        },
        "layers": [host(), dind(daemon), *(node(one, daemon) for one in settings.NODES)],
        # Looks like a layer and is none: Docker's private containerd.
        "decoys": [{"what": "private containerd of Docker", "pid": pid} for pid in children(daemon, "containerd")],
    }


def on_disk(path):
    """Where a path of layer 1 below /var/lib or /var/log is on the machine."""
    return str(settings.DISK / path.lstrip("/"))


def place(in_layer, on_machine):
    """A folder by both of its names."""
    return {"in_layer": in_layer, "on_machine": on_machine}


def process(pid):
    """A process and the start that makes its pid unambiguous; None for no process."""
    if pid is None or start_ticks(pid) is None:
        return None
    return {"pid": pid, "start_ticks": start_ticks(pid), "start_time": start_time(pid)}


def policy(truth):
    """Effective settings, each with its origin: default, file or flag."""
    return {
        "image_gc": {
            "enabled": truth.high < 100,
            "high": truth.high,
            "high_origin": truth.high_origin,
            "low": truth.low,
            "low_origin": "default",
        },
        # What is set, in force or not: 0 % means off, and a map that is set drops the defaults of all other signals.
        "eviction_hard": {"thresholds": truth.eviction, "origin": truth.eviction_origin},
    }


def kubelet_facts(pid, log):
    """A running kubelet, or None."""
    found = process(pid)
    if found is None:
        return None
    return found | {"arguments": command_line(pid), "config": settings.KUBELET_CONFIG, "log": str(log)}


def layer(short, parent_parts, kind, **more):
    """The part that all layers have."""
    parts = [*parent_parts, short] if parent_parts else ["host"]
    return {
        "name": short,
        "id": "/".join(parts),
        "id_parts": parts,
        "kind": kind,
        "parent": "/".join(parent_parts) or None,
        "running": True,
    } | more


DIND_PARTS = ["host", settings.POD_NAMESPACE, settings.POD_NAME]


def host():
    """The Prow host."""
    pid = observe.host()
    return layer("host", [], "host",
        runtime={"name": "containerd", **process(pid), "socket_in_layer": settings.CONTAINERD_SOCKET,
                 "version": cri.call(observe.socket(pid), "Version")["runtime_version"]},
        kubelet=kubelet_facts(observe.process("kubelet"), settings.LOGS / "kubelet.log"),
        image_store=place(settings.SNAPSHOTS, on_disk(settings.SNAPSHOTS)),
        runtime_root=place(settings.CONTAINERD_ROOT, on_disk(settings.CONTAINERD_ROOT)),
        docker_data_root=None,
        kubelet_root=place(settings.KUBELET_ROOT, on_disk(settings.KUBELET_ROOT)),
        policy=policy(settings.HOST_POLICY),
    )


def dind(daemon):
    """The test pod with Docker in it: no kubelet, so nothing deletes images here."""
    graph = place(settings.GRAPH, on_disk(settings.GRAPH_VOLUME))
    made = layer(settings.POD_NAME, DIND_PARTS[:-1], "dind",
        container_id=observe.test_container(),
        runtime={"name": "docker", **process(daemon), "socket_in_layer": "/run/docker.sock",
                 "version": docker.call(daemon, "GET", "/version")["Version"]},
        kubelet=None,
        image_store=graph,
        runtime_root=graph,
        docker_data_root=graph,
        kubelet_root=None,
        policy=None,
        pod={"namespace": settings.POD_NAMESPACE, "name": settings.POD_NAME, "uid": settings.POD_UID,
             "container": settings.POD_CONTAINER, "labels": settings.POD_LABELS},
    )
    return made | {"name": "dind", "parent": "host"}


def node(one, daemon):
    """A node container; what depends on running processes is null while it is stopped."""
    told = observe.inspect(one.name, daemon)
    volume = next(mount["Source"] for mount in told["Mounts"] if mount["Destination"] == "/var")
    var = on_disk(settings.GRAPH_VOLUME) + volume.removeprefix(settings.GRAPH)

    def below_var(path):
        return place(path, var + path.removeprefix("/var"))

    init = observe.node_init(one.name, daemon)
    pid = observe.node_child(init, "containerd") if init else None
    runtime = None
    if pid:
        version = cri.call(observe.socket(pid), "Version")["runtime_version"]
        runtime = {"name": "containerd", **process(pid), "socket_in_layer": settings.CONTAINERD_SOCKET, "version": version}
    return layer(one.name, DIND_PARTS, one.kind,
        running=init is not None,
        container_id=told["Id"],
        init=process(init),
        runtime=runtime,
        kubelet=kubelet_facts(observe.node_child(init, "kubelet"), f"/proc/{init}/root/var/log/kubelet.log") if init else None,
        image_store=below_var(settings.SNAPSHOTS),
        runtime_root=below_var(settings.CONTAINERD_ROOT),
        docker_data_root=None,
        kubelet_root=below_var(settings.KUBELET_ROOT),
        policy=policy(one.policy),
        # Those below /run are gone after a restart of the container, as on a real node.
        traces=list(one.traces),
        test_cluster=one.cluster,
        node_role=one.role,
    )


def of_layer(name):
    """The facts of one layer, by its short name or its whole id, as last written."""
    try:
        layers = json.loads(settings.FACTS.read_text())["layers"]
    except OSError as error:
        raise LabError("the lab is down") from error
    for one in layers:
        if name in (one["name"], one["id"]):
            return one
    raise LabError(f"{name}: no such layer; there are {', '.join(one['name'] for one in layers)}")
