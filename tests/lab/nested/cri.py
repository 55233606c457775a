"""A small CRI client: the messages the lab needs, over curl's HTTP/2. It reads; only `up` without a kubelet makes pods."""

import json
import os
import pathlib
import struct
import subprocess

from .machine import LabError

# Field numbers of runtime.v1. A name alone is a string, a number or a truth value; `[x]` is repeated; a dict is a message.
MAP = [{1: "key", 2: "value"}]
VALUE = {1: "value"}
METADATA = {1: "name", 2: "uid", 3: "namespace", 4: "attempt"}
NAMESPACES = {1: "network", 2: "pid", 3: "ipc"}
POD_CONFIG = {
    1: ("metadata", METADATA),
    3: "log_directory",
    6: ("labels", MAP),
    7: ("annotations", MAP),
    8: ("linux", {1: "cgroup_parent", 2: ("security_context", {1: ("namespace_options", NAMESPACES), 6: "privileged"})}),
}
CONTAINER_CONFIG = {
    1: ("metadata", {1: "name", 2: "attempt"}),
    2: ("image", {1: "image", 18: "user_specified_image"}),
    3: ["command"],
    6: ("envs", MAP),
    7: ("mounts", [{1: "container_path", 2: "host_path", 3: "readonly", 9: ("image", {1: "image", 18: "user_specified_image"})}]),
    9: ("labels", MAP),
    11: "log_path",
    15: ("linux", {2: ("security_context", {2: "privileged", 3: ("namespace_options", NAMESPACES)})}),
}
METHODS = {
    "Version": ("RuntimeService", {1: "version"}, {1: "version", 2: "runtime_name", 3: "runtime_version", 4: "runtime_api_version"}),
    "ListPodSandbox": ("RuntimeService", {}, {
        1: ("items", [{1: "id", 2: ("metadata", METADATA), 3: "state", 5: ("labels", MAP), 6: ("annotations", MAP)}]),
    }),
    "ListContainers": ("RuntimeService", {}, {
        1: ("containers", [{1: "id", 2: "pod_sandbox_id", 3: ("metadata", {1: "name", 2: "attempt"}), 4: ("image", {1: "image"}),
                            5: "image_ref", 6: "state", 8: ("labels", MAP)}]),
    }),
    "ListImages": ("ImageService", {}, {
        1: ("images", [{1: "id", 2: ["repo_tags"], 3: ["repo_digests"], 4: "size", 8: "pinned"}]),
    }),
    "ImageFsInfo": ("ImageService", {}, {
        1: ("image_filesystems", [{1: "timestamp", 2: ("fs_id", {1: "mountpoint"}), 3: ("used_bytes", VALUE), 4: ("inodes_used", VALUE)}]),
    }),
    "RunPodSandbox": ("RuntimeService", {1: ("config", POD_CONFIG)}, {1: "pod_sandbox_id"}),
    "CreateContainer": ("RuntimeService", {
        1: "pod_sandbox_id", 2: ("config", CONTAINER_CONFIG), 3: ("sandbox_config", POD_CONFIG),
    }, {1: "container_id"}),
    "PullImage": ("ImageService", {1: ("image", {1: "image"})}, {1: "image_ref"}),
    "StartContainer": ("RuntimeService", {1: "container_id"}, {}),
}
READ_ONLY = ("Version", "ListPodSandbox", "ListContainers", "ListImages", "ImageFsInfo")
RUNNING = 1
CONTAINER_NAMESPACE, NODE_NAMESPACE = 1, 2


def call(socket, method, request=None):
    """Call a method through a Unix socket and return the answer as plain values."""
    service, ask, answer = METHODS[method]
    body = encode(request or {}, ask)
    # A socket's path has at most 107 bytes, so the folder is passed as an open handle.
    socket = pathlib.Path(socket)
    try:
        folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise LabError(f"CRI {method}: {error}") from error
    try:
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "120", "--http2-prior-knowledge", "--unix-socket", f"/proc/self/fd/{folder}/{socket.name}",
             "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-", "-D", "/dev/stderr",
             f"http://localhost/runtime.v1.{service}/{method}"],
            input=b"\0" + struct.pack(">I", len(body)) + body, capture_output=True, pass_fds=[folder], check=False)
    finally:
        os.close(folder)
    told = done.stderr.decode(errors="replace")
    status = [line.partition(":")[2].strip() for line in told.splitlines() if line.lower().startswith("grpc-status:")]
    if done.returncode != 0 or status[-1:] != ["0"]:
        words = [line for line in told.splitlines() if line.startswith(("curl:", "grpc-message", "grpc-status"))]
        raise LabError(f"CRI {method} at {socket}: {'; '.join(words) or f'curl ended with {done.returncode}'}")
    return decode(done.stdout[5:], answer)


