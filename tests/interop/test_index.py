"""A node that surveys a small network finds what real clients seed; people, programs and qBittorrent's plug-in find it there."""

from __future__ import annotations

import importlib.util
import sys
import types
import urllib.request

import node
from case import InteropCase, Network
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
        network, index, word = self.surveyed(kind)
        torrent = index.search(word)
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
        network, index, word = self.surveyed(Rasterbar)
        client = Qbittorrent(self.lab, self.lab.fresh_address(network.ground))
        client.start()
        found = client.search(f"{index.base}/trackerless.py", word)
        self.assertEqual([row["fileName"] for row in found], [network.torrent.name])
        self.assertIn(network.torrent.info_hash, found[0]["fileUrl"])
        self.assertEqual(found[0]["fileSize"], len(network.torrent.content))

    def test_a_torznab_client(self) -> None:
        self._require(importlib.util.find_spec("torznab") is not None, "torznab is not installed: pip install torznab")
        import torznab

        network, index, word = self.surveyed(Rasterbar)
        client, url = torznab.Torznab(), f"{index.base}/torznab/api"
        caps = client.get_capabilities(url)
        self.assertEqual((caps.server.title, caps.limits.max), ("trackerless", 100))
        modes = (caps.searching.search, caps.searching.tv_search, caps.searching.movie_search, caps.searching.audio_search,
                 caps.searching.book_search)
        self.assertTrue(all(mode.available and "q" in mode.supported_params for mode in modes), modes)
        self.assertIn((5000, "TV"), [(category.id, category.name) for category in caps.categories])
        # The count comes with a sample, and may come after the name.
        (found,) = eventually("the seed is counted", _SURVEY_SECONDS,
                              lambda: [one for one in client.search_torrent(word, url) if one.seeders])
        self.assertEqual((found.title, found.infohash), (network.torrent.name, network.torrent.info_hash))
        self.assertEqual((found.size, found.files), (len(network.torrent.content), [1]))
        self.assertEqual((found.seeders, found.peers, found.is_freeleech), (1, 1, True))
        self.assertEqual(found.magnet_url, network.torrent.magnet)
        self.assertEqual(found.link, found.magnet_url)
        self.assertEqual([one.infohash for one in client.search_torrent(network.torrent.info_hash, url)], [found.infohash])
        self.assertEqual(client.search_torrent("no torrent has this name", url), [])
        with self.assertRaises(torznab.TorznabAPIError) as refused:
            client.search_torrent("long " * 200, url)
        self.assertEqual(refused.exception.code, 201)

    def surveyed(self, kind: type[Client]) -> tuple[Network, node.Index, str]:
        """A network in which a client seeds, a node whose survey has found that, and a word of its name."""
        network = self.network(kind)
        seed = network.client(kind)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        index = node.start_index(self.lab, self.lab.fresh_address(network.ground), network.nodes[-1])
        word = network.torrent.name.split(".")[0]
        eventually("the index has the torrent", _SURVEY_SECONDS, lambda: index.search(word))
        return network, index, word

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
