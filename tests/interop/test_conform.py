"""`trackerless conform` against real nodes: each deviates where docs/CONFORMANCE.md says so, and nowhere else."""

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
        self.maxDiff = None
        self.assertEqual(found, documented(node))


def documented(node: str) -> dict[str, str]:
    """The column of `node` in the tables of the page."""
    rows = [[cell.strip() for cell in line.split("|")] for line in _PAGE.read_text().splitlines()]
    column = next(row for row in rows if row[1:2] == ["check"]).index(node)
    return {row[1].strip("`"): row[column] for row in rows if len(row) > column and row[1].startswith("`")}
