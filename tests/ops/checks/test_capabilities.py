"""What the chart grants is enough for what the agent reads, and not more: tried with the kernel of this machine.

A process with exactly the chart's capabilities, user 0 and no new privileges looks at another process' root, at a folder of
another user, and at sockets, through a read-only bind mount as the profile reduced has one.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from support import tree
from support.chart import agent_of, render

OTHER_USER = 1234

# Tries each access and prints the names of those that work.
PROBE = """
import os, socket, sys
process, host = sys.argv[1:]

def connect(name):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{host}/{name}")

for name, attempt in (
    ("process-root", lambda: os.listdir(f"/proc/{process}/root")),
    ("process-environment", lambda: open(f"/proc/{process}/environ", "rb").read()),
    ("private-file", lambda: open(f"{host}/private/file").read()),
    ("root-socket", lambda: connect("root.sock")),
    ("other-socket", lambda: connect("private/other.sock")),
    ("write", lambda: open(f"{host}/written", "w")),
    ("overwrite", lambda: open(f"{host}/private/file", "w")),
):
    try:
        attempt()
    except OSError:
        continue
    print(name)
"""


class Capabilities(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm", "setpriv", "unshare")
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        def granted(*settings):
            return [name.lower() for name in agent_of(render(*settings))["securityContext"]["capabilities"]["add"]]

        cls.granted = granted()
        cls.reduced = granted("profile=reduced")

        folder = pathlib.Path(tempfile.mkdtemp(prefix="highwater-ops-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        private = folder / "private"
        private.mkdir()
        (private / "file").write_text("x")
        cls.host = folder
        for path, mode in ((folder / "root.sock", 0o660), (private / "other.sock", 0o600)):
            listener = cls.enterClassContext(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(64)
            path.chmod(mode)
        for path in (private / "file", private / "other.sock", private):
            os.chown(path, OTHER_USER, OTHER_USER)
        (private / "file").chmod(0o600)
        private.chmod(0o700)

        # A process of root with all of its capabilities, as a runtime is one.
        cls.process = subprocess.Popen(["sleep", "600"])
        cls.addClassCleanup(cls.process.wait)
        cls.addClassCleanup(cls.process.kill)

    def works(self, capabilities):
        limits = ",".join(["-all", *(f"+{name}" for name in capabilities)])
        # A mount namespace of its own, so that nothing is left behind.
        script = (
            'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && '
            'exec setpriv --no-new-privs --inh-caps=-all --bounding-set="$2" "$3" -c "$4" "$5" "$1"'
        )
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", str(self.host), limits, sys.executable, PROBE, str(self.process.pid)],
            capture_output=True,
            text=True,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return set(done.stdout.split())

    def test_with_the_granted_ones_it_reads_everything_and_writes_nothing(self):
        expected = {"process-root", "process-environment", "private-file", "root-socket"}
        self.assertEqual(self.works(self.granted), expected)

    def test_the_reduced_profile_has_no_way_into_another_process(self):
        self.assertEqual(self.works(self.reduced), {"private-file", "root-socket"})

    def test_each_of_them_is_needed(self):
        self.assertEqual(sorted(self.granted), ["dac_read_search", "sys_ptrace"])
        self.assertEqual(self.works(["dac_read_search"]), {"private-file", "root-socket"})
        self.assertEqual(self.works(["sys_ptrace"]), {"process-root", "process-environment", "root-socket"})


class Profiles(unittest.TestCase):
    """What the chart's arguments and capabilities let the agent read of a kubelet: by its process, or by a mount of the node's root."""

    @classmethod
    def setUpClass(cls):
        tree.need("helm", "setpriv", "bash")
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        cls.binary = tree.binary()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="highwater-ops-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        settings = folder / "kubelet.yaml"
        settings.write_text("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nimageGCHighThresholdPercent: 71\n")
        # Known by their names; each waits for the end of its input.
        script = folder / "wait"
        script.write_text("read -r _\n")
        for name, arguments in (("containerd", []), ("kubelet", [f"--config={settings}"])):
            shutil.copy(shutil.which("bash"), folder / name)
            process = subprocess.Popen([folder / name, script, *arguments], stdin=subprocess.PIPE)
            cls.addClassCleanup(process.wait)
            cls.addClassCleanup(process.stdin.close)

    def high_threshold(self, capabilities, rootfs):
        limits = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities)])
        done = subprocess.run(
            ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={limits}", self.binary, "check", "--agent=none"]
            + ["--window=100ms", "--usage.timeout=0s", "--output=json", "--path.procfs=/proc", f"--path.rootfs={rootfs}"],
            capture_output=True,
            text=True,
        )
        return re.findall(r'"image_gc_high_threshold_percent":\s*\{\s*"value":\s*(\d+)', done.stdout)

    def test_full_needs_no_mount_of_the_node(self):
        capabilities = agent_of(render())["securityContext"]["capabilities"]["add"]
        self.assertIn("71", self.high_threshold(capabilities, "/nonexistent"))

    def test_reduced_needs_its_mount(self):
        capabilities = agent_of(render("profile=reduced"))["securityContext"]["capabilities"]["add"]
        self.assertIn("71", self.high_threshold(capabilities, "/"))
        self.assertEqual(self.high_threshold(capabilities, "/nonexistent"), [], "no threshold is assumed")
