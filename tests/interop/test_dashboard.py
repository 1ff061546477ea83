"""The page of a running node in a real browser: wide, narrow, light and dark, by the keyboard alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import addresses
import node
from addresses import Endpoint, Ground
from case import InteropCase
from lab import target_folder

_SECONDS = 120
_LIBRARY = target_folder() / "interop" / "npm" / "node_modules" / "playwright-core" / "index.js"
_SCRIPT = Path(__file__).with_name("clients") / "dashboard.mjs"
_INFOHASH = "2" * 40
_VIEWS = [
    {"name": "wide", "width": 1200, "height": 900, "colorScheme": "light"},
    {"name": "dark", "width": 1200, "height": 900, "colorScheme": "dark"},
    {"name": "phone", "width": 390, "height": 844, "colorScheme": "light"},
]


class TestDashboard(InteropCase):
    def test_the_page_shows_a_node_and_a_lookup_in_chromium(self) -> None:
        for program in ("chromium", "node"):
            self._require(shutil.which(program) is not None, f"{program} is not installed")
        self._require(_LIBRARY.exists(), "playwright-core is not installed; npm install --prefix target/interop/npm")
        nodes = [addresses.fresh_endpoint(Ground.LOOPBACK) for _ in range(5)]
        control, folder = Endpoint("127.0.0.1", addresses.fresh_port()), self.lab.fresh_folder("shown")
        node.start_at(self.lab, nodes[0], None, ["--control", str(control)], folder)
        for other in nodes[1:]:
            node.start_at(self.lab, other, nodes[0], ["--control", "off"])
        for number in range(1, 10):
            node.by_running_node(self.lab, ["announce", str(number) * 40, "--port", "5000"], folder)
        seen = self._look(control, (folder / "control.token").read_text().strip())
        self.assertEqual(seen["errors"], [])
        self.assertEqual(set(seen["hosts"]), {str(control)}, "nothing is fetched from elsewhere")
        for name, view in seen["views"].items():
            with self.subTest(view=name):
                self.assertRegex(view["verdict"], r"^well: \d nodes answer$")
                self.assertEqual(view["peers"], [f"{nodes[0].host}:5000"])
                self.assertIn("1 peer found", view["said"])
                self.assertTrue(view["pictureIsShown"] and view["points"] >= 1, view)
                self.assertEqual((view["announces"], view["overflow"], view["scripted"]), ("9 of 9", 0, ""))

    def _look(self, control: Endpoint, token: str) -> dict:
        shots = target_folder() / "interop" / "screenshots"
        shots.mkdir(parents=True, exist_ok=True)
        order = {
            "library": str(_LIBRARY),
            "page": f"http://{control}/",
            "token": token,
            "infohash": _INFOHASH,
            "folder": str(shots),
            "views": _VIEWS,
        }
        looked = subprocess.run(
            ["node", str(_SCRIPT), json.dumps(order)], capture_output=True, text=True, timeout=_SECONDS
        )
        self.assertEqual(looked.returncode, 0, looked.stderr)
        return json.loads(looked.stdout)
