"""With a real Prometheus: it scrapes a three-layer node, evaluates every rule, and every dashboard query has an answer."""

import re
import subprocess
import unittest

from support import live, tree
from support.dashboard import Dashboard, fill

VALUES = {"cluster": ".*", "instance": live.INSTANCE, "device": ".*", "horizon": "30m"}


class Example(unittest.TestCase):
    """tests/ops/node.prom, which stands for an agent here."""

    def test_it_has_every_metric_of_the_list_with_its_labels_and_no_other(self):
        seen = {}
        for name, labels in live.samples(live.exposition(0)):
            seen.setdefault(name, set()).add(labels)
        self.assertEqual({name: sorted(sets) for name, sets in seen.items()}, {
            name: [tuple(labels)] for name, labels in tree.metrics().items()
        })

    def test_promtool_finds_nothing_against_it(self):
        tree.need("promtool")
        done = subprocess.run(["promtool", "check", "metrics"], input=live.exposition(0), capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_bytes_of_layers_sum_to_the_used_bytes(self):
        text = live.exposition(0)
        held = sum(int(value) for value in re.findall(r"(?m)^highwater_layer_exclusive_bytes\{.*\} (\d+)$", text))
        size, available = (
            int(re.search(rf"(?m)^highwater_filesystem_{name}_bytes\{{.*\}} (\d+)$", text).group(1))
            for name in ("size", "avail")
        )
        self.assertEqual(held, size - available)


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("prometheus")
        cls.server = cls.enterClassContext(live.running())

    def test_the_scrape_has_no_error_and_drops_nothing(self):
        (target,) = self.server.api("targets")["data"]["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        samples = len(list(live.samples(live.exposition(0))))
        (scraped,) = self.server.query(f'scrape_samples_scraped{{instance="{live.INSTANCE}"}}')
        (kept,) = self.server.query(f'scrape_samples_post_metric_relabeling{{instance="{live.INSTANCE}"}}')
        self.assertEqual([scraped["value"][1], kept["value"][1]], [str(samples), str(samples)])

    def test_every_rule_is_evaluated_without_error(self):
        def rules():
            return [rule for group in self.server.api("rules")["data"]["groups"] for rule in group["rules"]]

        self.server.until(lambda: rules() and all(rule["health"] != "unknown" for rule in rules()), 60, "evaluation")
        self.assertEqual([rule["lastError"] for rule in rules() if rule["health"] != "ok"], [])

    def test_the_example_node_has_one_pending_alert_for_its_disk(self):
        def pending():
            return self.server.query("ALERTS")

        self.server.until(pending, 60, "an alert")
        found = {(each["metric"]["alertname"], each["metric"].get("mountpoint"), each["metric"].get("layer")) for each in pending()}
        self.assertEqual(found, {("HighwaterImageGCImminent", "/", None)})

    def test_every_dashboard_query_has_an_answer_with_the_labels_of_its_legend(self):
        asked = 0
        for path in tree.DASHBOARDS:
            for where, expression, legend in Dashboard(path).queries():
                asked += 1
                with self.subTest(query=where):
                    series = self.server.query(fill(expression, VALUES))
                    self.assertTrue(series, "no data")
                    for label in re.findall(r"\{\{(\w+)\}\}", legend):
                        for one in series:
                            self.assertIn(label, one["metric"])
        self.assertGreater(asked, 20)

    def test_the_used_bytes_of_the_stack_are_the_sum_of_its_layers(self):
        (board,) = [Dashboard(path) for path in tree.DASHBOARDS if path.stem == "highwater-node"]
        stack = {where: fill(expression, VALUES) for where, expression, _ in board.queries() if where.startswith("Usage per layer")}
        layers, rest, used = (self.server.query(stack[f"Usage per layer/{name}"]) for name in "ABC")
        self.assertEqual(len(layers), 4)
        total = sum(float(series["value"][1]) for series in layers + rest)
        self.assertEqual(total, float(used[0]["value"][1]))

    def test_lines_of_triggers_stand_where_the_kubelet_acts(self):
        (board,) = [Dashboard(path) for path in tree.DASHBOARDS if path.stem == "highwater-node"]
        expression = dict((where, text) for where, text, _ in board.queries())["Level against every trigger line/B"]
        lines = {
            (series["metric"]["layer"], series["metric"]["trigger"]): round(float(series["value"][1]), 3)
            for series in self.server.query(fill(expression, VALUES))
        }
        self.assertEqual(lines["host", "image_gc"], 0.84)
        self.assertEqual(lines["host", "image_eviction"], 0.85)
        self.assertEqual(lines["host", "pod_eviction"], 0.9)
        self.assertEqual(lines["host/ci/e2e/kind-worker", "disk_full"], 1.0)
        self.assertNotIn(("host/ci/e2e/kind-worker", "image_gc"), lines)
