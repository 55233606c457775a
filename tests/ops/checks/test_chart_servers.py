"""What others say of what helm/highwater renders: Kubernetes, its pod security, the Prometheus Operator, and the agent itself."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from support import tree
from support.chart import CASES, objects, read_yaml, render

# Of other projects than Kubernetes.
FOREIGN = "ServiceMonitor,PodMonitor,PrometheusRule,SecurityContextConstraints"


def pods(text, only_agents=False):
    """What of rendered text makes pods."""
    kinds = ("DaemonSet",) if only_agents else ("DaemonSet", "Pod")
    return [item for item in read_yaml(text) if item["kind"] in kinds]


class Kubernetes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")

    def conform(self, text, folder):
        version = folder.name.removeprefix("v")
        return subprocess.run(
            ["kubeconform", "-strict", "-summary", f"-skip={FOREIGN}", f"-kubernetes-version={version}",
             f"-schema-location={folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"],
            input=text, capture_output=True, text=True,
        )  # fmt: skip

    def test_every_release_accepts_every_way_to_install(self):
        tree.need("kubeconform")
        base = pathlib.Path(os.environ.get("HIGHWATER_TOOLS", "/nonexistent"), "kubernetes-schemas")
        releases = sorted(base.glob("*/v*"))
        if not releases:
            raise unittest.SkipTest("needs kubernetes-schemas (tests/tools/install)")
        self.assertLessEqual({f"v1.{minor}.0" for minor in (25, *range(28, 38))}, {folder.name for folder in releases})
        for folder in releases:
            texts = [render(values=case, kube=folder.name.removeprefix("v")) for case in CASES]
            done = self.conform("\n---\n".join(texts), folder)
            self.assertEqual(done.returncode, 0, f"{folder.name}: {done.stdout}{done.stderr}")
            self.assertIn("Invalid: 0, Errors: 0", done.stdout)
        # An unknown field is seen.
        done = self.conform(render().replace("hostPID:", "hostPit:"), releases[-1])
        self.assertIn("hostPit", done.stdout)

    def test_the_part_for_a_test_pod_makes_a_pod(self):
        tree.need("kubeconform")
        base = pathlib.Path(os.environ.get("HIGHWATER_TOOLS", "/nonexistent"), "kubernetes-schemas")
        for folder in sorted(base.glob("*/v*")):
            (part,) = read_yaml(objects(render("profile=sidecar", kube=folder.name.removeprefix("v")))["ConfigMap"]["data"]["pod.yaml"])
            test = {"name": "test", "image": "docker:dind", "securityContext": {"privileged": True}}
            part["spec"].setdefault("containers", []).append(test)
            pod = {"apiVersion": "v1", "kind": "Pod", **part}
            pod["metadata"]["name"] = "job"
            done = self.conform(json.dumps(pod), folder)
            self.assertEqual(done.returncode, 0, f"{folder.name}: {done.stdout}{done.stderr}")

    def test_pod_security_admits_the_agents_as_privileged_and_says_why_not_as_baseline(self):
        tree.need("pod-security")

        def levels(text, **options):
            lines = "\n".join(json.dumps(item) for item in pods(text, **options))
            done = subprocess.run(["pod-security"], input=lines, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return [line.split("\t") for line in done.stdout.splitlines()]

        full, test = levels(render(kube="1.33.0"))
        self.assertEqual(full[:2], ["DaemonSet", "privileged"])
        for objection in ("host namespaces", "hostPath volumes", "non-default capabilities"):
            self.assertIn(objection, full[2])
        self.assertEqual(test, ["Pod", "restricted", ""], "the pod of helm test needs nothing")
        ((_, level, objections),) = levels(render("profile=reduced", kube="1.33.0"), only_agents=True)
        self.assertEqual(level, "privileged")
        self.assertIn("hostPath volumes", objections)
        self.assertNotIn("host namespaces", objections)

    def test_the_operators_types_know_every_field(self):
        tree.need("operator-types")
        kinds = FOREIGN.split(",")[:3]
        seen = 0
        for case in CASES:
            lines = [json.dumps(item) for item in read_yaml(render(values=case)) if item["kind"] in kinds]
            seen += len(lines)
            done = subprocess.run(["operator-types"], input="\n".join(lines), capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr, done.stdout), (0, "", f"{len(lines)} objects read\n"), case.name)
        self.assertEqual(seen, 8)
        wrong = objects(render("podMonitor.enabled=true"))["PodMonitor"]
        wrong["spec"]["podMetricsEndpoints"][0]["intervall"] = "1s"
        done = subprocess.run(["operator-types"], input=json.dumps(wrong), capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0, "an unknown field went unnoticed")


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")
        cls.binary = tree.binary()

    def run_with(self, *arguments):
        return subprocess.run([str(self.binary), *arguments], capture_output=True, text=True, timeout=60)

    def test_the_agent_accepts_its_arguments_and_its_configuration(self):
        for case in CASES:
            for item in read_yaml(render(values=case, kube="1.33.0")):
                if item["kind"] == "DaemonSet":
                    containers = item["spec"]["template"]["spec"]["containers"]
                elif item["kind"] == "Pod":
                    containers = item["spec"]["containers"]
                elif "pod.yaml" in item.get("data", {}):
                    (part,) = read_yaml(item["data"]["pod.yaml"])
                    containers = part["spec"]["initContainers"]
                else:
                    continue
                done = self.run_with(*containers[0]["args"], "--help")
                self.assertEqual(done.returncode, 0, f"{case.name}: {done.stderr}")
        self.assertNotEqual(self.run_with("run", "--web.listen-address=nowhere", "--help").returncode, 0)

    def test_the_agent_reads_the_configuration_of_the_chart(self):
        (found,) = [
            item["data"]["highwater.yaml"]
            for item in read_yaml(render(values=tree.CHART / "ci" / "everything-values.yaml"))
            if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "hw-config"
        ]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "highwater.yaml")

            def message(text):
                file.write_text(text)
                # Goes no further than to a procfs that is not there.
                done = self.run_with("run", f"--config.file={file}", "--path.procfs=/nonexistent", f"--web.listen-address=unix://{folder}/s")
                self.assertNotEqual(done.returncode, 0)
                return done.stderr

            self.assertIn("/nonexistent", message(found))
            self.assertIn(f"{file}:1:1: ", message("unknown: 1\n"))
