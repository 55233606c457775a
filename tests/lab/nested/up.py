"""Brings the three layers up, from the outermost in."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import uuid

from . import archive, cri, docker, kubelet, kubelet_binary, observe, settings, trees
from .machine import (GIVEN_UP, LabError, container_init, free_inotify_instances, make_cgroups, run, say,
                      start_ticks, wait_until)

CTR = trees.HOST / "usr/bin/ctr"
CONTAINERD_LOG = settings.LOGS / "containerd.log"
KUBELET_LOG = settings.LOGS / "kubelet.log"
# Layer 1's /etc; the machine's own may lack files, or have links into the /run that layer 1 does not see.
ETC = settings.HOST / "etc"
# inotify instances: six for a real kubelet, one or two for each containerd, some to spare.
INOTIFY = {"real": 36, "imitation": 12}

# Layer 1 lives in a mount and a network namespace of its own: a machine whose /etc, /run, /var/lib and /var/log are the
# lab's. Its mounts go when its last process goes.
LAYER_1 = """\
set -eu
mount --no-mtab --bind "$1/var/lib" /var/lib
mount --no-mtab --bind "$1/var/log" /var/log
mount --no-mtab -t tmpfs -o mode=755 highwater-lab /run
mkdir -p /run/containerd /run/kubelet-folder /run/lock
. "$2/usr/local/lib/shield.sh"
shield /run/tunables
ip link set lo up
ip link add lab0 type veth peer name lab1
ip address add "$3/24" dev lab0
ip link set lab0 up
ip link set lab1 up
ip route add default dev lab0
mount --no-mtab --bind "$4" /etc
exec "$2/usr/bin/containerd" --config /etc/containerd/config.toml
"""


def up():
    """Everything, in order. The caller takes it down again when this fails."""
    check()
    for folder in (settings.LAB_DIR, settings.HOST, settings.LOGS, settings.DISK):
        folder.mkdir(parents=True, exist_ok=True)
    for log in (CONTAINERD_LOG, KUBELET_LOG):
        log.unlink(missing_ok=True)
    observe.remember(kubelets=kubelet_binary.kind())
    disk()
    observe.remember(switched=make_cgroups())
    layer_1()
    layer_2()
    layer_3()


def check():
    """Refuse early, with the reason, what would fail late."""
    for name, place in (("LAB_DIR", settings.LAB_DIR), ("LAB_CACHE", settings.CACHE)):
        for hidden in ("/etc", "/run", "/var/lib", "/var/log"):
            if place.resolve().is_relative_to(hidden):
                raise LabError(f"{name}={place}: must not be below {hidden}, which layer 1 replaces by its own")
    if not shutil.which("losetup") or not (archive.FOLDER / "complete").exists():
        raise LabError("not prepared; run `lab prepare` first")
    free, limit = free_inotify_instances()
    need = INOTIFY[kubelet_binary.kind()]
    if free < need:
        raise LabError(f"only {free} of {limit} inotify instances are free and the lab needs {need}; raise fs.inotify.max_user_instances")
    settings.LAB_DIR.mkdir(parents=True, exist_ok=True)
    available = shutil.disk_usage(settings.LAB_DIR).free
    if available < 3 << 30:
        raise LabError(f"{settings.LAB_DIR}: {available >> 20} MiB available, the lab writes up to 3 GiB")


def disk():
    """The one disk of all layers."""
    with open(settings.DISK_FILE, "wb") as file:
        file.truncate(settings.DISK_MIB << 20)
    # Without lazy initialisation nothing but the layers changes the disk later on.
    run("mkfs.ext4", "-q", "-F", "-L", "prow-node", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", settings.DISK_FILE)
    loop = run("losetup", "--find", "--show", settings.DISK_FILE).strip()
    run("mount", "--no-mtab", "-t", "ext4", loop, settings.DISK)
    for folder in ("var/lib/containerd", "var/lib/kubelet", "var/log/pods"):
        (settings.DISK / folder).mkdir(parents=True)


def spawn(name, command, log):
    """Start a process of layer 1, marked as the lab's own, and remember it."""
    environment = os.environ | {
        settings.MARKER: str(settings.LAB_DIR),
        "PATH": f"{trees.HOST}/usr/bin:{trees.HOST}/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    with open(log, "ab") as out:
        # SIGINT belongs to whoever waits at the terminal, so the process gets a session of its own.
        started = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env=environment, start_new_session=True, cwd="/")
    observe.remember(**{name: (started.pid, start_ticks(started.pid))})
    return started.pid


def layer_1():
    """The Prow host: containerd with CRI and a kubelet that keeps the test pod."""
    say("layer 1: containerd")
    trees.write_etc(ETC)
    trees.write(ETC / "machine-id", uuid.uuid4().hex + "\n")
    pid = spawn("containerd", ["unshare", "--mount", "--net", "--propagation", "slave", "sh", "-c", LAYER_1, "layer-1",
                               settings.DISK, trees.HOST, settings.HOST_ADDRESS, ETC], CONTAINERD_LOG)
    socket = observe.socket(pid)
    wait_until("containerd of layer 1", lambda: cri.call(socket, "Version"), CONTAINERD_LOG, pid)
    for tar in (archive.HOST_PAUSE, archive.HOST_TEST, archive.HOST_OTHERS):
        load(pid, tar)
    pin(pid, settings.PAUSE)

    say(f"layer 1: kubelet ({observe.kubelets()})")
    trees.write(settings.DISK / settings.KUBELET_CONFIG[1:], kubelet.config(settings.HOST_POLICY, f"/{settings.CGROUP}"))
    pod = kubelet.test_pod()
    trees.write(ETC / "kubernetes/manifests/test-pod.yaml", kubelet.yaml(pod) + "\n")
    host_kubelet(pid)
    if observe.kubelets() == "imitation":
        (settings.DISK / settings.GRAPH_VOLUME[1:]).mkdir(parents=True)
        cri.run_pod(socket, f"/{settings.CGROUP}", kubelet.named_by(settings.HOST_NODE, pod))


