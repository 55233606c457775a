"""What a PromQL expression names: metrics, labels, label values. A tokenizer, not a parser: promtool judges the grammar."""

import json
import pathlib
import re
import subprocess
import tempfile

TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
  | (?P<number>(?:0x[0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)(?:(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<match>=~|!~|!=|==|>=|<=|=)
  | (?P<other>.)
    """,
    re.VERBOSE,
)
LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = LABEL_LISTS | {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"}
AGGREGATORS = {
    "sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile",
}


def tokens(expression):
    out = []
    for found in TOKEN.finditer(expression):
        if found.lastgroup != "space":
            out.append((found.lastgroup, found.group()))
    return out


class Names:
    """selectors: [(metric, [(label, operator, value)])]; labels: those in by(), on(), group_left() and the like."""

    def __init__(self, expression):
        self.selectors = []
        self.labels = set()
        self._read(tokens(expression))

    def _read(self, items):
        at = 0
        while at < len(items):
            kind, text = items[at]
            following = items[at + 1][1] if at + 1 < len(items) else ""
            at += 1
            if kind == "other" and text == "{":
                raise ValueError("a selector without a metric name is not allowed here")
            if kind != "name":
                continue
            word = text.lower()
            if word in LABEL_LISTS:
                if following == "(":
                    at += 1
                    while items[at][1] != ")":
                        if items[at][0] == "name":
                            self.labels.add(items[at][1])
                        at += 1
            elif word in WORDS or word in AGGREGATORS or following == "(":
                continue
            else:
                matchers = []
                if following == "{":
                    at, matchers = self._matchers(items, at + 1)
                self.selectors.append((text, matchers))

    @staticmethod
    def _matchers(items, at):
        found = []
        while items[at][1] != "}":
            if items[at][1] == ",":
                at += 1
                continue
            label, operator, value = items[at], items[at + 1], items[at + 2]
            if label[0] != "name" or operator[0] != "match" or value[0] != "string":
                raise ValueError(f"cannot read the matcher at {label[1]}")
            found.append((label[1], operator[1], value[1][1:-1]))
            at += 3
        return at + 1, found

    @property
    def metrics(self):
        return {name for name, _ in self.selectors}


def problems(expression, known, values, target_labels):
    """What an expression names that is not there: metrics, labels of a metric, values of a label with a closed set.

    `known` maps metric names to their labels; None as labels means that any are allowed.
    """
    out = []
    names = Names(expression)
    for metric, matchers in names.selectors:
        if metric not in known:
            out.append(f"unknown metric {metric}")
            continue
        for label, operator, value in matchers:
            own = known[metric]
            if own is not None and label not in own and label not in target_labels:
                out.append(f"{metric} has no label {label}")
            # Only plain alternatives can be checked; a pattern may be anything, and a variable is the user's.
            if label in values and operator in ("=", "=~") and re.fullmatch(r"[\w.|]+", value):
                for one in value.split("|"):
                    if one not in values[label]:
                        out.append(f"{label} is never {one}")
    everywhere = set(target_labels).union(*(labels or [] for labels in known.values()))
    for label in sorted(names.labels - everywhere):
        out.append(f"no metric has a label {label}")
    return out


def parse_errors(expressions):
    """What promtool says against the grammar and types of these expressions; empty when they are all well.

    Debian's promtool has no parser of single expressions, so they are wrapped as recording rules; JSON is YAML.
    """
    rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(expressions)]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "rules.yaml")
        file.write_text(json.dumps({"groups": [{"name": "expressions", "rules": rules}]}))
        done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr
