"""What a kubelet of the lab is given: settings, arguments, static pods; in real ones and imitations alike."""

import json
import shlex

from . import settings


def yaml(value, depth=0):
    """Plain values as YAML in block form, texts quoted."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        lines = []
        for key, inner in value.items():
            nested = isinstance(inner, (dict, list)) and inner
            lines.append(f"{pad}{key}:\n{yaml(inner, depth + 1)}" if nested else f"{pad}{key}: {json.dumps(inner)}")
        return "\n".join(lines)
    if isinstance(value, list) and value:
        return "\n".join(f"{pad}-{yaml(one, depth + 1)[2 * depth + 1:]}" if isinstance(one, dict) else f"{pad}- {json.dumps(one)}" for one in value)
    return f"{pad}{json.dumps(value)}"


def config(policy, cgroup_root):
    """A settings file as kubeadm writes it, zeros included (they mean the default), with what the lab needs beside it."""
    written = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False, "cacheTTL": "0s"}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        # A kubelet takes pods below its root that it does not know for orphans, and kills them.
        "cgroupRoot": cgroup_root,
        "containerRuntimeEndpoint": f"unix://{settings.CONTAINERD_SOCKET}",
        "evictionPressureTransitionPeriod": "0s",
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageMaximumGCAge": "0s",
        "imageMinimumGCAge": "0s",
        "makeIPTablesUtilChains": False,
        # Where CAP_SYS_RESOURCE is missing the usual -999 is refused.
        "oomScoreAdj": 0,
        "resolvConf": "",
        "staticPodPath": "/etc/kubernetes/manifests",
        "volumePluginDir": f"{settings.KUBELET_ROOT}/volume-plugins",
    }
    if policy.high_origin == "file":
        written["imageGCHighThresholdPercent"] = policy.high
    if policy.eviction_origin == "file":
        written["evictionHard"] = policy.eviction
    return yaml({field: value for field, value in written.items() if settings.MINOR >= SINCE.get(field, 0)}) + "\n"


# The minor release that brought a setting: an older kubelet does not start with it.
SINCE = {"containerRuntimeEndpoint": 27, "failCgroupV1": 31, "imageMaximumGCAge": 29}


def arguments(policy, node, extra=()):
    """The arguments behind the program's name."""
    words = [f"--config={settings.KUBELET_CONFIG}", f"--hostname-override={node}", *extra, "--v=2"]
    if policy.high_origin == "flag":
        words.append(f"--image-gc-high-threshold={policy.high}")
    if policy.eviction_origin == "flag":
        words.append("--eviction-hard=" + ",".join(f"{signal}<{value}" for signal, value in policy.eviction.items()))
    return words


def node_script(node):
    """The file from which process 1 of a node starts its kubelet."""
    extra = [f"--provider-id=kind://docker/{node.cluster}/{node.name}", "--node-labels="]
    if node.kind == "capd_node":
        extra.append("--fail-swap-on=false")
    return "exec /usr/bin/kubelet " + shlex.join(arguments(node.policy, node.name, extra)) + "\n"


def pod(name, namespace, uid, container, image, command, labels=None):
    """A static pod on the network of its node: no CNI is needed."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels or {"component": name}},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": container,
                "image": image,
                "imagePullPolicy": "Never",
                "command": command,
                "resources": {"requests": {"cpu": "10m", "memory": "10Mi"}},
            }],
        },
    }


def test_pod():
    """The test pod as Prow makes it: privileged, with Docker's data on an emptyDir."""
    made = pod(settings.POD_MANIFEST_NAME, settings.POD_NAMESPACE, settings.POD_UID, settings.POD_CONTAINER,
               settings.TEST_IMAGE, ["/usr/local/bin/runner.sh"], settings.POD_LABELS)
    made["spec"]["containers"][0] |= {
        "securityContext": {"privileged": True},
        "env": [{"name": "DOCKER_IN_DOCKER_ENABLED", "value": "true"}],
        "volumeMounts": [{"name": "docker-graph", "mountPath": settings.GRAPH}],
    }
    made["spec"]["volumes"] = [{"name": "docker-graph", "emptyDir": {}}]
    return made


def node_pods(node):
    """The static pods of a node."""
    return [
        pod(name, "kube-system", f"{name}-{node.name}", name, image, ["/bin/sleep", "1000000000"])
        for name, image in settings.NODE_PODS
    ]


def named_by(node_name, manifest):
    """The manifest as its kubelet sees it: the node's name is put behind the pod's."""
    return manifest | {"metadata": manifest["metadata"] | {"name": f"{manifest['metadata']['name']}-{node_name}"}}
