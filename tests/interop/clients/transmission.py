"""Transmission, whose DHT code (jech/dht) is in many other clients too.

It refuses contacts and peers on 127.0.0.0/8, and announces only once it knows four good nodes and nine in all. Its first
look-up comes up to 20 s after the start and the next one 25 minutes later. Trackers are asked at once.
"""

from __future__ import annotations

import json
import os
import subprocess

from addresses import Endpoint, Ground
from clients.client import Client
from lab import eventually
from torrent import Torrent, bencode

_RPC_PORT = 9091


class Transmission(Client):
    name = "transmission"
    program = "transmission-daemon"
    cure = "apt-get install transmission-daemon transmission-cli"
    ground = Ground.PUBLIC
    nodes_needed = 12
    announce_seconds = 180
    download_seconds = 180

    def serve(self) -> None:
        """Start, as a node of the DHT and nothing else."""
        self._start()

    def seed(self, torrent: Torrent) -> None:
        torrent.write_content(self.content_folder)
        self._start()
        self._add(str(torrent.write_metainfo(self.folder)))

    def fetch(self, torrent: Torrent) -> None:
        self._start()
        self._add(torrent.magnet)

    def _start(self) -> None:
        (self.folder / "settings.json").write_text(json.dumps(self._settings()))
        (self.folder / "dht.dat").write_bytes(self._saved_nodes())
        self.lab.start(
            self.label,
            ["transmission-daemon", "--foreground", "--log-debug", "--config-dir", str(self.folder)],
            {"TR_DHT_VERBOSE": "1"},
        )

    def _settings(self) -> dict:
        return {
            "bind-address-ipv4": self.endpoint.host,
            "bind-address-ipv6": "::1",
            "dht-enabled": bool(self.nodes),
            "download-dir": str(self.content_folder),
            "encryption": 2 if self.demands_encryption else 0,  # required, or tolerated
            "lpd-enabled": False,
            "peer-port": self.endpoint.port,
            "peer-port-random-on-start": False,
            "pex-enabled": False,
            "port-forwarding-enabled": False,
            "rpc-bind-address": self.endpoint.host,
            "rpc-port": _RPC_PORT,
            "rpc-whitelist-enabled": False,
            "utp-enabled": False,
        }

    def _saved_nodes(self) -> bytes:
        """Transmission has no setting for bootstrap nodes, but it pings those it saved when it last ran."""
        return bencode({"id": os.urandom(20), "nodes": b"".join(node.compact for node in self.nodes)})

    def _add(self, source: str) -> None:
        remote = ["transmission-remote", str(Endpoint(self.endpoint.host, _RPC_PORT)), "--add", source]
        eventually("transmission-remote adds the torrent", 30, lambda: _succeeds(remote))


def _succeeds(argv: list[str]) -> bool:
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30).returncode == 0
