"""A restart leaves no query unanswered: the test plays the part of systemd, whose store of descriptors keeps the sockets."""

from __future__ import annotations

import array
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import addresses
from addresses import Ground
from case import InteropCase

_RESTARTS = int(os.environ.get("RESTARTS", "5"))
_SECONDS = 60
_QUERIES_PER_SECOND = 200
# A client of the DHT gives up after some seconds; what is answered later than this counts as unanswered.
_PATIENCE = 10.0
_FIRST_DESCRIPTOR = 3  # sd_listen_fds(3)


class TestRestart(InteropCase):
    def test_restarts_under_load_leave_no_query_unanswered(self) -> None:
        self._require(shutil.which("sh") is not None and sys.platform == "linux", "only on Linux")
        endpoint, gateway = addresses.fresh_endpoint(Ground.LOOPBACK), addresses.fresh_port()
        folder = self.lab.fresh_folder("restarted")
        manager = _Manager(folder / "notify")
        arguments = [
            *(os.environ["TRACKERLESS"], "run", "--lan", "--data-dir", str(folder / "data"), "--bind", str(endpoint)),
            *("--gateway", f"127.0.0.1:{gateway}", "--control", "off", "--no-limits"),
        ]
        load = _Load(endpoint)
        with contextlib.closing(manager):
            manager.start(arguments)
            load.start()
            for _ in range(_RESTARTS):
                time.sleep(0.5)
                manager.restart(arguments)
            time.sleep(0.5)
            load.stop()
            names = set(manager.kept)
            manager.stop()
        print(
            f"{_RESTARTS} restarts, {load.sent} queries, {len(load.answered)} answered, the slowest after "
            f"{max(load.answered.values(), default=0):.2f} s; announces with a token from before a restart: {load.stored}"
        )
        self.assertEqual(load.unanswered(), 0)
        self.assertGreater(load.sent, _RESTARTS * 50)
        self.assertGreater(load.stored, 0)
        self.assertEqual(load.refused_tokens, 0)
        udp, tcp = f"udp-{endpoint.host}_{endpoint.port}", f"tcp-127.0.0.1_{gateway}"
        self.assertTrue({udp, tcp} <= names, names)

    def test_a_socket_that_is_not_wanted_any_more_is_given_back(self) -> None:
        first, second = (addresses.fresh_endpoint(Ground.LOOPBACK) for _ in range(2))
        folder = self.lab.fresh_folder("moved")
        manager = _Manager(folder / "notify")
        base = [os.environ["TRACKERLESS"], "run", "--lan", "--data-dir", str(folder / "data"), "--gateway", "off", "--control", "off"]
        with contextlib.closing(manager):
            manager.start([*base, "--bind", str(first)])
            manager.restart([*base, "--bind", str(second)])
            manager.stop()
            self.assertEqual(set(manager.kept), {f"udp-{second.host}_{second.port}"})


class _Manager:
    """What systemd does for a service with `Type=notify` and `FileDescriptorStoreMax`."""

    def __init__(self, path: Path) -> None:
        self.kept: dict[str, int] = {}
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(_SECONDS)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: list[str]) -> None:
        descriptors = list(self.kept.values())
        high = _high(descriptors)
        # The shell puts them where sd_listen_fds(3) looks, and tells its own number, which the program then has.
        moves = " ".join(f"{_FIRST_DESCRIPTOR + index}<&{fd}" for index, fd in enumerate(high))
        script = f"exec {moves}; LISTEN_PID=$$ exec \"$@\"" if descriptors else 'exec "$@"'
        environment = {**os.environ, "NOTIFY_SOCKET": str(self._path), "LISTEN_FDS": str(len(descriptors))}
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *arguments],
            pass_fds=high,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in high:
            os.close(fd)
        self._listen_until("READY=1")

    def restart(self, arguments: list[str]) -> None:
        self.stop()
        self.start(arguments)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(_SECONDS) == 0
        self._process = None
        self._drain()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for fd in self.kept.values():
            os.close(fd)
        self._socket.close()

    def _listen_until(self, word: str) -> None:
        while word not in self._hear():
            pass

    def _drain(self) -> None:
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._hear()
        self._socket.settimeout(_SECONDS)

    def _hear(self) -> list[str]:
        space = socket.CMSG_SPACE(16 * array.array("i").itemsize)
        message, controls, _, _ = self._socket.recvmsg(4096, space)
        passed = array.array("i")
        for level, kind, data in controls:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                passed.frombytes(data[: len(data) - len(data) % passed.itemsize])
        lines = message.decode().split("\n")
        name = next((line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")), "")
        if "FDSTORE=1" in lines:
            for fd in passed:
                self._keep(name, fd)
        if "FDSTOREREMOVE=1" in lines:
            os.close(self.kept.pop(name))
        return lines

    def _keep(self, name: str, fd: int) -> None:
        """The same socket is kept once (it may come again from the next process)."""
        if name in self.kept:
            os.close(self.kept.pop(name))
        self.kept[name] = fd


def _high(descriptors: list[int]) -> list[int]:
    """The same, at numbers that the shell's redirections do not touch."""
    import fcntl

    return [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in descriptors]


class _Load:
    """Clients that ask without a pause, and announce with the tokens that they were given before."""

    def __init__(self, endpoint) -> None:
        self._endpoint = tuple(endpoint)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._random = random.Random(1)
        self._ends = threading.Event()
        self._at: dict[bytes, float] = {}
        self._token = b""
        self._announces: set[bytes] = set()
        self.answered: dict[bytes, float] = {}
        self.sent = 0
        self.stored = 0
        self.refused_tokens = 0
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._ask, self._hear)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ends.set()
        self._threads[0].join()
        until = time.monotonic() + _PATIENCE
        while self.unanswered() and time.monotonic() < until:
            time.sleep(0.05)
        self._socket.close()

    def unanswered(self) -> int:
        return self.sent - len(self.answered)

    def _ask(self) -> None:
        own, target = b"a" * 20, b"b" * 20
        while not self._ends.wait(1 / _QUERIES_PER_SECOND):
            transaction = self.sent.to_bytes(4, "big")
            if self._token and self.sent % 10 == 0:
                body = b"d1:ad2:id20:%s9:info_hash20:%s4:porti7000e5:token%d:%se1:q13:announce_peer"
                query = body % (own, target, len(self._token), self._token)
                self._announces.add(transaction)
            else:
                query = b"d1:ad2:id20:%s9:info_hash20:%se1:q9:get_peers" % (own, target)
            self._at[transaction] = time.monotonic()
            self.sent += 1
            self._socket.sendto(query + b"1:t4:%s1:y1:qe" % transaction, self._endpoint)

    def _hear(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                answer = self._socket.recv(2048)
                at = answer.find(b"1:t4:")
                # Queries of the node to us are none of ours.
                if at < 0 or not (b"1:y1:r" in answer or b"1:y1:e" in answer):
                    continue
                transaction = answer[at + 5 : at + 9]
                if transaction not in self._at or transaction in self.answered:
                    continue
                self.answered[transaction] = time.monotonic() - self._at[transaction]
                if transaction in self._announces:
                    self.stored += b"1:y1:r" in answer
                    self.refused_tokens += b"1:y1:e" in answer
                token = answer.find(b"5:token")
                if token >= 0 and not self._token:
                    length, _, rest = answer[token + 7 :].partition(b":")
                    self._token = rest[: int(length)]
