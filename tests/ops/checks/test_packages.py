"""Image and packages around a released binary, HIGHWATER_DIST: size, content, and that two builds are one. Needs root for buildah."""

import hashlib
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

from support import tree

MIB = 1 << 20
IMAGE_BUDGET = 11 * MIB


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.binary = pathlib.Path(os.environ["HIGHWATER_DIST"]).resolve()
        cls.out = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="highwater-packages-")))

    def make(self, script, name):
        """Runs a script of packaging/ into a folder of its own; {file name: path} of what it made."""
        out = self.out / name
        out.mkdir()
        environment = os.environ | {"BINARY": str(self.binary), "OUT": str(out)}
        done = subprocess.run([str(tree.ROOT / "packaging" / script)], env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {path.name: path for path in out.iterdir() if path.is_file()}

    def twice(self, script):
        first, second = self.make(script, f"{script}-1"), self.make(script, f"{script}-2")
        self.assertEqual({name: digest(path) for name, path in first.items()}, {name: digest(path) for name, path in second.items()})
        return first

    def test_the_image_is_small_labelled_and_the_same_again(self):
        tree.need("buildah")
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        made = self.twice("image")
        (archive,) = [path for name, path in made.items() if name.endswith(".tar")]
        self.assertLessEqual(archive.stat().st_size, IMAGE_BUDGET)
        with tarfile.open(archive) as tar:

            def blob(descriptor):
                return tar.extractfile("./blobs/sha256/" + descriptor["digest"].split(":")[1])

            (entry,) = json.load(tar.extractfile("./index.json"))["manifests"]
            name = f"{tree.cargo('repository').lower().replace('https://github.com/', 'ghcr.io/')}:{tree.cargo('version')}"
            self.assertEqual(entry["annotations"]["io.containerd.image.name"], name)
            manifest = json.load(blob(entry))
            config = json.load(blob(manifest["config"]))
            files = {}
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=blob(layer)) as inner:
                    files |= {member.name: member for member in inner if member.isfile()}
        self.assertEqual(set(files), {"usr/bin/highwater", "usr/share/doc/highwater/LICENSE-APACHE", "usr/share/doc/highwater/LICENSE-MIT"})
        self.assertLessEqual(sum(member.size for member in files.values()), IMAGE_BUDGET)
        self.assertEqual(files["usr/bin/highwater"].mode & 0o777, 0o755)
        labels = config["config"]["Labels"]
        self.assertEqual(labels["org.opencontainers.image.source"], tree.cargo("repository"))
        self.assertEqual(labels["org.opencontainers.image.version"], tree.cargo("version"))
        self.assertEqual(config["config"]["Entrypoint"], ["/usr/bin/highwater"])
        self.assertEqual(config["config"]["User"], "0:0")

    def test_the_packages_bring_the_binary_its_unit_and_its_words_and_are_the_same_again(self):
        tree.need("cargo-deb", "cargo-generate-rpm", "dpkg-deb")
        made = self.twice("packages")
        (deb,) = [path for name, path in made.items() if name.endswith(".deb")]
        listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, check=True).stdout
        file = self.out / "deb.tar"
        file.write_bytes(listed)
        with tarfile.open(file) as tar:
            names = {member.name.removeprefix("./") for member in tar if member.isfile()}
        for name in (
            "usr/bin/highwater",
            "usr/lib/systemd/system/highwater.service",
            "etc/default/highwater",
            "usr/share/man/man1/highwater.1.gz",
            "usr/share/man/man1/highwater-check.1.gz",
            "usr/share/bash-completion/completions/highwater",
            "usr/share/doc/highwater/copyright",
        ):
            self.assertIn(name, names)
        fields = subprocess.run(["dpkg-deb", "--field", str(deb)], capture_output=True, text=True, check=True).stdout
        self.assertIn(f"Homepage: {tree.cargo('repository')}", fields)
        self.assertNotIn("Depends: libc", fields)
        control = subprocess.run(["dpkg-deb", "--info", str(deb), "postinst"], capture_output=True, text=True).stdout
        self.assertIn("highwater.service", control)

        (rpm,) = [path for name, path in made.items() if name.endswith(".rpm")]
        self.assertEqual(rpm.read_bytes()[:4], b"\xed\xab\xee\xdb")

        (tarball,) = [path for name, path in made.items() if name.endswith(".tar.gz")]
        with tarfile.open(tarball) as tar:
            folder = f"highwater-{tree.cargo('version')}-linux-x86_64"
            names = {member.name.removeprefix(folder + "/") for member in tar if member.isfile()}
            owners = {(member.uid, member.gid) for member in tar}
        self.assertLessEqual({"highwater", "highwater.service", "man/highwater.1", "completions/_highwater", "LICENSE-MIT"}, names)
        self.assertEqual(owners, {(0, 0)})