def encode(values, form):
    """Plain values to protobuf."""
    out = b""
    numbers = {name_of(kind): (number, kind) for number, kind in form.items()}
    for name, value in values.items():
        number, kind = numbers[name]
        inner = kind[1] if isinstance(kind, tuple) else None
        if inner is MAP:
            value = [{"key": key, "value": text} for key, text in value.items()]
        for one in value if isinstance(value, list) else [value]:
            if inner:
                one = encode(one, inner[0] if isinstance(inner, list) else inner)
            elif isinstance(one, str):
                one = one.encode()
            if isinstance(one, bytes):
                out += varint(number << 3 | 2) + varint(len(one)) + one
            else:
                out += varint(number << 3) + varint(int(one))
    return out


def decode(data, form):
    """Protobuf to plain values; fields the form does not name are left out, missing ones get no entry."""
    out, position = {}, 0

    def number():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(data):
        key = number()
        wire = key & 7
        if wire == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(wire) or number()
            value = data[position:position + size]
            position += size
        kind = form.get(key >> 3)
        if kind is None:
            continue
        name, inner = name_of(kind), kind[1] if isinstance(kind, tuple) else None
        if inner:
            value = decode(value, inner[0] if isinstance(inner, list) else inner)
        elif isinstance(value, bytes):
            value = value.decode(errors="replace")
        if inner is MAP:
            out.setdefault(name, {})[value.get("key", "")] = value.get("value", "")
        elif isinstance(kind, list) or isinstance(inner, list):
            out.setdefault(name, []).append(value)
        else:
            out[name] = value
    return out


def name_of(kind):
    """The name in an entry of a form."""
    return kind if isinstance(kind, str) else kind[0]


def varint(value):
    """An unsigned number in protobuf's variable length."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def running_container(socket, pod, namespace):
    """Id of the running container of a pod, by the pod's name as the kubelet gives it; None while there is none."""
    for container in call(socket, "ListContainers").get("containers", []):
        labels = container.get("labels", {})
        if (labels.get("io.kubernetes.pod.name"), labels.get("io.kubernetes.pod.namespace")) == (pod, namespace):
            if container.get("state", 0) == RUNNING:
                return container["id"]
    return None


def run_pod(socket, cgroup_root, pod, volume=None, start=True):
    """Make a pod with one container from its manifest, as a kubelet would: only where no real kubelet keeps it. `volume` is the id
    of an image that the container mounts."""
    meta, spec = pod["metadata"], pod["spec"]["containers"][0]
    names = {
        "io.kubernetes.pod.name": meta["name"],
        "io.kubernetes.pod.namespace": meta["namespace"],
        "io.kubernetes.pod.uid": meta["uid"],
    }
    # A name is taken as long as the pod's last sandbox, though dead, is there.
    attempt = sum(one["metadata"]["uid"] == meta["uid"] for one in call(socket, "ListPodSandbox").get("items", []))
    privileged = spec.get("securityContext", {}).get("privileged", False)
    namespaces = {"network": NODE_NAMESPACE, "pid": CONTAINER_NAMESPACE}
    config = {
        "metadata": {"name": meta["name"], "uid": meta["uid"], "namespace": meta["namespace"], "attempt": attempt},
        "log_directory": f"/var/log/pods/{meta['namespace']}_{meta['name']}_{meta['uid']}",
        "labels": names | meta.get("labels", {}),
        "annotations": {"kubernetes.io/config.source": "file"},
        "linux": {
            "cgroup_parent": f"{cgroup_root}/kubepods/burstable/pod{meta['uid']}",
            "security_context": {"namespace_options": namespaces, "privileged": privileged},
        },
    }
    sandbox = call(socket, "RunPodSandbox", {"config": config})["pod_sandbox_id"]
    mounts = [
        {"container_path": mount["mountPath"],
         "host_path": f"/var/lib/kubelet/pods/{meta['uid']}/volumes/kubernetes.io~empty-dir/{mount['name']}"}
        for mount in spec.get("volumeMounts", [])
    ]
    if volume:
        mounts.append({"container_path": "/volume", "readonly": True, "image": {"image": volume, "user_specified_image": volume}})
    container = call(socket, "CreateContainer", {
        "pod_sandbox_id": sandbox,
        "config": {
            "metadata": {"name": spec["name"], "attempt": attempt},
            # CRI-O does not make a container without the second.
            "image": {"image": spec["image"], "user_specified_image": spec["image"]},
            "command": spec["command"],
            "envs": {one["name"]: one["value"] for one in spec.get("env", [])},
            "mounts": mounts,
            "labels": names | {"io.kubernetes.container.name": spec["name"]},
            "log_path": f"{spec['name']}/{attempt}.log",
            "linux": {"security_context": {"privileged": privileged, "namespace_options": namespaces}},
        },
        "sandbox_config": config,
    })["container_id"]
    if start:
        call(socket, "StartContainer", {"container_id": container})


def show(answer):
    """An answer as indented JSON."""
    return json.dumps(answer, indent=2)
