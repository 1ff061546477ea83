"""Run the real-client tests, several at a time: `python3 tests/interop [-j JOBS] [-k WORD]`.

Most of a test's time is spent waiting for a client's timers, so tests run side by side; each has addresses, folders and
processes of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import lab
import node
import sandbox

_HERE = Path(__file__).resolve().parent


def main() -> int:
    arguments = _arguments()
    node.build()
    if arguments.sandbox:
        sandbox.enter()
        if sandbox.inside():
            sandbox.furnish()
    tests = [test for test in _tests(_discovered()) if arguments.only in test.id()]
    tests.sort(key=lambda test: "transmission" not in test.id())  # the longest ones first
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            return _summary(list(pool.map(_run, tests)))
        except KeyboardInterrupt:
            lab.close_all()
            os._exit(130)  # the tests' threads would wait on for what can no longer happen


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/interop", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("-j", "--jobs", type=int, default=6, help="tests that run at the same time (default: 6)")
    parser.add_argument("-k", "--only", default="", metavar="WORD", help="only tests whose name contains WORD")
    parser.add_argument("--no-sandbox", dest="sandbox", action="store_false", help="127.0.0.0/8 of this machine only")
    return parser.parse_args()


def _discovered() -> unittest.TestSuite:
    return unittest.TestLoader().discover(str(_HERE), top_level_dir=str(_HERE))


def _tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def _run(test: unittest.TestCase) -> unittest.TestResult:
    """One test, told in one line as soon as it is over."""
    result = unittest.TestResult()
    started = time.monotonic()
    test.run(result)
    print(f"{time.monotonic() - started:6.1f} s  {test.id():60} {_verdict(result)}", flush=True)
    return result


def _verdict(result: unittest.TestResult) -> str:
    if result.skipped:
        return result.skipped[0][1]
    return "ok" if result.wasSuccessful() else "FAILED"


def _summary(results: list[unittest.TestResult]) -> int:
    for test, trace in (trouble for result in results for trouble in result.failures + result.errors):
        print(f"\n{test.id()}\n{trace}")
    failed = sum(not result.wasSuccessful() for result in results)
    skipped = sum(bool(result.skipped) for result in results)
    print(f"{len(results) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
