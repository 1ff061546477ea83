"""Two hosts, each a network namespace, and a cable between them: the node's and the attacker's.

The attacker has every address of 198.19.0.0/16 (AnyIP), may forge any other, and is where the node's default route leads: what
the node sends to whomever arrives there. No datagram leaves this machine.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import time
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Callable

NODE = "198.18.1.1"
ATTACKER = "198.18.1.2"
DHT_PORT = 6880
GATEWAY_PORT = 6969

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """A namespace, held by a process that only sleeps."""

    def __init__(self) -> None:
        script = "ip link set lo up && echo ready && exec sleep infinity"
        self._holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
        if self._holder.stdout.readline() != b"ready\n":
            raise SystemExit("no network namespaces here: run as root, where unshare and ip are")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def argv(self, *argv: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--", *argv]

    def ip(self, arguments: str) -> None:
        subprocess.run(self.argv("ip", *arguments.split()), check=True)

    def enter(self) -> None:
        """This process is on that host from now on."""
        with open(f"/proc/{self.pid}/ns/net") as namespace:
            if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


def two_hosts() -> tuple[Host, Host]:
    node, attacker = Host(), Host()
    node.ip(f"link add net type veth peer name net netns {attacker.pid}")
    for host, addr in [(node, NODE), (attacker, ATTACKER)]:
        host.ip(f"address add {addr}/24 dev net")
        host.ip("link set net up")
    node.ip(f"route add default via {ATTACKER}")
    attacker.ip(f"route add default via {NODE}")
    attacker.ip("route add local 198.19.0.0/16 dev lo")
    # What comes for others is received and dropped: nothing here forwards.
    return node, attacker


def on(host: Host, attack: Callable[..., dict[str, float]], *arguments: float | str) -> AsyncResult[dict[str, float]]:
    """Begins an attack on a host; `get` waits for its end."""
    pool = multiprocessing.get_context("fork").Pool(1, host.enter)
    result = pool.apply_async(attack, arguments)
    pool.close()
    return result


class Node:
    """The program, on its host."""

    def __init__(self, host: Host, binary: str, folder: Path) -> None:
        argv = ["run", "--bind", f"{NODE}:{DHT_PORT}", "--no-bootstrap", "--gateway", f"{NODE}:{GATEWAY_PORT}"]
        argv += ["--data-dir", str(folder / "data")]
        self._log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            host.argv(binary, *argv), stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while b"listening on" not in (folder / "log").read_bytes():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.05)

    def resident(self) -> int:
        """Memory in use, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def sent(self, headers: bool) -> int:
        """Bytes that left its host so far, with the headers of IP and UDP or without; those of the link left out."""
        with open(f"/proc/{self.process.pid}/net/dev") as counters:
            columns = counters.read().split("net:")[1].split()
        return int(columns[8]) - (14 if headers else 42) * int(columns[9])

    def stop(self) -> int:
        """Its exit code after a polite signal."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
