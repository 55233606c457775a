"""One place names the repository, Cargo.toml; a fork changes it there, and this says where else."""

import re
import subprocess
import unittest

from support import tree
from support.chart import agent_of, objects, read_yaml, render


class Repository(unittest.TestCase):
    def test_chart_image_and_runbooks_name_it(self):
        tree.need("helm")
        repository, version = tree.cargo("repository"), tree.cargo("version")
        (chart,) = read_yaml((tree.CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["home"], chart["sources"]), (repository, [repository]))
        image = repository.lower().replace("https://github.com/", "ghcr.io/")
        self.assertEqual(agent_of(render())["image"], f"{image}:{version}")
        rules = objects(render("prometheusRule.enabled=true"))["PrometheusRule"]["spec"]["groups"]
        pages = {rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"] if "alert" in rule}
        for page in pages:
            self.assertRegex(page, rf"^{re.escape(repository)}/blob/v{re.escape(version)}/docs/runbooks/\w+\.md$")
            self.assertTrue((tree.RUNBOOKS / page.rsplit("/", 1)[1]).is_file())

    def test_every_other_text_that_names_a_repository_of_this_name_means_this_one(self):
        owner = tree.cargo("repository").removeprefix("https://github.com/").split("/")[0]
        listed = subprocess.run(["git", "-C", str(tree.ROOT), "grep", "-IhoE", r"(github\.com|ghcr\.io)/[A-Za-z0-9_.-]+/(charts/)?highwater\b"],
                                capture_output=True, text=True)  # fmt: skip
        owners = {name.split("/")[1] for name in listed.stdout.split()}
        # OWNER stands for whoever reads it.
        self.assertEqual(owners - {"OWNER"}, {owner})
