"""The same questions to a running agent, named by HIGHWATER_AGENT=host:port; without that variable this file is left out.

    highwater demo &   then   HIGHWATER_AGENT=127.0.0.1:9469 tests/ops/run agent
"""

import os
import subprocess
import unittest
import urllib.request

from support import live, tree
from support.dashboard import Dashboard, fill

VALUES = {"cluster": ".*", "instance": live.INSTANCE, "device": ".*", "horizon": "30m"}


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("promtool", "prometheus")
        cls.target = os.environ["HIGHWATER_AGENT"]
        asked = urllib.request.Request(f"http://{cls.target}/metrics", headers={"Accept": "text/plain; version=0.0.4"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            cls.text = answer.read().decode()
        cls.server = cls.enterClassContext(live.running(cls.target))

    def test_promtool_finds_nothing_against_its_metrics(self):
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_what_it_exports_has_the_labels_of_the_list(self):
        known, seen = tree.metrics(), set()
        for name, labels in live.samples(self.text):
            if name in known:
                seen.add(name)
                self.assertEqual(set(labels), set(known[name]), name)
            else:
                self.assertFalse(name.startswith("highwater_"), f"{name} is not in metrics.txt")
        self.assertIn("highwater_layer_info", seen)
        print(f"not exported by this agent: {', '.join(sorted(set(known) - seen)) or 'nothing'}")

    def test_prometheus_scrapes_it_without_error_and_drops_nothing(self):
        (target,) = self.server.api("targets")["data"]["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        (scraped,) = self.server.query("scrape_samples_scraped")
        (kept,) = self.server.query("scrape_samples_post_metric_relabeling")
        self.assertEqual(scraped["value"][1], kept["value"][1])

    def test_every_rule_is_evaluated_without_error(self):
        def rules():
            return [rule for group in self.server.api("rules")["data"]["groups"] for rule in group["rules"]]

        self.server.until(lambda: rules() and all(rule["health"] != "unknown" for rule in rules()), 60, "evaluation")
        self.assertEqual([rule["lastError"] for rule in rules() if rule["health"] != "ok"], [])

    def test_every_dashboard_query_is_answered_without_error(self):
        empty = []
        for path in tree.DASHBOARDS:
            for where, expression, _ in Dashboard(path).queries():
                if not self.server.query(fill(expression, VALUES)):
                    empty.append(where)
        print(f"without data just now: {', '.join(empty) or 'nothing'}")
