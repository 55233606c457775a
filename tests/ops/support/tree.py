"""Where things are in the repository, and the plain lists beside the checks."""

import pathlib
import shutil
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
OPS = ROOT / "tests" / "ops"
CHART = ROOT / "helm" / "highwater"
RULES = sorted((ROOT / "alerts").glob("*.rules.yaml"))
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "runbooks"

# Labels that a target may bring: Prometheus' own, and what its configuration or the Operator adds.
TARGET_LABELS = {"cluster", "job", "instance", "node", "namespace", "pod", "container", "endpoint", "service"}


def read_list(name):
    """A list file as {first word: [the other words]}; # starts a comment line."""
    out = {}
    for line in (OPS / name).read_text().splitlines():
        words = line.split()
        if words and not line.startswith("#"):
            if words[0] in out:
                raise ValueError(f"{name}: {words[0]} is there twice")
            out[words[0]] = words[1:]
    return out


def metrics():
    """Metric name -> its labels, as the agent exports them."""
    return read_list("metrics.txt")


def label_values():
    """Label -> its closed set of values."""
    return read_list("label_values.txt")


def need(*tools):
    """Skips the calling check unless every tool is on PATH."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking:
        raise unittest.SkipTest(f"needs {', '.join(lacking)} (tests/tools/install)")
