"""Thousands of torrents in a real client whose DHT is off, kept announced by one daemon beside it.

In CI it is a small case of the same; by hand, as docs/ANNOUNCER.md tells:

    TORRENTS=2000 NODES=200 tests/run interop -k thousands
"""

from __future__ import annotations

import os
import time

import node
import torrent
from addresses import Endpoint, Ground
from case import InteropCase
from followed import Qbittorrent
from lab import eventually

TORRENTS = int(os.environ.get("TORRENTS", "60"))
NODES = int(os.environ.get("NODES", "5"))
_BURST = 400  # new destinations a second: the whole test is not to last longer than the budget asks for
_SECONDS = 120 + TORRENTS * 60 / _BURST * 3
_FIRST_PORT, _SECOND_PORT = 41111, 42222


class Thousands(InteropCase):
    def test_all_become_visible_over_a_kill_a_restart_of_the_client_and_another_port(self) -> None:
        self._require(Qbittorrent.installed(), f"{Qbittorrent.name} is not installed; {Qbittorrent.cure}")
        nodes = node.crowd(self.lab, [self.lab.fresh_address(Ground.LOOPBACK) for _ in range(NODES)])
        client = Qbittorrent(self.lab, self.lab.fresh_address(Ground.LOOPBACK))
        self.host = client.peer.host
        torrents = [torrent.make_small(f"{self.lab.name} {number}") for number in range(TORRENTS)]
        client.start_with_many(torrents)
        port_file = client.folder / "forwarded_port"
        port_file.write_text(f"{_FIRST_PORT}\n")
        folder = self.lab.fresh_folder("many")
        flags = ["--client", client.address() + f"?port_file={port_file}",
                 "--new-destinations-per-second", str(_BURST), "--new-destinations-burst", str(_BURST),
                 "--log", "info,trackerless::announcer=debug"]

        begun = time.monotonic()
        daemon = node.keep(self.lab, client.peer.host, nodes[0], folder, flags)
        self.told("listed", begun, eventually("all are listed", _SECONDS, lambda: self.count() == TORRENTS))
        eventually("half are visible", _SECONDS, lambda: self.count("visible") * 2 >= TORRENTS)
        self.told("half visible", begun)
        announced = self.times(folder)

        daemon.kill()
        killed = time.monotonic()
        daemon = node.keep(self.lab, client.peer.host, nodes[0], folder, flags)
        again = self.times(folder)
        early = [one for one, at in again.items() if one in announced and at < announced[one]]
        self.assertEqual(early, [], "what was announced before the kill is known after it")
        eventually("all are visible", _SECONDS, lambda: self.count("visible") == TORRENTS)
        self.told("all visible after the kill", killed)
        self.told("all visible", begun)

        client.restart()
        eventually("the client is followed again", 120, lambda: self.count() == TORRENTS)
        self.assertEqual(self.count("visible"), TORRENTS, "a client that is started again costs nothing")

        begun = time.monotonic()
        port_file.write_text(f"{_SECOND_PORT}\n")
        eventually("the copies at the old port count no longer", 30, lambda: self.count("visible") < TORRENTS)
        eventually("all are visible at the new port", _SECONDS, lambda: self.count("visible") == TORRENTS)
        self.told("all visible at the new port", begun)
        there = Endpoint(client.peer.host, _SECOND_PORT)
        for one in (torrents[0], torrents[TORRENTS // 2], torrents[-1]):
            found = node.find(self.lab, one.info_hash, self.lab.fresh_address(Ground.LOOPBACK), nodes[-1])
            self.assertIn(str(there), found)
        self.assertTrue(daemon.running())

    def told(self, what: str, begun: float, _: object = None) -> None:
        if "TORRENTS" in os.environ:
            print(f"{TORRENTS} torrents, {NODES} nodes: {what} after {time.monotonic() - begun:.0f} s", flush=True)

    def count(self, state: str | None = None) -> int:
        states = node.announcer(self.host)["states"]
        return sum(one["count"] for one in states if state in (None, one["name"]))

    def times(self, folder) -> dict[str, int]:
        return {record["infohash"]: record["announced_at"] for record in node.listed(self.lab, folder)
                if record["announced_at"]}
