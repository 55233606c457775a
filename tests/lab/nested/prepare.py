"""Fills the cache: whatever of it is not there yet."""

import fcntl

from . import archive, kubelet_binary, packages, settings, trees
from .machine import say


def prepare():
    """Download packages, build the kubelet, make file trees and images."""
    settings.CACHE.mkdir(parents=True, exist_ok=True)
    with open(settings.CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages.complete_machine()
        packages.fetch()
        kubelet_binary.prepare()
        trees.build()
        archive.build()
    say(f"prepared in {settings.CACHE}; kubelets: {kubelet_binary.kind()}")
