"""Fresh addresses for every process of every test, so that tests may run side by side.

Each address has its own /24 (IPv4) or /64 (IPv6): real clients keep only one DHT contact per such network, and with
distinct ones they can run with their defaults.
"""

from __future__ import annotations

import enum
import ipaddress
import itertools
import os
import threading
from typing import NamedTuple

import sandbox


class Ground(enum.Enum):
    """Where a test's network lies; see sandbox.py."""

    LOOPBACK = "127.0.0.0/8"
    PUBLIC = "198.18.0.0/15"
    IPV6 = "2001:db8::/32"


class Endpoint(NamedTuple):
    host: str
    port: int

    @property
    def compact(self) -> bytes:
        """BEP 5, Contact Encoding; BEP 32 for IPv6."""
        return ipaddress.ip_address(self.host).packed + self.port.to_bytes(2, "big")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_lock = threading.Lock()
_numbers = {ground: itertools.count(1) for ground in Ground}
_ports = itertools.count(20001)


def fresh(ground: Ground) -> str:
    """An address that no other process of this run has."""
    with _lock:
        number = next(_numbers[ground])
    high, low = divmod(number, 256)
    assert number <= (10_000 if ground is Ground.LOOPBACK else 500), f"too many addresses in {ground.value}"
    if ground is Ground.PUBLIC:
        return f"198.{18 + high}.{low}.1"
    if ground is Ground.IPV6:
        return sandbox.IPV6_ADDRESSES[number - 1]
    return f"127.{_loopback_base() + high}.{low}.1"


def fresh_endpoint(ground: Ground) -> Endpoint:
    """A fresh address and a fresh port: some clients listen on every address, whatever they are told."""
    return Endpoint(fresh(ground), fresh_port())


def fresh_port() -> int:
    with _lock:
        return next(_ports)


def _loopback_base() -> int:
    """Inside the sandbox all of 127/8 is ours; outside, two runs at once should not meet."""
    return 1 if sandbox.inside() else 16 + os.getpid() % 200
