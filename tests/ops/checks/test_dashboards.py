"""dashboards/: complete panels, no overlap, no foreign identity, and queries that parse and name only existing metrics."""

import json
import re
import unittest

from support import tree
from support.dashboard import Dashboard, fill, used_variables
from support.promql import Names, parse_errors, problems

VALUES = {"cluster": ".*", "instance": "n1", "device": ".*", "horizon": "30m"}


class Dashboards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.boards = [Dashboard(path) for path in tree.DASHBOARDS]

    def each(self):
        self.assertTrue(self.boards)
        return self.boards

    def test_form_is_the_one_that_keeps_diffs_small(self):
        for board in self.each():
            self.assertEqual(board.text, json.dumps(board.data, indent=2, ensure_ascii=False) + "\n")

    def test_schema_title_and_identity(self):
        for board in self.each():
            self.assertGreaterEqual(board.data["schemaVersion"], 39)
            self.assertTrue(board.data["title"].startswith("highwater"))
            self.assertNotIn("id", board.data, "the database id of somebody's Grafana")
            self.assertNotIn("__inputs", board.data, "import prompts do not work with provisioning")
            self.assertEqual(board.data["uid"], board.path.stem)

    def test_panels_have_unique_ids_and_titles_a_unit_and_a_description(self):
        for board in self.each():
            ids = [panel["id"] for panel in board.panels]
            self.assertEqual(len(ids), len(set(ids)))
            titles = [panel["title"] for panel in board.panels]
            self.assertEqual(len(titles), len(set(titles)))
            for panel in board.panels:
                self.assertTrue(panel["title"].strip())
                if panel["type"] == "row":
                    continue
                self.assertTrue(panel["targets"], panel["title"])
                self.assertGreater(len(panel["description"]), 20, panel["title"])
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], panel["title"])
                names = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(names), len(set(names)), panel["title"])

    def test_panels_neither_overlap_nor_leave_the_grid(self):
        for board in self.each():
            taken = {}
            for panel in board.data["panels"]:
                place = panel["gridPos"]
                self.assertGreater(place["w"] * place["h"], 0)
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                for x in range(place["x"], place["x"] + place["w"]):
                    for y in range(place["y"], place["y"] + place["h"]):
                        self.assertNotIn((x, y), taken, f"{panel['title']} covers {taken.get((x, y))}")
                        taken[x, y] = panel["title"]

    def test_no_source_of_data_is_named(self):
        for board in self.each():
            uids = re.findall(r'"uid": "([^"]*)"', board.text)
            self.assertEqual(set(uids), {"${datasource}", board.data["uid"]})
            for panel in board.panels:
                if panel["type"] != "row":
                    self.assertEqual(panel["datasource"]["uid"], "${datasource}", panel["title"])
                    for target in panel["targets"]:
                        self.assertEqual(target["datasource"]["uid"], "${datasource}", panel["title"])
            self.assertEqual(board.variables["datasource"]["type"], "datasource")

    def test_variables_used_are_defined_and_variables_defined_are_used(self):
        for board in self.each():
            own = set(board.variables)
            used = {name for name in used_variables(board.text) if not name.startswith("__")}
            self.assertEqual(used, own)

    def test_every_query_keeps_to_the_chosen_node(self):
        for board in self.each():
            for where, expression, _ in board.queries():
                for metric, matchers in Names(fill(expression, VALUES)).selectors:
                    labels = {label for label, _, _ in matchers}
                    self.assertLessEqual({"cluster", "instance"}, labels, f"{where}: {metric}")

    def test_every_query_parses(self):
        tree.need("promtool")
        for board in self.each():
            queries = [fill(expression, VALUES) for _, expression, _ in board.queries()]
            queries += [fill(note["expr"], VALUES) for note in board.data["annotations"]["list"]]
            self.assertGreater(len(queries), 20)
            self.assertEqual(parse_errors(queries), "")

    def test_a_query_that_does_not_parse_is_seen(self):
        tree.need("promtool")
        self.assertIn("parse error", parse_errors(["sum by (layer) (", "up"]))

    def test_every_query_names_only_what_exists(self):
        known = tree.metrics() | {"up": []}
        for board in self.each():
            for where, expression, _ in board.queries():
                found = problems(fill(expression, VALUES), known, tree.label_values(), tree.TARGET_LABELS)
                self.assertEqual(found, [], where)

    def test_variables_ask_only_for_what_exists(self):
        known = tree.metrics()
        for board in self.each():
            asked = 0
            for name, variable in board.variables.items():
                if variable["type"] != "query":
                    continue
                asked += 1
                found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                self.assertIsNotNone(found, name)
                selector, label = found.groups()
                metric, _ = Names(fill(selector, VALUES)).selectors[0]
                self.assertIn(metric, known)
                self.assertIn(label, tree.TARGET_LABELS | set(known[metric]))
                self.assertEqual(problems(fill(selector, VALUES), known, {}, tree.TARGET_LABELS), [])
            self.assertGreater(asked, 2)

    def test_closed_sets_offered_are_the_agents_own(self):
        for board in self.each():
            offered = board.variables["horizon"]["query"].split(",")
            self.assertEqual(offered, tree.label_values()["horizon"])
