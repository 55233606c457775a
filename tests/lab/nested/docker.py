"""The Docker of layer 2 through its API."""

import http.client
import json
import os
import pathlib
import socket

from .machine import LabError


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket, reached through a handle of its folder because such paths are short."""

    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self.path = pathlib.Path(path)

    def connect(self):
        folder = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self.path.name}")
        finally:
            os.close(folder)


def call(dockerd, method, path, body=None, archive=None, timeout=180):
    """One request to the daemon with that pid; returns the decoded answer, or raises LabError with Docker's own message."""
    connection = Connection(f"/proc/{dockerd}/root/run/docker.sock", timeout)
    headers = {}
    if archive is not None:
        body, headers = archive, {"Content-Type": "application/x-tar", "Content-Length": str(os.fstat(archive.fileno()).st_size)}
    elif body is not None:
        body, headers = json.dumps(body), {"Content-Type": "application/json"}
    try:
        try:
            connection.request(method, path, body, headers)
        except BrokenPipeError:
            pass  # Docker does not read on once it knows that it must fail: the answer tells why
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"Docker {method} {path}: {error}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise LabError(f"Docker {method} {path}: {answer.status} {text.strip()}")
    if '"errorDetail"' in text:  # of a load, whose status is sent before its work is done
        raise LabError(f"Docker {method} {path}: {text.strip()}")
    return json.loads(text) if answer.getheader("Content-Type", "").startswith("application/json") and "\n{" not in text else text
