"""The reader of PromQL that the other checks stand on."""

import unittest

from support.promql import Names, problems


class Reading(unittest.TestCase):
    def test_names_of_a_join_are_its_two_metrics(self):
        names = Names('sum by (layer) (a{x="1", y=~"b|c"} * on (i, layer) group_left (device) b offset 5m) > Inf')
        self.assertEqual(names.selectors, [("a", [("x", "=", "1"), ("y", "=~", "b|c")]), ("b", [])])
        self.assertEqual(names.labels, {"layer", "i", "device"})

    def test_words_in_strings_and_comments_and_functions_are_no_metrics(self):
        names = Names('label_replace(rate(m[5m]), "trigger", "n{o}", "", "") # p\n unless quantile(0.5, q)')
        self.assertEqual(names.metrics, {"m", "q"})

    def test_durations_and_numbers_are_no_metrics(self):
        self.assertEqual(Names("m[1h30m] offset 2d + 1e3 + 0x1f + .5").metrics, {"m"})

    def test_recorded_names_keep_their_colons(self):
        self.assertEqual(Names("disk:m:30m >= 0.5").metrics, {"disk:m:30m"})

    def test_unknown_metric_label_and_value_are_problems(self):
        known, values = {"m": ["trigger"]}, {"trigger": ["image_gc", "disk_full"]}
        self.assertEqual(problems('m{trigger="disk_full",job="x"}', known, values, {"job"}), [])
        self.assertEqual(problems("n", known, values, set()), ["unknown metric n"])
        self.assertEqual(problems('m{layer="x"}', known, values, set()), ["m has no label layer"])
        self.assertEqual(problems('m{trigger=~"image_gc|gone"}', known, values, set()), ["trigger is never gone"])
        self.assertEqual(problems("sum by (what) (m)", known, values, set()), ["no metric has a label what"])
