"""A real Prometheus on the loopback interface that scrapes one agent and evaluates the rules.

The agent is a thread that serves tests/ops/node.prom, unless the caller names a running one. Everything ends with the `with` block: the process is awaited, the
folder removed.
"""

import contextlib
import http.server
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from support import tree

INSTANCE = "n1"


def exposition(now):
    """node.prom with the time of the scrape filled in."""

    def moment(found):
        return str(now + float(found.group(1) or 0))

    text = (tree.OPS / "node.prom").read_text()
    return re.sub(r"\bNOW([-+]\d+)?", moment, text)


def samples(text):
    """(metric, its label names in order) of every sample of an exposition."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"([\w:]+)(?:\{(.*)\})? \S+(?: \S+)?$", line).groups()
            yield name, tuple(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', labels or ""))


class _Agent(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = exposition(time.time()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: the checks print what matters."""


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    def __init__(self, address):
        self.address = address

    def api(self, path, **arguments):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def query(self, expression):
        """Series of an instant query now; a warning or an error is an AssertionError."""
        answer = self.api("query", query=expression)
        if answer["status"] != "success" or answer.get("warnings"):
            raise AssertionError(f"{expression}\n{answer}")
        return answer["data"]["result"]

    def until(self, ready, seconds, what):
        """Asks until `ready()` is true; the limit is generous, a quick machine waits for little of it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if ready():
                    return
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {what}")


@contextlib.contextmanager
def made_up_agent():
    """The address of a server that answers every path with node.prom."""
    agent = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Agent)
    threading.Thread(target=agent.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{agent.server_port}"
    finally:
        agent.shutdown()
        agent.server_close()


@contextlib.contextmanager
def running(target=None):
    """A Prometheus that scrapes `target` (host:port), or a made-up agent."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(_prometheus(target or stack.enter_context(made_up_agent())))


@contextlib.contextmanager
def _prometheus(target):
    process = None
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for file in tree.RULES:
            # Only the pace differs from what is shipped.
            (root / file.name).write_text(re.sub(r"(?m)^    interval: 30s$", "    interval: 1s", file.read_text()))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["*.rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": "highwater",
                    # As the chart's ServiceMonitor does it.
                    "honor_labels": True,
                    "static_configs": [
                        {
                            "targets": [target],
                            "labels": {"instance": INSTANCE, "namespace": "highwater", "pod": "highwater-abcde"},
                        }
                    ],
                }
            ],
        }
        (root / "prometheus.yml").write_text(json.dumps(config))
        address = f"127.0.0.1:{_free_port()}"
        log = (root / "log").open("w+")
        try:
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={root / 'prometheus.yml'}",
                    f"--storage.tsdb.path={root / 'data'}",
                    f"--web.listen-address={address}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=root,
            )
            server = Prometheus(address)
            try:
                server.until(lambda: process.poll() is None and server.query("count_over_time(up[1m]) > 2"), 60, "scrapes")
            except AssertionError as error:
                log.seek(0)
                raise AssertionError(f"{error}\n{log.read()[-2000:]}") from None
            yield server
        finally:
            if process is not None:
                process.terminate()
                process.wait(timeout=30)
            log.close()