def host_kubelet(containerd):
    """Start the kubelet of layer 1 in the namespaces of its containerd."""
    words = kubelet.arguments(settings.HOST_POLICY, settings.HOST_NODE, [f"--node-ip={settings.HOST_ADDRESS}"])
    # A kubelet removes files beside it when it cleans up a container without a log path: its folder is empty.
    return spawn("kubelet", ["nsenter", "--target", containerd, "--mount", "--net", "sh", "-c", 'cd /run/kubelet-folder && exec "$@"',
                             "sh", kubelet_binary.binary(observe.kubelets()), *words], KUBELET_LOG)


def layer_2():
    """The test pod: its container runs dockerd."""
    say("layer 2: test pod")
    container = wait_until("container of the test pod", observe.test_container, KUBELET_LOG, observe.process("kubelet"))
    init = wait_until("process of the test container", lambda: container_init(container), KUBELET_LOG)
    log = pathlib.Path(f"/proc/{init}/root/var/log/dockerd.log")
    dockerd = wait_until("dockerd", observe.dockerd, log, init)
    wait_until("answer of dockerd", lambda: docker.call(dockerd, "GET", "/_ping"), log, dockerd)
    with open(archive.DOCKER_NODE, "rb") as tar:
        docker.call(dockerd, "POST", "/images/load?quiet=1", archive=tar)
    docker.call(dockerd, "POST", "/networks/create", {"Name": "kind"})


def layer_3():
    """The node containers, all at once."""
    say("layer 3: " + ", ".join(node.name for node in settings.NODES))
    dockerd = observe.dockerd()
    with concurrent.futures.ThreadPoolExecutor(len(settings.NODES)) as pool:
        work = [pool.submit(make_node, dockerd, node) for node in settings.NODES]
        try:
            for one in concurrent.futures.as_completed(work):
                one.result()
        except BaseException:
            GIVEN_UP.set()
            raise


def make_node(dockerd, node):
    """A node container as kind and CAPD make one, and what they do in it afterwards."""
    docker.call(dockerd, "POST", f"/containers/create?name={node.name}", {
        "Hostname": node.name,
        "Image": settings.NODE_IMAGE,
        "Entrypoint": ["/usr/sbin/init"],
        "Cmd": [],
        "Volumes": {"/var": {}},
        "Labels": {"io.x-k8s.kind.cluster": node.cluster, "io.x-k8s.kind.role": node.role},
        "HostConfig": {
            "Privileged": True,
            "NetworkMode": "kind",
            "CgroupnsMode": "private",
            "Tmpfs": {"/tmp": "", "/run": ""},
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1},
        },
    })
    docker.call(dockerd, "POST", f"/containers/{node.name}/start")
    init, pid = wait_for_node(dockerd, node)
    root = pathlib.Path(f"/proc/{init}/root")
    load(pid, archive.NODE_ALL)
    for image in settings.NODE_IMAGES:
        if image.pinned:
            pin(pid, image.name)
    for trace in node.traces:
        trees.write(root / trace[1:], "")
    trees.write(root / settings.KUBELET_CONFIG[1:], kubelet.config(node.policy, "/kubelet"))
    for pod in kubelet.node_pods(node):
        trees.write(root / f"etc/kubernetes/manifests/{pod['metadata']['name']}.yaml", kubelet.yaml(pod) + "\n")
    trees.write(root / "etc/kubernetes/kubelet.sh", kubelet.node_script(node))
    wait_for_pods(init, pid, node)
    say(f"  {node.name} is ready")


def wait_for_node(dockerd, node):
    """Wait until the containerd of a started node answers; the pids of its process 1 and of its containerd."""
    init = wait_until(f"process 1 of {node.name}", lambda: observe.node_init(node.name, dockerd))
    log = pathlib.Path(f"/proc/{init}/root/var/log/containerd.log")
    pid = wait_until(f"containerd of {node.name}", lambda: observe.node_child(init, "containerd"), log, init)
    wait_until(f"answer of the containerd of {node.name}", lambda: cri.call(observe.socket(pid), "Version"), log, pid)
    return init, pid


def wait_for_pods(init, pid, node):
    """Wait until the kubelet of a node runs and its static pods do."""
    socket, log = observe.socket(pid), pathlib.Path(f"/proc/{init}/root/var/log/kubelet.log")
    wait_until(f"kubelet of {node.name}", lambda: observe.node_child(init, "kubelet"), log, init)
    for pod in (kubelet.named_by(node.name, manifest) for manifest in kubelet.node_pods(node)):
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        if observe.kubelets() == "imitation" and not cri.running_container(socket, name, namespace):
            cri.run_pod(socket, "/kubelet", pod)
        wait_until(f"pod {name} of {node.name}", lambda pod=(name, namespace): cri.running_container(socket, *pod), log, init)


def load(pid, tar):
    """Import an image archive into the containerd with that pid."""
    run(CTR, "--address", observe.socket(pid), "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs", tar)


def pin(pid, image):
    """Pin an image, as kind does with those in its node images."""
    run(CTR, "--address", observe.socket(pid), "--namespace", "k8s.io", "images", "label", image, "io.cri-containerd.pinned=pinned")
