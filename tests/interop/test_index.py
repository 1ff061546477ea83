"""A node that surveys a small network finds what real clients seed; people, programs and qBittorrent's plug-in find it there."""

from __future__ import annotations

import sys
import types
import urllib.request

import node
from case import InteropCase
from clients import Aria2, Client, Rasterbar
from followed import Qbittorrent
from lab import eventually

_SURVEY_SECONDS = 120


class Index(InteropCase):
    def test_libtorrent(self) -> None:
        self.check(Rasterbar)

    def test_aria2(self) -> None:
        self.check(Aria2)

    def check(self, kind: type[Client]) -> None:
        network = self.network(kind)
        seed = network.client(kind)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        index = node.start_index(self.lab, self.lab.fresh_address(network.ground), network.nodes[-1])
        word = network.torrent.name.split(".")[0]
        torrent = eventually("the index has the torrent", _SURVEY_SECONDS, lambda: index.search(word))
        self.assertEqual(torrent["infohash"], network.torrent.info_hash)
        self.assertEqual(torrent["size"], len(network.torrent.content))
        self.assertEqual((torrent["name"], torrent["source"]), (network.torrent.name, "survey"))
        self.assertIn(network.torrent.info_hash, self.feed(index, word), "Torznab")
        self.assertEqual([row["name"] for row in self.plugin(index, word)], [network.torrent.name])
        # One that collects nothing of others asks the peers of an infohash at once.
        other = node.start_index(self.lab, self.lab.fresh_address(network.ground), network.nodes[-1], "mine")
        self.assertIsNone(other.search(word))
        self.assertIn(f"<title>{network.torrent.name}</title>", self.feed(other, network.torrent.info_hash), "live")

    def test_the_search_of_qbittorrent(self) -> None:
        self._require(Qbittorrent.installed(), f"{Qbittorrent.name} is not installed; install it by: {Qbittorrent.cure}")
        network = self.network(Rasterbar)
        seed = network.client(Rasterbar)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        index = node.start_index(self.lab, self.lab.fresh_address(network.ground), network.nodes[-1])
        word = network.torrent.name.split(".")[0]
        eventually("the index has the torrent", _SURVEY_SECONDS, lambda: index.search(word))
        client = Qbittorrent(self.lab, self.lab.fresh_address(network.ground))
        client.start()
        found = client.search(f"{index.base}/trackerless.py", word)
        self.assertEqual([row["fileName"] for row in found], [network.torrent.name])
        self.assertIn(network.torrent.info_hash, found[0]["fileUrl"])
        self.assertEqual(found[0]["fileSize"], len(network.torrent.content))

    def feed(self, index: node.Index, word: str) -> str:
        with urllib.request.urlopen(f"{index.base}/torznab/api?t=search&q={word}", timeout=10) as answer:
            return answer.read().decode()

    def plugin(self, index: node.Index, word: str) -> list[dict]:
        """What the plug-in prints, run as qBittorrent's engine runs it."""
        printed: list[dict] = []
        printer = types.ModuleType("novaprinter")
        printer.prettyPrinter = printed.append
        with urllib.request.urlopen(f"{index.base}/trackerless.py", timeout=10) as answer:
            source = answer.read().decode()
        sys.modules["novaprinter"] = printer
        names: dict = {}
        exec(compile(source, "trackerless.py", "exec"), names)  # noqa: S102 (our own program's answer)
        names["trackerless"]().search(word, "all")
        return printed
