"""A registry of images from archives, for one machine: HTTP, read only."""

import hashlib
import http.server
import json
import sys
import tarfile

BLOBS, MANIFESTS = {}, {}


def add(path):
    """Serve the images of an archive of `docker save`, under their names without the host."""
    with tarfile.open(path) as tar:
        for image in json.load(tar.extractfile("manifest.json")):
            config = blob(tar.extractfile(image["Config"]).read(), "application/vnd.docker.container.image.v1+json")
            layers = [blob(tar.extractfile(name).read(), "application/vnd.docker.image.rootfs.diff.tar") for name in image["Layers"]]
            manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()
            for name in image["RepoTags"]:
                repository, _, tag = name.partition("/")[2].rpartition(":")
                MANIFESTS[f"/v2/{repository}/manifests/{tag}"] = manifest
                MANIFESTS[f"/v2/{repository}/manifests/{digest(manifest)}"] = manifest


MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def blob(content, kind):
    BLOBS[digest(content)] = content
    return {"mediaType": kind, "size": len(content), "digest": digest(content)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, whole):
        content, kind = b"{}", "application/json"
        if self.path in MANIFESTS:
            content, kind = MANIFESTS[self.path], MANIFEST
        elif "/blobs/" in self.path and self.path.rpartition("/")[2] in BLOBS:
            content, kind = BLOBS[self.path.rpartition("/")[2]], "application/octet-stream"
        elif self.path != "/v2/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest(content))
        self.end_headers()
        if whole:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    for archive in sys.argv[2:]:
        add(archive)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
