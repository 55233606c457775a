"""packaging/ without a build: the unit, the Containerfile, and that deb and rpm are of the same files."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

from support import tree

PACKAGING = tree.ROOT / "packaging"
# Of systemd-analyze security, from 0 (tight) to 10. What is left: the network, root, other users' processes.
EXPOSURE = 2.7


class Packaging(unittest.TestCase):
    def test_the_unit_is_well_formed_and_no_more_exposed_than_recorded(self):
        tree.need("systemd-analyze")
        unit = PACKAGING / "highwater.service"
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True)
        found = re.search(r"Overall exposure level for highwater.service: ([0-9.]+)", done.stdout)
        self.assertTrue(found, done.stdout + done.stderr)
        self.assertLessEqual(float(found.group(1)), EXPOSURE)

    def test_the_unit_grants_what_the_chart_grants(self):
        text = (PACKAGING / "highwater.service").read_text()
        self.assertIn("\nCapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH\n", text)
        # Each of these would hide what has to be seen.
        for setting in ("ProtectProc", "PrivateUsers", "PrivatePIDs", "DynamicUser", "RootDirectory", "ProcSubset"):
            self.assertNotRegex(text, rf"(?m)^{setting}=")

    def test_the_agent_accepts_the_arguments_of_the_unit(self):
        start = re.search(r"(?m)^ExecStart=/usr/bin/highwater (.*) \$HIGHWATER_OPTS$", (PACKAGING / "highwater.service").read_text())
        example = re.search(r'(?m)^# HIGHWATER_OPTS="(.*)"$', (PACKAGING / "highwater.default").read_text())
        words = [*start.group(1).split(), *example.group(1).split(), "--help"]
        done = subprocess.run([str(tree.binary()), *words], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_deb_and_rpm_bring_the_same_files(self):
        metadata = tomllib.loads((tree.ROOT / "Cargo.toml").read_text())["package"]["metadata"]
        deb = {source for source, _, _ in metadata["deb"]["assets"]}
        rpm = {asset["source"] for asset in metadata["generate-rpm"]["assets"]}
        # cargo-deb finds the unit by itself.
        self.assertEqual(deb | {"packaging/highwater.service"}, rpm)
        made = {path for path in rpm if path.startswith("target/package/stage/")}
        for path in rpm - made:
            self.assertTrue((tree.ROOT / path).is_file(), path)

    def test_the_image_is_one_binary_with_the_labels_of_the_specification(self):
        text = (PACKAGING / "Containerfile").read_text()
        self.assertEqual(re.findall(r"(?m)^FROM .*$", text), ["FROM scratch"])
        self.assertNotIn("RUN", text)
        labels = set(re.findall(r"org\.opencontainers\.image\.([a-z]+)=", text))
        self.assertLessEqual({"title", "description", "version", "revision", "source", "licenses"}, labels)

    def test_the_release_is_refused_where_a_version_differs(self):
        version = tree.cargo("version")
        for tag, message in ((f"v{version}9", f"Cargo.toml has version {version}"), ("", "usage: packaging/release")):
            done = subprocess.run([str(PACKAGING / "release"), "check", tag], capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(message, done.stderr)

    def test_the_bill_of_materials_names_what_is_linked_and_is_the_same_again(self):
        tree.need("cargo")
        texts = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([str(PACKAGING / "sbom")], env=os.environ | {"OUT": folder}, check=True, capture_output=True)
                (file,) = pathlib.Path(folder).iterdir()
                texts.append(file.read_text())
        self.assertEqual(texts[0], texts[1])
        bill = json.loads(texts[0])
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        components = {component["name"]: component for component in bill["components"]}
        self.assertLessEqual({"tokio", "rustls", "hyper", "serde"}, set(components))
        # Of tests alone, and in no binary.
        self.assertFalse({"insta", "proptest", "criterion", "highwater"} & set(components))
        tokio = components["tokio"]
        self.assertEqual((tokio["purl"], tokio["licenses"]), (f"pkg:cargo/tokio@{tokio['version']}", [{"expression": "MIT"}]))
        self.assertRegex(tokio["hashes"][0]["content"], r"^[0-9a-f]{64}$")
        named = {component["bom-ref"] for component in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
        for entry in bill["dependencies"]:
            self.assertLessEqual({entry["ref"], *entry["dependsOn"]}, named)

    def test_scripts_are_well_formed(self):
        for script in PACKAGING.iterdir():
            if script.is_file() and (script.suffix == ".sh" or script.read_text().startswith("#!/usr/bin/env bash")):
                self.assertEqual(subprocess.run(["bash", "-n", str(script)]).returncode, 0, script.name)
                if shutil.which("shellcheck"):
                    done = subprocess.run(["shellcheck", "-x", "--severity=warning", str(script)], cwd=tree.ROOT, capture_output=True, text=True)
                    self.assertEqual(done.stdout, "", script.name)
