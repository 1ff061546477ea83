"""`trackerless conform` against libtorrent: it deviates where docs/CONFORMANCE.md says so, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from addresses import Ground
from case import InteropCase
from clients import Rasterbar

_HERE = Path(__file__).resolve().parent
_PAGE = _HERE.parents[1] / "docs" / "CONFORMANCE.md"


class Conform(InteropCase):
    def test_libtorrent(self) -> None:
        self._require(Rasterbar.installed(), f"libtorrent is not installed; install it by: {Rasterbar.cure}")
        host = self.lab.fresh_address(Ground.LOOPBACK)
        session = self.lab.start("libtorrent", [sys.executable, "-u", str(_HERE / "clients/rasterbar_node.py"), host])
        address = session.wait_for_line(rf"{host}:\d+$", 30).split()[-1]
        argv = [str(Path(os.environ["TRACKERLESS"]).absolute()), "conform", address, "--pace", "0", "--json"]
        result = subprocess.run(argv, cwd=self.lab.folder, capture_output=True, text=True, timeout=300)
        self.lab.note("conform", result.stdout + result.stderr)
        records = [record for record in map(json.loads, result.stdout.splitlines()) if "id" in record]
        found = {record["id"]: record["verdict"] for record in records}
        self.maxDiff = None
        self.assertEqual(found, documented("libtorrent 2.1.1"))


def documented(node: str) -> dict[str, str]:
    """The column of `node` in the tables of the page."""
    rows = [[cell.strip() for cell in line.split("|")] for line in _PAGE.read_text().splitlines()]
    column = next(row for row in rows if row[1:2] == ["check"]).index(node)
    return {row[1].strip("`"): row[column] for row in rows if len(row) > column and row[1].startswith("`")}
