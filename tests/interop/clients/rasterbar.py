"""libtorrent (rasterbar), the engine of qBittorrent and Deluge, through its Python binding from PyPI."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Sequence

from clients.client import Client
from torrent import Torrent

_SESSION = Path(__file__).with_name("rasterbar_session.py")


class Rasterbar(Client):
    name = "libtorrent"
    cure = "pip install libtorrent==2.1.1"

    @classmethod
    def installed(cls) -> bool:
        return importlib.util.find_spec("libtorrent") is not None

    def seed(self, torrent: Torrent) -> None:
        self.seed_all([torrent])

    def seed_all(self, torrents: Sequence[Torrent]) -> None:
        for torrent in torrents:
            torrent.write_content(self.content_folder)
        self.seed_files(self.content_folder, [torrent.write_metainfo(self.folder) for torrent in torrents])

    def seed_files(self, content: Path, metainfo: Sequence[Path], unread: bool = False) -> None:
        """Seed these torrent files; `unread` where nobody will ask for the content, and it is not there."""
        self._start({"metainfo": list(map(str, metainfo)), "folder": str(content), "unread": unread})

    def fetch(self, torrent: Torrent) -> None:
        self._start({"magnet": torrent.magnet})

    def _start(self, source: dict) -> None:
        order = {
            "listen": str(self.endpoint),
            "bootstrap": ",".join(map(str, self.nodes)),
            "folder": str(self.content_folder),
            "demands_encryption": self.demands_encryption,
            **source,
        }
        self.lab.start(self.label, [sys.executable, "-u", str(_SESSION), json.dumps(order)])
