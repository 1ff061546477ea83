"""`trackerless find` prints the address that a real client announced."""

from __future__ import annotations

from addresses import Ground
from case import InteropCase
from clients import Aria2, Client, Rasterbar, RTorrent, Transmission


class Find(InteropCase):
    def test_libtorrent(self) -> None:
        self.check(Rasterbar)

    def test_libtorrent_ipv6(self) -> None:
        self.check(Rasterbar, Ground.IPV6)

    def test_aria2(self) -> None:
        self.check(Aria2)

    def test_aria2_ipv6(self) -> None:
        self.check(Aria2, Ground.IPV6)

    def test_rtorrent(self) -> None:
        self.check(RTorrent)

    def test_transmission(self) -> None:
        self.check(Transmission)

    def check(self, kind: type[Client], ground: Ground | None = None) -> None:
        network = self.network(kind, ground=ground)
        self.assertEqual(network.find(), [], "nobody has announced yet")
        announcer = network.client(kind)
        announcer.seed(network.torrent)
        network.wait_for_announce_of(announcer)
        self.assertEqual(network.find(), [str(announcer.endpoint)], "each peer once, and no other")
