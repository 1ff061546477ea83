"""A peer that only listens: it reads the first plain BitTorrent handshake that somebody sends it.

A client that opens with an encrypted handshake (aria2) is hung up on, and comes again with a plain one.
"""

from __future__ import annotations

import socket
import time
from typing import NamedTuple

from addresses import Endpoint

_PROTOCOL = b"\x13BitTorrent protocol"
_HANDSHAKE_BYTES = len(_PROTOCOL) + 8 + 20  # BEP 3: up to the info hash; the peer id may wait for our own handshake


class Handshake(NamedTuple):
    from_host: str
    info_hash: str


class Listener:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self._socket = socket.create_server(endpoint, family=family)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def wait_for_handshake(self, seconds: float) -> Handshake:
        deadline = time.monotonic() + seconds
        while True:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            connection, (host, *_) = self._socket.accept()
            with connection:
                connection.settimeout(seconds)
                received = _read(connection, _HANDSHAKE_BYTES)
            if received.startswith(_PROTOCOL):
                return Handshake(host, received[-20:].hex())


def _read(connection: socket.socket, count: int) -> bytes:
    """Up to `count` bytes; fewer when the other side hangs up first."""
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            break
        received += part
    return received
