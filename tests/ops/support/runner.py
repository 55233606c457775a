"""Runs every check below tests/ops/checks and ends with the line `N passed, M failed`.

A skipped check prints why. With CI=true a skip counts as a failure: a check that CI cannot run is not passed.
"""

import os
import pathlib
import sys
import time
import unittest

OPS = pathlib.Path(__file__).resolve().parent.parent


class Result(unittest.TestResult):
    """Prints one line for each check that did not pass; all of them with -v."""

    def __init__(self, verbose):
        super().__init__()
        self.verbose = verbose
        self.passed = 0
        self.started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def line(self, word, test, text=""):
        spent = time.monotonic() - self.started
        print(f"{word:4} {test} [{spent:.1f} s]{': ' + text if text else ''}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        if self.verbose:
            self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line("FAIL", test, "\n" + self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.line("FAIL", test, "\n" + self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            found = self.failures if issubclass(err[0], test.failureException) else self.errors
            self.line("FAIL", subtest, "\n" + found[-1][1])


def main():
    arguments = sys.argv[1:]
    verbose = "-v" in arguments
    wanted = [name for name in arguments if not name.startswith("-")]
    sys.path.insert(0, str(OPS))
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    for file in sorted((OPS / "checks").glob("test_*.py")):
        # Asks a running agent, so it is there only when one is named.
        if file.stem == "test_agent" and "HIGHWATER_AGENT" not in os.environ:
            continue
        # Builds image and packages around a released binary.
        if file.stem == "test_packages" and "HIGHWATER_DIST" not in os.environ:
            continue
        if not wanted or file.stem in wanted or file.stem.removeprefix("test_") in wanted:
            suite.addTests(loader.loadTestsFromName(f"checks.{file.stem}"))
    result = Result(verbose)
    suite.run(result)

    skipped = len(result.skipped)
    failed = len(result.failures) + len(result.errors)
    in_ci = os.environ.get("CI") == "true"
    if in_ci and skipped:
        print(f"{skipped} checks were skipped, which CI does not allow")
        failed += skipped
    if result.passed + failed == 0:
        print("no check ran")
        failed = 1
    print(f"{result.passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped and not in_ci else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
