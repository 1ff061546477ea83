"""Metadata of many torrents, from libtorrent and beside a peer that misbehaves in every way.

In CI it is a small case of the same; by hand, as docs/INDEX.md tells:

    MINUTES=10 TORRENTS=3000 SESSIONS=20 NODES=200 tests/run interop -k metadata
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from pathlib import Path

import node
from addresses import Endpoint, Ground, fresh_port
from case import InteropCase
from clients import Rasterbar
from lab import eventually
from torrent import bencode

MINUTES = float(os.environ.get("MINUTES", "0"))
TORRENTS = int(os.environ.get("TORRENTS", "8"))
SESSIONS = int(os.environ.get("SESSIONS", "2"))
NODES = int(os.environ.get("NODES", "5"))
_HERE = Path(__file__).parent
_ANNOUNCED_SECONDS = 120 + 4 * TORRENTS / SESSIONS  # libtorrent announces one torrent a second
_GOAL_A_DAY, _GOAL_MIB = 100_000, 128
_PIECE = 256 * 1024


class Metadata(InteropCase):
    def test_it_is_fetched_from_real_peers_past_one_that_misbehaves_in_every_way(self) -> None:
        self._require(Rasterbar.installed(), f"{Rasterbar.name} is not installed; install it by: {Rasterbar.cure}")
        nodes = node.crowd(self.lab, [self.lab.fresh_address(Ground.LOOPBACK) for _ in range(NODES)])
        seeds = {self.seed(nodes[number % NODES], range(number, TORRENTS, SESSIONS)): None for number in range(SESSIONS)}
        infohashes = [infohash for _, some in seeds for infohash in some]
        self.misbehave(nodes[0], infohashes[:: 3])
        for endpoint, some in seeds:
            for infohash in some[-1:] if MINUTES else some:
                eventually("a session has announced its torrents", _ANNOUNCED_SECONDS,
                           lambda: any(node.has_stored(one, infohash, endpoint) for one in nodes))
        index = node.start_index(self.lab, self.lab.fresh_address(Ground.LOOPBACK), nodes[-1], log=["--log", "info"])
        if MINUTES:
            self.measure(index)
        else:
            eventually("all metadata is there", 180, lambda: index.torrents() == TORRENTS)
        self.assertLess(index.process.peak_mib(), _GOAL_MIB)
        self.assertTrue(index.process.running())

    def measure(self, index: node.Index) -> None:
        begun, first = time.monotonic(), index.process.cpu_seconds()
        for minute in range(1, int(MINUTES) + 1):
            time.sleep(max(0, begun + 60 * minute - time.monotonic()))
            cpu = index.process.cpu_seconds() - first
            print(f"minute {minute}: {index.torrents()} torrents, {cpu:.1f} s of CPU, "
                  f"at most {index.process.peak_mib():.0f} MiB resident", flush=True)
        spent = time.monotonic() - begun
        a_day = index.torrents() * 86_400 / spent
        print(f"{a_day:.0f} torrents a day with {cpu / spent:.1%} of a core", flush=True)
        self.assertGreaterEqual(a_day, _GOAL_A_DAY)

    def seed(self, bootstrap: Endpoint, numbers: range) -> tuple[Endpoint, tuple[str, ...]]:
        """A session of libtorrent with the torrents of these numbers; their infohashes."""
        endpoint, folder = self.lab.fresh_endpoint(Ground.LOOPBACK), self.lab.fresh_folder("seed")
        infohashes = tuple(_make(folder, self.lab.name, number) for number in numbers)
        Rasterbar(self.lab, endpoint, [bootstrap]).seed_files(folder, sorted(folder.glob("*.torrent")), unread=True)
        return endpoint, infohashes

    def misbehave(self, bootstrap: Endpoint, infohashes: list[str]) -> None:
        """A peer of these torrents that is of no use to anybody."""
        host, port = self.lab.fresh_address(Ground.LOOPBACK), fresh_port()
        peer = self.lab.start("misbehaving", [sys.executable, "-u", str(_HERE / "misbehaving.py"), host, str(port)])
        peer.wait_for_line("ready", 30)
        listed = self.lab.folder / "misbehaving.txt"
        listed.write_text("\n".join(infohashes))
        flags = ["--watch", str(listed), "--announce-port", str(port), "--new-destinations-per-second", "400"]
        node.keep(self.lab, host, bootstrap, self.lab.fresh_folder("misbehaving"), flags)
        eventually("the peer that misbehaves is announced", 60 + len(infohashes), lambda: _announced(host) == len(infohashes))


def _announced(host: str) -> int:
    states = node.announcer(host)["states"]
    return sum(one["count"] for one in states if one["name"] in ("announced", "visible"))


def _make(folder: Path, seed: str, number: int) -> str:
    """A torrent file with metadata of 600 bytes to 30 KB, and a content that is nothing but a hole; its infohash."""
    dice = random.Random(f"{seed} {number}")
    words = [dice.choice(["red", "green", "blue", "big", "small", "old", "new"]) for _ in range(5)]
    pieces = dice.randrange(20, 1_500)
    name = ".".join(["torrent", str(number), *words])
    info = bencode({
        "length": pieces * _PIECE, "name": name, "piece length": _PIECE, "pieces": dice.randbytes(20 * pieces),
    })
    with open(folder / name, "wb") as content:
        content.truncate(pieces * _PIECE)
    (folder / f"{name}.torrent").write_bytes(b"d4:info" + info + b"e")
    return hashlib.sha1(info).hexdigest()
