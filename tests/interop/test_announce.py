"""A real client finds what `trackerless announce` announced, and connects to that port."""

from __future__ import annotations

from addresses import Ground
from case import InteropCase
from clients import Aria2, Client, Rasterbar, Transmission
from listener import Listener


class Announce(InteropCase):
    def test_libtorrent(self) -> None:
        self.check(Rasterbar)

    def test_libtorrent_ipv6(self) -> None:
        self.check(Rasterbar, Ground.IPV6)

    def test_aria2(self) -> None:
        self.check(Aria2)

    def test_aria2_ipv6(self) -> None:
        self.check(Aria2, Ground.IPV6)

    def test_transmission(self) -> None:
        self.check(Transmission)

    def check(self, kind: type[Client], ground: Ground | None = None) -> None:
        network = self.network(kind, ground=ground)
        with Listener(self.lab.fresh_endpoint(network.ground)) as listener:
            network.announce(listener.endpoint)
            client = network.client(kind)
            client.fetch(network.torrent)
            handshake = listener.wait_for_handshake(client.download_seconds)
        self.assertEqual(handshake.from_host, client.endpoint.host)
        self.assertEqual(handshake.info_hash, network.torrent.info_hash)
