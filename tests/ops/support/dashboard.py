"""Reads a Grafana dashboard: its panels, its queries, and the queries with their variables filled in."""

import json
import re

# What Grafana puts in place of its own variables. The user's variables come from the caller.
BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h"}


class Dashboard:
    def __init__(self, path):
        self.path = path
        self.text = path.read_text()
        self.data = json.loads(self.text)
        self.panels = []
        for panel in self.data["panels"]:
            self.panels.append(panel)
            self.panels.extend(panel.get("panels", []))

    @property
    def variables(self):
        return {variable["name"]: variable for variable in self.data["templating"]["list"]}

    def queries(self):
        """(where, expression, legend) of every panel."""
        for panel in self.panels:
            for target in panel.get("targets", []):
                yield f"{panel['title']}/{target['refId']}", target["expr"], target.get("legendFormat", "")


def used_variables(text):
    return set(re.findall(r"\$\{?(\w+)\}?", text))


def fill(expression, values):
    def value(found):
        name = found.group(1)
        return BUILT_IN[name] if name in BUILT_IN else values[name]

    return re.sub(r"\$\{?(\w+)\}?", value, expression)
