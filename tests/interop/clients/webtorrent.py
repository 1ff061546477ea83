"""The DHT of WebTorrent: npm's bittorrent-dht. A library, not a client: it puts and gets items, it moves no torrents."""

from __future__ import annotations

import shutil
from pathlib import Path

from clients.client import Client
from lab import target_folder

VERSION = "11.0.12"


class WebTorrent(Client):
    name = "bittorrent-dht"
    cure = f"npm install --prefix target/interop/npm bittorrent-dht@{VERSION}, and Node.js"

    @classmethod
    def installed(cls) -> bool:
        return shutil.which("node") is not None and cls.library().exists()

    @classmethod
    def library(cls) -> Path:
        return target_folder() / "interop" / "npm" / "node_modules" / "bittorrent-dht" / "index.js"
