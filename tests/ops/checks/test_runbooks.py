"""docs/runbooks/: a page for each alert, its sections, its links, its queries; and no promise of what does not exist."""

import re
import subprocess
import unittest

from support import tree
from support.promql import parse_errors, problems

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Remedies"]
PAGES = sorted(tree.RUNBOOKS.glob("*.md"))
ALERT_PAGES = [page for page in PAGES if page.name.startswith("Highwater")]
# Subcommands that exist. Others are planned; a runbook may name them once they are there.
SUBCOMMANDS = {"check", "explain", "run", "demo"}


def anchors(text):
    heads = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


class Runbooks(unittest.TestCase):
    def test_every_alert_has_a_page_and_every_page_an_alert(self):
        alerts = set()
        for file in tree.RULES:
            alerts.update(re.findall(r"(?m)^\s+- alert: (\w+)", file.read_text()))
        self.assertEqual({page.stem for page in ALERT_PAGES}, alerts)

    def test_pages_have_their_sections_in_order(self):
        for page in ALERT_PAGES:
            text = page.read_text()
            self.assertEqual(re.findall(r"(?m)^# (.+)$", text), [page.stem])
            self.assertEqual(re.findall(r"(?m)^## (.+)$", text), SECTIONS, page.name)

    def test_every_page_speaks_of_the_three_remedies_and_a_price(self):
        for page in ALERT_PAGES:
            text = page.read_text().lower()
            for word in ("pin", "thresholds", "image gc off", "price"):
                self.assertIn(word, text, page.name)

    def test_links_lead_somewhere(self):
        links = 0
        for page in PAGES:
            for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
                links += 1
                path, _, anchor = target.partition("#")
                file = page.parent / path if path else page
                self.assertTrue(file.is_file(), f"{page.name}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(file.read_text()), f"{page.name}: {target}")
        self.assertGreater(links, 8)

    def test_only_existing_subcommands_are_named(self):
        named = set()
        for page in PAGES:
            named.update(re.findall(r"(?<!--namespace )\bhighwater ([a-z]+)\b", "\n".join(self.commands(page))))
        self.assertIn("check", named)
        self.assertLessEqual(named, SUBCOMMANDS)

    def test_queries_parse_and_name_only_what_exists(self):
        tree.need("promtool")
        queries = [
            line.strip() for page in PAGES for line in page.read_text().splitlines() if line.strip().startswith("topk(")
        ]
        self.assertTrue(queries)
        for query in queries:
            found = problems(query, tree.metrics(), tree.label_values(), tree.TARGET_LABELS)
            self.assertEqual(found, [], query)
        self.assertEqual(parse_errors(queries), "")

    def test_shell_commands_are_well_formed(self):
        blocks = 0
        for page in PAGES:
            for block in re.findall(r"(?m)(?:^ {4,}\S.*\n)+", page.read_text()):
                text = re.sub(r"(?m)^ {4,8}", "", block)
                if not re.match(r"(kubectl|docker|ctr|crictl|systemctl|sed|journalctl)\b", text):
                    continue
                blocks += 1
                done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, f"{page.name}: {text}\n{done.stderr}")
        self.assertGreater(blocks, 10)

    @staticmethod
    def commands(page):
        text = page.read_text()
        return re.findall(r"(?m)^ {4,}(.+)$", text) + re.findall(r"`([^`]+)`", text)
