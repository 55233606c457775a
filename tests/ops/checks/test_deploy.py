"""deploy/ and what a checkout brings: kustomize bases are the chart's, examples fit it, and what Flux keeps of a tree still installs."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from support import tree
from support.chart import ALL, helm, objects, read_yaml, render

DEPLOY = tree.ROOT / "deploy"
# source.toolkit.fluxcd.io leaves these out of what it hands on, and every symbolic link.
FLUX_LEAVES_OUT = re.compile(
    r"(^|/)(\.git|\.github|\.circleci)(/|$)|\.(jpg|jpeg|gif|png|wmv|flv|tar\.gz|zip)$|(^|/)\.(gitignore|gitmodules|gitattributes)$"
)


class Deploy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")

    def test_what_is_rendered_is_kept_up_to_date(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([str(tree.ROOT / "packaging" / "render"), folder], check=True)
            made = [path.relative_to(folder) for path in pathlib.Path(folder).rglob("*") if path.is_file()]
            self.assertEqual(len(made), 4)
            for path in made:
                self.assertEqual((tree.ROOT / path).read_bytes(), pathlib.Path(folder, path).read_bytes(), f"{path}: run `make render`")

    def test_kustomize_gives_what_the_chart_gives(self):
        tree.need("kustomize")

        def built(name):
            done = subprocess.run(["kustomize", "build", str(DEPLOY / "kustomize" / name)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return objects(done.stdout)

        base, monitoring = built("base"), built("monitoring")
        self.assertEqual(set(base), {"Namespace", "ServiceAccount", "Service", "DaemonSet"})
        self.assertEqual(set(monitoring) - set(base), {"ServiceMonitor", "PrometheusRule"})
        self.assertEqual(base["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged")
        chart = objects(render(*ALL, release="highwater", namespace="highwater", kube="1.31.0"))
        for kind in ("DaemonSet", "Service", "ServiceMonitor", "PrometheusRule"):
            for meta in (chart[kind]["metadata"], chart[kind]["spec"].get("template", {}).get("metadata", {"labels": {}})):
                for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
                    meta["labels"].pop(label, None)
            self.assertEqual(monitoring[kind], chart[kind], kind)

    def test_examples_install_with_the_values_that_they_have(self):
        seen = 0
        for file in sorted(DEPLOY.glob("*/*.yaml")):
            for item in read_yaml(file.read_text()):
                if item["kind"] == "HelmRelease":
                    values = item["spec"]["values"]
                elif item["kind"] == "Application":
                    values = item["spec"]["source"]["helm"]["valuesObject"]
                else:
                    continue
                seen += 1
                done = helm("template", "highwater", str(tree.CHART), "--values", "-", stdin=json.dumps(values))
                self.assertIn("kind: ServiceMonitor", done.stdout, file.name)
        self.assertEqual(seen, 3)

    def test_what_flux_keeps_of_a_checkout_installs_the_same(self):
        listed = subprocess.run(["git", "-C", str(tree.ROOT), "ls-files", "-z", "helm"], capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name and not FLUX_LEAVES_OUT.search(name)]
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                source = tree.ROOT / name
                if source.is_symlink() or not source.exists():
                    continue
                target = pathlib.Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            self.assertEqual(render(*ALL, chart=f"{folder}/helm/highwater"), render(*ALL))
