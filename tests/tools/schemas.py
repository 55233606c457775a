"""Makes self-contained Kubernetes JSON schemas out of the wheel of PyPI's kubernetes-validate.

Usage: schemas.py WHEEL TARGET

The wheel keeps shared definitions in a second file that its schemas name by an address of their own; kubeconform
cannot follow that. Each schema that the chart needs is written as TARGET/vX.Y.Z/KIND-GROUP-VERSION.json with the
definitions it uses carried inside. The strict variant is taken: an unknown field is an error.
"""

import json
import pathlib
import sys
import zipfile

PREFIX = "kubernetes_validate/kubernetes-json-schema/"
# Two spellings of one thing: from a schema, and from within the shared file.
SPELLINGS = ("/api/_definitions.json#/$defs/", "#/$defs/")
# The oldest release whose clusters the chart is meant for, and those that people run, up to the newest one the wheel knows.
RELEASES = ("v1.25.0", *(f"v1.{minor}.0" for minor in range(28, 38)))
SCHEMAS = (
    "configmap-v1",
    "daemonset-apps-v1",
    "namespace-v1",
    "networkpolicy-networking-v1",
    "pod-v1",
    "resourcequota-v1",
    "role-rbac-v1",
    "rolebinding-rbac-v1",
    "service-v1",
    "serviceaccount-v1",
)


def localise(node, used):
    """Rewrites references into the shared file as local ones, and notes the definitions they name."""
    if isinstance(node, dict):
        out = {}
        for key, value in node.items():
            if key == "$ref":
                name = next(value[len(start):] for start in SPELLINGS if value.startswith(start))
                used.add(name)
                out[key] = "#/$defs/" + name
            else:
                out[key] = localise(value, used)
        return out
    if isinstance(node, list):
        return [localise(item, used) for item in node]
    return node


def self_contained(schema, definitions):
    """Returns the schema with every definition it reaches, directly or not, under $defs."""
    waiting, carried = set(), {}
    schema = localise(schema, waiting)
    while waiting:
        name = waiting.pop()
        if name in carried:
            continue
        found = set()
        carried[name] = localise(definitions[name], found)
        waiting |= found
    schema["$defs"] = carried
    return schema


def main():
    wheel, target = sys.argv[1], pathlib.Path(sys.argv[2])
    with zipfile.ZipFile(wheel) as archive:
        for release in RELEASES:
            folder = f"{PREFIX}{release}-local-strict/"
            definitions = json.loads(archive.read(folder + "_definitions.json"))["$defs"]
            out = target / release
            out.mkdir(parents=True, exist_ok=True)
            for name in SCHEMAS:
                schema = json.loads(archive.read(f"{folder}{name}.json"))
                text = json.dumps(self_contained(schema, definitions))
                (out / f"{name}.json").write_text(text)
    # Written last: its presence means that all of the above is, as this text makes it.
    (target / ".complete").write_text(pathlib.Path(__file__).read_text())


if __name__ == "__main__":
    main()
