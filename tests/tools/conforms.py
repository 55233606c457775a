"""Does the JSON on standard input conform to the schema that is named?  Usage: python-jsonschema conforms.py SCHEMA

Run by `python-jsonschema`, a Python with the jsonschema package, which tests/tools/install brings.
"""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
validator = jsonschema.Draft202012Validator
validator.check_schema(schema)
errors = list(validator(schema).iter_errors(json.load(sys.stdin)))
for error in errors[:20]:
    print(f"{error.json_path}: {error.message[:300]}")
sys.exit(bool(errors))
