""".github/workflows: actionlint, least permissions, pinned actions, and steps that are make targets which run here."""

import re
import subprocess
import unittest

from support import tree
from support.chart import read_yaml

WORKFLOWS = sorted((tree.ROOT / ".github" / "workflows").glob("*.yml"))


class Workflows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")
        cls.parsed = {file.stem: read_yaml(file.read_text())[0] for file in WORKFLOWS}

    def steps(self):
        for name, workflow in self.parsed.items():
            for job in workflow["jobs"].values():
                for step in job["steps"]:
                    yield name, step

    def test_there_are_three_and_actionlint_finds_nothing(self):
        tree.need("actionlint")
        self.assertEqual(sorted(self.parsed), ["checks", "release", "weekly"])
        done = subprocess.run(["actionlint", "-no-color", *map(str, WORKFLOWS)], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_actions_are_pinned_by_commit_with_their_release_beside(self):
        uses = [line for file in WORKFLOWS for line in file.read_text().splitlines() if "uses:" in line]
        self.assertGreater(len(uses), 5)
        for line in uses:
            self.assertRegex(line, r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

    def test_nobody_may_write_but_the_job_that_publishes(self):
        for name, workflow in self.parsed.items():
            self.assertEqual(workflow["permissions"], {} if name == "release" else {"contents": "read"}, name)
            for job, body in workflow["jobs"].items():
                if "write" in str(body.get("permissions")):
                    self.assertEqual((name, job), ("release", "publish"))
        for _, step in self.steps():
            if "checkout" in step.get("uses", ""):
                self.assertIs(step["with"]["persist-credentials"], False)

    def test_no_text_of_an_event_is_put_into_a_script(self):
        for name, step in self.steps():
            self.assertNotIn("${{", step.get("run", ""), name)

    def test_every_step_is_a_make_target(self):
        targets = set(re.findall(r"(?m)^([a-z-]+):.*##", (tree.ROOT / "Makefile").read_text()))
        named = set()
        for name, step in self.steps():
            run = step.get("run", "")
            # What only GitHub can do: the release itself, and the gate over the other jobs.
            if not run or run.startswith(("gh release create", "for result in")):
                continue
            words = re.fullmatch(r'(?:sudo -E env "PATH=\$PATH" "HOME=\$HOME" )?make (.+)', run)
            self.assertTrue(words, f"{name}: {run}")
            for word in words.group(1).split():
                if word == '"$TARGET"':
                    named.update(self.parsed["weekly"]["jobs"]["long"]["strategy"]["matrix"]["target"])
                elif "=" not in word:
                    named.add(word)
        self.assertLessEqual(named, targets)
        self.assertLessEqual({"lint", "test-rust", "test-ops", "msrv", "dist", "image", "packages", "sbom", "publish"}, named)
