"""highwater's answers compared with those of container runtimes that the other tests do not run."""
