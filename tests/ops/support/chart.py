"""Renders the chart with helm, and reads YAML through helm: Python's standard library has no YAML reader."""

import functools
import json
import pathlib
import re
import subprocess
import tempfile

from support import tree


def helm(*arguments, check=True, stdin=None):
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"helm {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done


@functools.lru_cache(maxsize=None)
def _reader():
    """A chart that prints its values as JSON; kept for the life of the process."""
    folder = tempfile.TemporaryDirectory(prefix="highwater-ops-")
    root = pathlib.Path(folder.name)
    (root / "Chart.yaml").write_text("apiVersion: v2\nname: reader\nversion: 0.0.0\n")
    (root / "templates").mkdir()
    (root / "templates" / "out.yaml").write_text('out: {{ toRawJson .Values.documents | b64enc }}\n')
    return folder


def read_yaml(text):
    """The documents of a YAML text, empty ones left out."""
    import base64

    documents = [part for part in re.split(r"(?m)^---[^\n]*$", text) if part.strip()]
    values = "documents:\n" + "".join(
        "  -\n" + "".join(f"    {line}\n" for line in part.splitlines()) for part in documents
    )
    done = helm("template", "reader", _reader().name, "--values", "-", stdin=values)
    encoded = re.search(r"^out: (\S+)$", done.stdout, re.MULTILINE).group(1)
    return [document for document in json.loads(base64.b64decode(encoded)) if document is not None]


ALL = ("serviceMonitor.enabled=true", "prometheusRule.enabled=true", "dashboards.enabled=true")


# Values files, one for each way to install; chart-testing looks here too.
CASES = sorted((tree.CHART / "ci").glob("*-values.yaml"))


@functools.lru_cache(maxsize=None)
def render(*settings, release="hw", namespace="monitoring", chart=str(tree.CHART), kube="", values=""):
    """The text that `helm template` gives for these --set arguments and this values file."""
    arguments = ["template", release, chart, "--namespace", namespace]
    if values:
        arguments += ["--values", str(values)]
    for setting in settings:
        arguments += ["--set", setting]
    if kube:
        arguments += ["--kube-version", kube]
    return helm(*arguments).stdout


def pod_of(text):
    """The pod specification of the DaemonSet."""
    return objects(text)["DaemonSet"]["spec"]["template"]["spec"]


def agent_of(text):
    """The agent's container in the DaemonSet."""
    return next(item for item in pod_of(text)["containers"] if item["name"] == "highwater")


def objects(text):
    """Rendered text as {kind: object}; one of each kind is expected."""
    out = {}
    for item in read_yaml(text):
        if item["kind"] in out:
            raise AssertionError(f"two objects of kind {item['kind']}")
        out[item["kind"]] = item
    return out
