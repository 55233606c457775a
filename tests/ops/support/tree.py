"""Where things are in the repository, and the plain lists beside the checks."""

import os
import pathlib
import re
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


def cargo(field):
    """A text of [package] in Cargo.toml."""
    found = re.search(rf'(?ms)^\[package\].*?^{field} = "([^"]+)"', (ROOT / "Cargo.toml").read_text())
    return found.group(1)


def binary():
    """The newest highwater that was built from this tree; HIGHWATER_BINARY names another one."""
    if named := os.environ.get("HIGHWATER_BINARY"):
        return pathlib.Path(named)
    patterns = ("target/debug/highwater", "target/release/highwater", "target/*/dist/highwater")
    built = [path for pattern in patterns for path in ROOT.glob(pattern)]
    if not built:
        raise unittest.SkipTest("needs the binary (cargo build)")
    return max(built, key=lambda path: path.stat().st_mtime)


def need(*tools):
    """Skips the calling check unless every tool is on PATH."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking:
        raise unittest.SkipTest(f"needs {', '.join(lacking)} (tests/tools/install)")
