"""tests/tools/install: says what it does, repeats without work, keeps to its cache, and tells why it skips."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from support import tree

INSTALL = tree.ROOT / "tests" / "tools" / "install"


def install(*arguments, user=None, **environment):
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "XDG_CACHE_HOME")} | environment
    return subprocess.run([str(INSTALL), *arguments], capture_output=True, text=True, env=env, user=user)


class Install(unittest.TestCase):
    def test_list_names_the_tools(self):
        listed = install("--list").stdout.split()
        for name in ("promtool", "prometheus", "amtool", "node_exporter", "helm", "kubeconform", "chromium", "cargo-deny"):
            self.assertIn(name, listed)

    def test_unknown_tool_or_option_is_an_error_that_names_it(self):
        for argument in ("promtol", "--quick"):
            done = install(argument)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(argument, done.stderr)

    def test_output_is_the_folder_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as cache:
            done = install("--dir", XDG_CACHE_HOME=cache)
            self.assertEqual((done.returncode, done.stdout), (0, f"{cache}/highwater-tools/bin\n"))

    def test_a_second_run_does_nothing(self):
        tree.need("promtool", "helm")
        before = {name: pathlib.Path(os.environ["HIGHWATER_TOOLS"], "bin", name).stat().st_mtime_ns for name in ("promtool", "helm")}
        done = install("promtool", "helm", XDG_CACHE_HOME=str(pathlib.Path(os.environ["HIGHWATER_TOOLS"]).parent))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for name, time in before.items():
            self.assertEqual(pathlib.Path(done.stdout.strip(), name).stat().st_mtime_ns, time)

    def test_what_cannot_be_had_is_skipped_with_its_reason_and_fails_in_ci(self):
        with tempfile.TemporaryDirectory() as cache:
            # No Go on this PATH; a Go that is there all the same finds no module.
            settings = {"XDG_CACHE_HOME": cache, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            settings |= {"GOPROXY": "off", "GOMODCACHE": f"{cache}/modules"}
            done = install("kubeconform", **settings, CI="true")
            self.assertIn("skip kubeconform: ", done.stderr)
            self.assertEqual(done.returncode, 1)
            if os.getuid() == 0:
                done = install("kubeconform", **settings)
                self.assertIn("skip kubeconform: ", done.stderr)
                self.assertEqual(done.returncode, 0)

    def test_an_ordinary_user_gets_nothing_installed_outside_ci(self):
        with tempfile.TemporaryDirectory() as cache:
            os.chmod(cache, 0o777)
            user = 65534 if os.getuid() == 0 else None
            done = install("kubeconform", "amtool", user=user, XDG_CACHE_HOME=cache, PATH="/usr/bin:/bin")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr.count("installing is left to root or CI=true"), 2)
            self.assertEqual(list(pathlib.Path(cache, "highwater-tools", "bin").iterdir()), [])

    def test_a_program_on_the_path_is_used_if_it_is_new_enough(self):
        with tempfile.TemporaryDirectory() as folder:
            tools = pathlib.Path(folder, "tools")
            tools.mkdir()
            for version, status in (("0.1.0", 1), ("99.0.0", 0)):
                program = tools / "amtool"
                program.write_text(f"#!/bin/sh\necho amtool, version {version}\n")
                program.chmod(0o755)
                done = install("--check", "amtool", XDG_CACHE_HOME=f"{folder}/{version}", PATH=f"{tools}:/usr/bin:/bin")
                self.assertEqual(done.returncode, status, done.stderr)

    def test_the_script_names_no_registry_and_starts_no_service(self):
        for file in INSTALL.parent.iterdir():
            text = file.read_text()
            for word in ("http://", "https://", "systemctl", "service "):
                self.assertNotIn(word, text.replace("no service is", "").replace("every service start", ""), file.name)
