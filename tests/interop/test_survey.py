"""The index in a whole network: infohashes by the thousand, of which libtorrent seeds some; what its survey finds and at what
cost, what it stores and finds again, and what kill -9 loses.

In CI it is a small case of the same; by hand, as docs/INDEX.md tells:

    NODES=2000 INFOHASHES=5000 SEEDED=200 tests/run interop -k test_survey
"""

from __future__ import annotations

import hashlib
import os
import time

import node
import torrent
from addresses import Ground
from case import InteropCase
from clients import Aria2, Rasterbar
from lab import eventually

NODES = int(os.environ.get("NODES", "12"))
INFOHASHES = int(os.environ.get("INFOHASHES", "40"))
SEEDED = int(os.environ.get("SEEDED", "8"))
_BY_HAND = "NODES" in os.environ
_SEEDED_EACH = 10  # torrents of one session
_LISTED_EACH = 500  # infohashes of one announcer, of which nobody has the metadata
_SECONDS = 120 + INFOHASHES / 10
_QUICK = ["--new-destinations-per-second", "4000", "--new-destinations-burst", "4000"]
_FLAGS = ["--index-queries-per-second", "1000", "--index-connections-per-second", "100", "--index-file-words"]


class Survey(InteropCase):
    def test_what_is_shared_is_found_stored_and_survives_a_kill(self) -> None:
        self._require(Aria2.installed(), f"{Aria2.name} is not installed; {Aria2.cure}")
        self._require(Rasterbar.installed(), f"{Rasterbar.name} is not installed; {Rasterbar.cure}")
        self.nodes = node.crowd(self.lab, [self.lab.fresh_address(Ground.LOOPBACK) for _ in range(NODES)])
        seeded = [torrent.make_small(f"{self.lab.name} {number}") for number in range(SEEDED)]
        begun = time.monotonic()
        self.share(seeded)
        self.told("all announced", begun)

        begun = time.monotonic()
        flags = ["--bootstrap", str(self.nodes[-1]), *_FLAGS]
        host = self.lab.fresh_address(Ground.LOOPBACK)
        index = node.start_index(self.lab, host, self.nodes[0], flags=flags)
        quarter = eventually("a quarter of the nodes is asked", _SECONDS, lambda: self.after(index, NODES // 4))
        self.told(f"{quarter['known'] / INFOHASHES:.1%} known after {quarter['sample']} samples", begun)
        if NODES >= 1000:
            # A random quarter of the nodes would hold 90 %; with 20 infohashes a node, which is what a sample has room for,
            # half the nodes cannot tell all of theirs.
            self.assertGreaterEqual(quarter["known"], 0.85 * INFOHASHES)
        eventually("all are known", _SECONDS, lambda: self.after(index, 0)["known"] >= 0.98 * INFOHASHES)
        self.told(f"98 % known after {self.after(index, 0)['sample']} samples", begun)

        eventually("some are stored", _SECONDS, lambda: len(index.export()) * 3 >= SEEDED)
        stored = {one["infohash"] for one in index.export()}
        index.process.kill()
        index = node.start_index(self.lab, host, self.nodes[0], flags=flags, folder=index.folder)
        self.assertLessEqual(stored, {one["infohash"] for one in index.export()}, "nothing that was stored is lost")
        eventually("all that is seeded is stored", 2 * _SECONDS, lambda: len(index.export()) >= SEEDED)
        self.told(f"all {SEEDED} that are seeded stored, {len(stored)} of them before the kill", begun)
        told = {one["infohash"]: (one["name"], one["size"], one["source"]) for one in index.export()}
        self.assertEqual(told, {one.info_hash: (one.name, len(one.content), "survey") for one in seeded})
        for one in seeded:
            found = index.search(f"files:{one.name.split('.')[0]}")
            self.assertEqual(found and found["infohash"], one.info_hash, "by a word of its file's name")
        self.told("all found by a word of a file's name", begun)
        client = Aria2(self.lab, self.lab.fresh_endpoint(Ground.LOOPBACK), self.nodes)
        client.fetch(seeded[0])
        client.wait_for_content(seeded[0])
        figures = self.after(index, 0)
        self.told(f"queries {figures['query']}, connections {figures['connection']}, since the kill", begun)

    def share(self, seeded: list[torrent.Torrent]) -> None:
        """Has real clients seed these, and nodes announce as many infohashes as are still missing."""
        for first in range(0, len(seeded), _SEEDED_EACH):
            client = Rasterbar(self.lab, self.lab.fresh_endpoint(Ground.LOOPBACK), [self.nodes[first % NODES]])
            client.seed_all(seeded[first : first + _SEEDED_EACH])
        others = [hashlib.sha1(f"{self.lab.name} {number}".encode()).hexdigest() for number in range(INFOHASHES - SEEDED)]
        hosts = {}
        for first in range(0, len(others), _LISTED_EACH):
            folder, host = self.lab.fresh_folder("listed"), self.lab.fresh_address(Ground.LOOPBACK)
            listed = others[first : first + _LISTED_EACH]
            (folder / "list.txt").write_text("\n".join(listed))
            flags = ["--watch", str(folder / "list.txt"), "--announce-port", "5000", *_QUICK]
            node.keep(self.lab, host, self.nodes[first % NODES], folder, flags)
            hosts[host] = len(listed)
        for host, count in hosts.items():
            eventually("all are announced", _SECONDS, lambda: node.announcer(host)["copies"] >= 7 * min(count, NODES))
        newcomer = self.lab.fresh_address(Ground.LOOPBACK)
        for first in range(0, len(seeded), _SEEDED_EACH):
            last = seeded[first : first + _SEEDED_EACH][-1]
            found = lambda: node.find(self.lab, last.info_hash, newcomer, self.nodes[-1])
            eventually("libtorrent has announced the last of its torrents", _SECONDS, found)

    def after(self, index: node.Index, samples: int) -> dict | None:
        """What the index has done, once it has so many samples."""
        figures = index.figures()
        figures["known"] = figures["wanted"] + figures["fetched"]
        return figures if figures["sample"] >= samples else None

    def told(self, what: str, begun: float) -> None:
        if _BY_HAND:
            print(f"{NODES} nodes, {INFOHASHES} infohashes: {what}, {time.monotonic() - begun:.0f} s", flush=True)
