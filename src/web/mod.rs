//! Bytes out over HTTP, nothing else: no handler reads a path or waits for a disk.
