"""docs/install.md and the chart's README: their helm commands work with this chart, their make targets, links and files are there."""

import re
import shlex
import unittest

from support import tree
from support.chart import helm

PAGES = [tree.ROOT / "docs" / "install.md", tree.ROOT / "docs" / "release.md", tree.CHART / "README.md", tree.ROOT / ".github" / "SECURITY.md"]


def commands(page):
    """The lines of the indented blocks, continued ones joined, without their comments."""
    text = re.sub(r"\\\n\s*", "", page.read_text())
    return [line.split(" #")[0].strip() for line in re.findall(r"(?m)^    (\S.*)$", text)]


class Install(unittest.TestCase):
    def test_helm_commands_render(self):
        tree.need("helm")
        seen = 0
        for page in PAGES:
            for line in commands(page):
                if not line.startswith("helm install "):
                    continue
                seen += 1
                _, _, release, chart, *rest = shlex.split(line)
                self.assertRegex(chart, r"^(oci://ghcr\.io/[a-z0-9-]+/charts/highwater|helm/highwater)$")
                if "--version" in rest:
                    self.assertEqual(rest[rest.index("--version") + 1], tree.cargo("version"))
                    del rest[rest.index("--version") : rest.index("--version") + 2]
                settings = [word for word in rest if word != "--wait"]
                self.assertIn("app.kubernetes.io/name: highwater", helm("template", release, str(tree.CHART), *settings).stdout, line)
        self.assertGreaterEqual(seen, 4)

    def test_make_targets_exist(self):
        targets = set(re.findall(r"(?m)^([a-z-]+):.*##", (tree.ROOT / "Makefile").read_text()))
        for page in PAGES:
            for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", "\n".join(re.findall(r"`([^`\n]+)`", page.read_text()) + commands(page))):
                self.assertLessEqual(set(words.split()), targets, f"{page.name}: make {words}")

    def test_links_lead_somewhere(self):
        for page in PAGES:
            text = page.read_text()
            for target in re.findall(r"\]\(([^)]+)\)", text):
                path, _, anchor = target.partition("#")
                file = page.parent / path if path else page
                self.assertTrue(file.exists(), f"{page.name}: {target}")
                if anchor:
                    heads = re.findall(r"(?m)^#+ (.+)$", file.read_text())
                    anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
                    self.assertIn(anchor, anchors, f"{page.name}: {target}")

    def test_values_that_are_named_exist(self):
        tree.need("helm")
        for page in PAGES:
            for key, value in re.findall(r"`([a-z][A-Za-z]+(?:\.[A-Za-z]+)+)=([a-z_]+)`", page.read_text()):
                helm("template", "hw", str(tree.CHART), "--set", f"{key}={value}")
