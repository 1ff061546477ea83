"""aria2: its own DHT code. It takes one entry point, and a DHT of one node is enough for it."""

from __future__ import annotations

from clients.client import Client
from torrent import Torrent


class Aria2(Client):
    name = "aria2"
    program = "aria2c"
    cure = "apt-get install aria2"

    def seed(self, torrent: Torrent) -> None:
        torrent.write_content(self.content_folder)
        self._start("--check-integrity=true", "--seed-ratio=0.0", str(torrent.write_metainfo(self.folder)))

    def fetch(self, torrent: Torrent) -> None:
        self._start("--seed-ratio=0.0", torrent.magnet)

    def _start(self, *work: str) -> None:
        host, port = self.endpoint
        self.lab.start(self.label, [
            "aria2c",
            "--no-conf",
            "--console-log-level=debug",
            "--enable-color=false",
            "--summary-interval=0",
            f"--dir={self.content_folder}",
            f"--interface={host}",
            f"--listen-port={port}",
            f"--dht-listen-port={port}",
            "--bt-enable-lpd=false",
            "--enable-peer-exchange=false",
            f"--bt-require-crypto={str(self.demands_encryption).lower()}",
            *self._dht(),
            *work,
        ])

    def _dht(self) -> list[str]:
        if not self.nodes:
            return ["--enable-dht=false", "--disable-ipv6=true"]
        return self._dht6() if ":" in self.endpoint.host else self._dht4()

    def _dht4(self) -> list[str]:
        return [
            "--enable-dht=true",
            f"--dht-entry-point={self.nodes[0]}",
            f"--dht-file-path={self.folder / 'dht.dat'}",
            "--disable-ipv6=true",
        ]

    def _dht6(self) -> list[str]:
        return [
            "--enable-dht=false",
            "--enable-dht6=true",
            f"--dht-entry-point6={self.nodes[0]}",
            f"--dht-listen-addr6={self.endpoint.host}",
            f"--dht-file-path6={self.folder / 'dht6.dat'}",
        ]
