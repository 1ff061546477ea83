"""`trackerless conform` against real nodes: each deviates where docs/CONFORMANCE.md says so, and nowhere else.

What a node does by itself (whom it asks, verifies and hands out, and when) comes at its own pace, and may be seen in one
run and not in the next. Its answers do not: those are compared. A check that was skipped on either side says nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import addresses
import sandbox
from addresses import Endpoint, Ground
from case import InteropCase
from clients import Rasterbar, Transmission

_HERE = Path(__file__).resolve().parent
_PAGE = _HERE.parents[1] / "docs" / "CONFORMANCE.md"
# Checks of what a node does by itself. libtorrent also takes another id when strangers say that it has another address.
_AT_ITS_OWN_PACE = (
    "answers.", "audit.id", "audit.nodes.", "audit.queries.", "floods.", "ghosts.", "routing.", "votes.",
)


class Conform(InteropCase):
    def test_libtorrent(self) -> None:
        self._require(Rasterbar.installed(), f"libtorrent is not installed; install it by: {Rasterbar.cure}")
        host = self.lab.fresh_address(Ground.LOOPBACK)
        session = self.lab.start("libtorrent", [sys.executable, "-u", str(_HERE / "clients/rasterbar_node.py"), host])
        address = session.wait_for_line(rf"{host}:\d+$", 30).split()[-1]
        self._behaves_as_documented("libtorrent 2.1.1", ["--lan", address])

    def test_transmission(self) -> None:
        self._require(Transmission.installed(), f"Transmission is not installed; install it by: {Transmission.cure}")
        self._require(sandbox.inside(), f"{Ground.PUBLIC.value} needs network namespaces; run it as root, or by sudo")
        # Beyond the addresses from which the suite asks.
        endpoint, nobody = Endpoint("198.18.250.1", addresses.fresh_port()), Endpoint("198.18.249.1", 9)
        Transmission(self.lab, endpoint, [nobody]).serve()
        time.sleep(3)
        args = ["--lan", "--sources", "198.18.0.0", "--pace", "12", str(endpoint)]
        self._behaves_as_documented("Transmission 3.00", args)

    def _behaves_as_documented(self, node: str, args: list[str]) -> None:
        argv = [str(Path(os.environ["TRACKERLESS"]).absolute()), "conform", "--json", *args]
        result = subprocess.run(argv, cwd=self.lab.folder, capture_output=True, text=True, timeout=600)
        self.lab.note("conform", result.stdout + result.stderr)
        records = [record for record in map(json.loads, result.stdout.splitlines()) if "id" in record]
        found = {record["id"]: record["verdict"] for record in records}
        expected = documented(node)
        self.assertEqual(found.keys(), expected.keys())
        decided = [check for check in found if "skipped" not in (found[check], expected[check])]
        compared = [check for check in decided if not check.startswith(_AT_ITS_OWN_PACE)]
        self.maxDiff = None
        self.assertEqual({check: found[check] for check in compared}, {check: expected[check] for check in compared})
        self.assertGreater(len(compared), 250, "most checks have a verdict")


def documented(node: str) -> dict[str, str]:
    """The column of `node` in the tables of the page."""
    rows = [[cell.strip() for cell in line.split("|")] for line in _PAGE.read_text().splitlines()]
    column = next(row for row in rows if row[1:2] == ["check"]).index(node)
    return {row[1].strip("`"): row[column] for row in rows if len(row) > column and row[1].startswith("`")}
