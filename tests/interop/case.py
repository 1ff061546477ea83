"""The base of every test here: a lab of its own, nodes and clients in it, all logs when it fails."""

from __future__ import annotations

import os
import sys
import unittest

import addresses
import node
import sandbox
import torrent
from addresses import Endpoint, Ground
from clients import Client
from lab import Lab, eventually
from torrent import Torrent


class InteropCase(unittest.TestCase):
    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        result = result if result is not None else self.defaultTestResult()
        self.lab = Lab(self.id())
        troubles = len(result.failures) + len(result.errors)
        try:
            super().run(result)
        finally:
            self.lab.close()
        logs = self.lab.save_logs()
        if len(result.failures) + len(result.errors) > troubles:
            sys.stderr.write(f"{self.id()}: what every process said\n{logs}\n")
        return result

    def network(self, *clients: type[Client], ground: Ground | None = None) -> "Network":
        """As many nodes as these clients need, where all of them can live; skips where one of them cannot."""
        ground = self._ground(clients, ground)
        return Network(self.lab, ground, max(client.nodes_needed for client in clients))

    def gateways(self, *clients: type[Client], ground: Ground | None = None, private: bool = False) -> "Network":
        """Two nodes with a gateway each, for clients that have their DHT switched off."""
        return Network(self.lab, self._ground(clients, ground), 2, gateway=True, private=private)

    def _ground(self, clients: tuple[type[Client], ...], ground: Ground | None) -> Ground:
        for client in clients:
            self._require(client.installed(), f"{client.name} is not installed; install it by: {client.cure}")
        grounds = [client.ground for client in clients if client.ground is not Ground.LOOPBACK]
        ground = ground or (grounds[0] if grounds else Ground.LOOPBACK)
        if ground is not Ground.LOOPBACK:
            self._require(sandbox.inside(), f"{ground.value} needs network namespaces; run it as root, or by sudo")
        return ground

    def _require(self, condition: bool, why_not: str) -> None:
        """A skip at home, a failure in CI, where nothing may be left out."""
        if condition:
            return
        if os.environ.get("CI"):
            self.fail(f"would be skipped, which CI does not allow: {why_not}")
        self.skipTest(f"skipped: {why_not}")


class Network:
    """Trackerless nodes, each on its own address; every other one enters by the first."""

    def __init__(
        self, lab: Lab, ground: Ground, size: int, gateway: bool = False, private: bool = False
    ) -> None:
        self.lab = lab
        self.ground = ground
        self.torrent: Torrent = torrent.make(lab.name, private)
        first = node.start(lab, lab.fresh_address(ground), gateway=gateway)
        others = (node.start(lab, lab.fresh_address(ground), first, gateway) for _ in range(size - 1))
        self.nodes = [first, *others]

    def client(self, kind: type[Client]) -> Client:
        return kind(self.lab, self.lab.fresh_endpoint(self.ground), self.nodes)

    def client_behind(self, gateway: Endpoint, kind: type[Client]) -> Client:
        """A client without DHT, on the host of the gateway, which announces only those who share its address."""
        return kind(self.lab, Endpoint(gateway.host, addresses.fresh_port()), [])

    def torrent_of(self, gateway: Endpoint, scheme: str) -> Torrent:
        """The network's torrent, with a gateway for its only tracker."""
        return self.torrent.with_tracker(f"{scheme}://{Endpoint(gateway.host, node.GATEWAY_PORT)}/announce")

    def find(self) -> list[str]:
        """The peers of this network's torrent, asked for by a newcomer that knows one node."""
        return node.find(self.lab, self.torrent.info_hash, self.lab.fresh_address(self.ground), self.nodes[-1])

    def announce(self, at: Endpoint) -> str:
        return node.announce(self.lab, self.torrent.info_hash, at, self.nodes[-1])

    def wait_for_announce_of(self, client: Client) -> None:
        """Asks our nodes only, and without leaving a trace: a client that is asked may take the asker for a node, and
        then waits for its answers."""
        eventually(
            f"a node has {client.endpoint} stored, announced by {client.name}",
            client.announce_seconds,
            lambda: any(node.has_stored(one, self.torrent.info_hash, client.endpoint) for one in self.nodes),
        )
