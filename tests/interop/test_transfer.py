"""A seed in one client and a leech in another find each other through our nodes alone, and the file arrives whole."""

from __future__ import annotations

from addresses import Ground
from case import InteropCase
from clients import Aria2, Client, Rasterbar, RTorrent, Transmission


class Transfer(InteropCase):
    def test_libtorrent_to_libtorrent(self) -> None:
        self.check(Rasterbar, Rasterbar)

    def test_libtorrent_to_libtorrent_ipv6(self) -> None:
        self.check(Rasterbar, Rasterbar, Ground.IPV6)

    def test_libtorrent_to_aria2(self) -> None:
        self.check(Rasterbar, Aria2)

    def test_libtorrent_to_aria2_ipv6(self) -> None:
        self.check(Rasterbar, Aria2, Ground.IPV6)

    def test_libtorrent_to_transmission(self) -> None:
        self.check(Rasterbar, Transmission)

    def test_aria2_to_libtorrent(self) -> None:
        self.check(Aria2, Rasterbar)

    def test_aria2_to_libtorrent_ipv6(self) -> None:
        self.check(Aria2, Rasterbar, Ground.IPV6)

    def test_rtorrent_to_libtorrent(self) -> None:
        self.check(RTorrent, Rasterbar)

    def test_transmission_to_libtorrent(self) -> None:
        self.check(Transmission, Rasterbar)

    def check(self, seeder: type[Client], leecher: type[Client], ground: Ground | None = None) -> None:
        network = self.network(seeder, leecher, ground=ground)
        seed, leech = network.client(seeder), network.client(leecher)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        leech.fetch(network.torrent)
        leech.wait_for_content(network.torrent)
