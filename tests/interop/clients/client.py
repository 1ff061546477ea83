"""What every client can do for a test: seed a torrent, or fetch one from nothing but its magnet link."""

from __future__ import annotations

import abc
import shutil
from pathlib import Path
from typing import ClassVar, Sequence

from addresses import Endpoint, Ground
from lab import Lab, eventually
from torrent import Torrent


class Client(abc.ABC):
    """One client on an address of its own, whose only way into the DHT is `nodes`; without nodes its DHT is off."""

    name: ClassVar[str]
    cure: ClassVar[str]  # the command that installs it
    program: ClassVar[str | None] = None
    ground: ClassVar[Ground] = Ground.LOOPBACK
    nodes_needed: ClassVar[int] = 1
    demands_encryption: ClassVar[bool] = False  # takes no plain connection, and makes none
    announce_seconds: ClassVar[float] = 60  # bounds, several times what was seen: a busy machine is no failure
    download_seconds: ClassVar[float] = 120

    def __init__(self, lab: Lab, endpoint: Endpoint, nodes: Sequence[Endpoint]) -> None:
        self.lab = lab
        self.endpoint = endpoint  # of the peer, by TCP, and of the DHT, by UDP
        self.nodes = nodes
        self.folder = lab.fresh_folder(self.name)

    @classmethod
    def installed(cls) -> bool:
        return cls.program is not None and shutil.which(cls.program) is not None

    @abc.abstractmethod
    def seed(self, torrent: Torrent) -> None:
        """Start, with the whole content at hand."""

    @abc.abstractmethod
    def fetch(self, torrent: Torrent) -> None:
        """Start, with the magnet link alone, or with what else the client needs to begin with nothing."""

    def wait_for_content(self, torrent: Torrent) -> None:
        eventually(
            f"{self.name} has the whole content of {torrent.info_hash}",
            self.download_seconds,
            lambda: torrent.arrived_in(self.content_folder),
        )

    @property
    def label(self) -> str:
        """Names its process and its log."""
        return f"{self.name} {self.endpoint}"

    @property
    def content_folder(self) -> Path:
        folder = self.folder / "content"
        folder.mkdir(exist_ok=True)
        return folder
