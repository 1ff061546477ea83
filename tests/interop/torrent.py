"""A small single-file torrent, made by hand so that no client under test has a part in it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

_PIECE_BYTES = 32 * 1024
_CONTENT_BYTES = 300 * 1024 + 17  # several pieces, the last one odd


class Torrent(NamedTuple):
    name: str
    content: bytes
    metainfo: bytes
    info_hash: str
    tracker: str | None = None

    @property
    def magnet(self) -> str:
        tracker = f"&tr={quote(self.tracker, safe='')}" if self.tracker else ""
        return f"magnet:?xt=urn:btih:{self.info_hash}&dn={self.name}{tracker}"

    def with_tracker(self, url: str) -> "Torrent":
        return self._replace(tracker=url, metainfo=b"d8:announce" + bencode(url) + self.metainfo[1:])

    def write_content(self, folder: Path) -> None:
        (folder / self.name).write_bytes(self.content)

    def write_metainfo(self, folder: Path) -> Path:
        path = folder / f"{self.name}.torrent"
        path.write_bytes(self.metainfo)
        return path

    def arrived_in(self, folder: Path) -> bool:
        """Whether the whole content lies in `folder`, byte for byte."""
        path = folder / self.name
        return path.is_file() and hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(self.content).digest()


def make_small(seed: str) -> Torrent:
    """One of thousands: a single piece."""
    return make(seed, content_bytes=100)


def make(seed: str, private: bool = False, content_bytes: int = _CONTENT_BYTES) -> Torrent:
    """The same torrent for the same seed; no tracker, no web seed, no `nodes`."""
    name = f"{hashlib.sha1(seed.encode()).hexdigest()[:12]}.bin"
    content = random.Random(seed).randbytes(content_bytes)
    info = bencode({
        "length": len(content),
        "name": name,
        "piece length": _PIECE_BYTES,
        "pieces": b"".join(hashlib.sha1(piece).digest() for piece in _pieces(content)),
        **({"private": 1} if private else {}),
    })
    return Torrent(name, content, b"d4:info" + info + b"e", hashlib.sha1(info).hexdigest())


def bencode(value: int | str | bytes | list | dict) -> bytes:
    """BEP 3, canonical."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        return bencode(value.encode())
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def _pieces(content: bytes) -> list[bytes]:
    return [content[start : start + _PIECE_BYTES] for start in range(0, len(content), _PIECE_BYTES)]
