"""alerts/: promtool accepts and tests the rules, they name only what exists, and the unit tests would notice a change."""

import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from support import tree
from support.chart import read_yaml
from support.promql import problems

RULES = tree.ROOT / "alerts" / "highwater.rules.yaml"
TESTS = tree.ROOT / "alerts" / "highwater.rules_test.yaml"
DISK = {"cluster", "job", "instance", "node", "device", "mountpoint"}

# (what stands in the rules, what would be wrong): with each of these the unit tests must fail.
MUTANTS = [
    ("(1, highwater_layer_info)", "(2, highwater_layer_info)"),
    ('horizon="30m", trigger=~', "trigger=~"),
    ('horizon="30m", trigger=~', 'horizon="6h", trigger=~'),
    ("image_gc|image_eviction", "image_gc"),
    ("image_gc|image_eviction", "image_gc|image_eviction|disk_full"),
    ("highwater_image_gc_enabled == 0", "highwater_image_gc_enabled == 1"),
    ("highwater_image_gc_enabled == 0", "highwater_image_gc_enabled"),
    ("unless on (cluster, job, instance, layer, trigger)", "unless on (cluster, job, instance, layer)"),
    ("instance, node, layer, device, mountpoint, trigger)", "instance, node, layer, device, mountpoint, trigger, pod)"),
    ("instance, node, layer, device, mountpoint, trigger)", "instance, layer, device, mountpoint, trigger)"),
    (
        "node, device, mountpoint) (\n            layer:",
        "node, device, mountpoint, layer) (\n            layer:",
    ),
    ("node, device, mountpoint) (\n            layer:", "node, device) (\n            layer:"),
    ("probability:30m >= 0.5\n        for", "probability:30m >= 0.4\n        for"),
    ("probability:30m >= 0.5\n        for", "probability:30m >= 0.6\n        for"),
    ("probability:30m >= 0.5\n        for", "probability:30m > 0.5\n        for"),
    ("for: 1m\n        keep_firing_for: 10m", "for: 0m\n        keep_firing_for: 10m"),
    ("for: 1m\n        keep_firing_for: 10m", "for: 5m\n        keep_firing_for: 10m"),
    ("for: 1m\n        keep_firing_for: 10m", "for: 1m\n        keep_firing_for: 1m"),
    ("for: 1m\n        keep_firing_for: 10m", "for: 1m\n        keep_firing_for: 1h"),
    ('{horizon="1h", trigger="disk_full"}', '{horizon="1h"}'),
    ('{horizon="1h", trigger="disk_full"}', '{trigger="disk_full"}'),
    ("probability:1h >= 0.5", "probability:1h >= 0.4"),
    ("probability:1h >= 0.5", "probability:1h >= 0.8"),
    ("for: 2m\n        keep_firing_for: 10m", "for: 0m\n        keep_firing_for: 10m"),
    ("for: 2m\n        keep_firing_for: 10m", "for: 2m\n        keep_firing_for: 1m"),
    ('{component!="other"}', ""),
    ("present_over_time(highwater_build_info[1d])", "highwater_build_info"),
    ('up{job=~"(.+[-/])?highwater"}', "vector(0)"),
    ("(.+[-/])?highwater", ".*highwater.*"),
    ("instance, node) (\n            up", "instance, node, pod) (\n            up"),
    ("max by (cluster, job, instance, node) (\n            up", "min by (cluster, job, instance, node) (\n            up"),
    ("agent:highwater_up:max == 0", "agent:highwater_up:max == 1"),
    ("for: 5m\n        labels", "for: 0m\n        labels"),
    ("for: 5m\n        labels", "for: 20m\n        labels"),
    ("for: 15m\n        labels", "for: 1m\n        labels"),
    ("for: 15m\n        labels", "for: 1h\n        labels"),
    ("unless on (cluster, job, instance) highwater_layer_info", "unless on (cluster, job) highwater_layer_info"),
    ("for: 10m\n        labels", "for: 0m\n        labels"),
    ("for: 10m\n        labels", "for: 20m\n        labels"),
    ("timestamp_seconds > 120", "timestamp_seconds > 30"),
    ("timestamp_seconds > 120", "timestamp_seconds > 1200"),
    ("            or\n            highwater_filesystem_stuck == 1\n", ""),
    ("for: 3m\n        labels", "for: 0m\n        labels"),
    ("            and max_over_time(highwater_source_up[15m]) == 0\n", ""),
    ("            and highwater_source_up offset 15m == 0\n", ""),
    ("            highwater_source_up == 0\n            and max", "            max"),
    ("node) (\n            highwater_source_up", "node, layer) (\n            highwater_source_up"),
]


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("promtool", "helm")
        (cls.file,) = read_yaml(RULES.read_text())
        cls.rules = [rule for group in cls.file["groups"] for rule in group["rules"]]
        cls.alerts = [rule for rule in cls.rules if "alert" in rule]
        cls.recorded = [rule["record"] for rule in cls.rules if "record" in rule]

    def test_promtool_accepts_the_rules(self):
        done = promtool("check", "rules", "--lint=all", "--lint-fatal", *tree.RULES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_unit_tests_pass(self):
        done = promtool("test", "rules", *sorted((tree.ROOT / "alerts").glob("*_test.yaml")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_three_alerts_are_there_with_severity_texts_and_a_runbook(self):
        self.assertEqual(
            {rule["alert"] for rule in self.alerts},
            {"HighwaterImageGCImminent", "HighwaterDiskFullImminent", "HighwaterAgentBlind"},
        )
        for rule in self.alerts:
            with self.subTest(alert=rule["alert"], labels=rule["labels"]):
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook_url"})
                page = rule["annotations"]["runbook_url"]
                self.assertEqual(page, f"docs/runbooks/{rule['alert']}.md")
                self.assertTrue((tree.ROOT / page).is_file(), f"{page} is missing")
                self.assertIn("for", rule)

    def test_rules_name_only_what_exists(self):
        known = tree.metrics() | {name: None for name in self.recorded} | {"up": []}
        for rule in self.rules:
            found = problems(rule["expr"], known, tree.label_values(), tree.TARGET_LABELS)
            self.assertEqual(found, [], rule.get("alert") or rule.get("record"))

    def test_templates_name_only_what_exists(self):
        known = tree.metrics() | {name: None for name in self.recorded}
        queries = 0
        for rule in self.alerts:
            for text in rule["annotations"].values():
                for query in re.findall(r'with printf "((?:[^"\\]|\\.)*)"', text):
                    queries += 1
                    # What printf fills in: a list of matchers, a quoted value, or an `on` clause.
                    plain = query.replace('\\"', '"').replace("=%q", '="$any"').replace("{%s", '{job="x"')
                    plain = plain.replace("%s", "on (cluster, job, instance, layer)")
                    found = problems(plain, known, tree.label_values(), tree.TARGET_LABELS)
                    self.assertEqual(found, [], f"{rule['alert']}: {query}")
        self.assertGreater(queries, 8)

    def test_records_used_by_a_rule_stand_above_it(self):
        seen = set()
        for rule in self.rules:
            used = {name for name in self.recorded if name in rule["expr"]}
            self.assertLessEqual(used - {rule.get("record")}, seen, rule)
            if "record" in rule:
                self.assertNotIn(rule["record"], used, "a rule must not read itself")
                seen.add(rule["record"])

    def test_every_record_is_used(self):
        text = RULES.read_text()
        for name in self.recorded:
            self.assertGreater(text.count(name), 1, f"{name} is recorded and never read")

    def test_every_alert_is_tested_firing_and_silent(self):
        (tests,) = read_yaml(TESTS.read_text())
        fires, silent = set(), set()
        for test in tests["tests"]:
            for case in test.get("alert_rule_test", []):
                reasons = [alert["exp_labels"].get("reason", "") for alert in case["exp_alerts"]]
                fires.update((case["alertname"], reason) for reason in reasons)
                if not reasons:
                    silent.add(case["alertname"])
        for rule in self.alerts:
            self.assertIn((rule["alert"], rule["labels"].get("reason", "")), fires)
            self.assertIn(rule["alert"], silent)

    def test_unit_tests_notice_every_mutant(self):
        text = RULES.read_text()
        with tempfile.TemporaryDirectory() as folder:

            def survives(number_and_mutant):
                number, (old, new) = number_and_mutant
                if old not in text:
                    return f"no longer in the rules, change the list: {old!r}"
                place = pathlib.Path(folder, str(number))
                place.mkdir()
                (place / RULES.name).write_text(text.replace(old, new))
                shutil.copy(TESTS, place)
                if promtool("check", "rules", place / RULES.name).returncode != 0:
                    return f"is no rule file, so it proves nothing: {old!r} -> {new!r}"
                done = promtool("test", "rules", place / TESTS.name)
                return f"goes unnoticed: {old!r} -> {new!r}" if done.returncode == 0 else None

            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                found = [text for text in pool.map(survives, enumerate(MUTANTS)) if text]
        self.assertEqual(found, [])


class Alertmanager(unittest.TestCase):
    """The routing example that the runbooks name."""

    def route(self, **labels):
        done = subprocess.run(
            ["amtool", "config", "routes", "test", f"--config.file={tree.ROOT / 'alerts' / 'alertmanager.example.yaml'}"]
            + [f"{name}={value}" for name, value in labels.items()],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_the_example_is_accepted_and_routes_by_severity(self):
        tree.need("amtool")
        example = tree.ROOT / "alerts" / "alertmanager.example.yaml"
        done = subprocess.run(["amtool", "check-config", example], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.route(alertname="HighwaterDiskFullImminent", severity="critical"), "pager")
        self.assertEqual(self.route(alertname="HighwaterImageGCImminent", severity="warning"), "tickets")
        self.assertEqual(self.route(alertname="HighwaterAgentBlind", severity="warning", reason="down"), "tickets")
