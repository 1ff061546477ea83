"""Clients with their DHT switched off, each behind a gateway of its own, find each other, and the file arrives whole."""

from __future__ import annotations

from urllib.parse import quote

import node
from addresses import Ground
from case import InteropCase
from clients import Aria2, Client, Rasterbar, RTorrent, Transmission
from lab import eventually


class Gateway(InteropCase):
    def test_libtorrent_http(self) -> None:
        self.check(Rasterbar, Rasterbar, "http")

    def test_libtorrent_udp(self) -> None:
        self.check(Rasterbar, Rasterbar, "udp")

    def test_libtorrent_http_ipv6(self) -> None:
        self.check(Rasterbar, Rasterbar, "http", Ground.IPV6)

    def test_libtorrent_udp_ipv6(self) -> None:
        self.check(Rasterbar, Rasterbar, "udp", Ground.IPV6)

    def test_libtorrent_to_aria2_http(self) -> None:
        self.check(Rasterbar, Aria2, "http")

    def test_aria2_to_libtorrent_http(self) -> None:
        self.check(Aria2, Rasterbar, "http")

    def test_rtorrent_to_libtorrent_http(self) -> None:
        self.check(RTorrent, Rasterbar, "http")

    def test_libtorrent_to_rtorrent_udp(self) -> None:
        self.check(Rasterbar, RTorrent, "udp")

    def test_transmission_to_libtorrent_http(self) -> None:
        self.check(Transmission, Rasterbar, "http")

    def test_libtorrent_to_transmission_udp(self) -> None:
        self.check(Rasterbar, Transmission, "udp")

    def check(self, seeder: type[Client], leecher: type[Client], scheme: str, ground: Ground | None = None) -> None:
        network = self.gateways(seeder, leecher, ground=ground)
        one, other = network.nodes
        seed, leech = network.client_behind(one, seeder), network.client_behind(other, leecher)
        seed.seed(network.torrent_of(one, scheme))
        network.wait_for_announce_of(seed)
        leech.fetch(network.torrent_of(other, scheme))
        leech.wait_for_content(network.torrent)


class Privacy(InteropCase):
    def test_libtorrent(self) -> None:
        self.check(Rasterbar)

    def test_transmission(self) -> None:
        self.check(Transmission)

    def test_rtorrent(self) -> None:
        self.check(RTorrent)

    def test_aria2(self) -> None:
        self.check(Aria2)

    def check(self, kind: type[Client]) -> None:
        """The gateway sees from the client itself that its torrent is private, and keeps it out of the DHT."""
        network = self.gateways(kind, private=True)
        gateway = network.nodes[0]
        client = network.client_behind(gateway, kind)
        client.seed(network.torrent_of(gateway, "http"))
        info_hash = quote(bytes.fromhex(network.torrent.info_hash))
        path = f"/announce?info_hash={info_hash}&peer_id={'x' * 20}&port={client.endpoint.port}&left=1&compact=1"
        eventually(
            f"the gateway calls the torrent of {client.name} private",
            client.announce_seconds,
            lambda: b"private" in node.ask_gateway(gateway.host, path),
        )
        self.assertEqual(network.find(), [])
