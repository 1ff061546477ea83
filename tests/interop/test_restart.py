"""A restart leaves no query unanswered: the test plays the part of systemd, whose store of descriptors keeps the sockets."""

from __future__ import annotations

import array
import contextlib
import os
import random
import shutil
import socket
import struct
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
_SWARM = "b" * 20
# BEP 15 says 15 seconds; the gateway holds an answer for less than this.
_ASKS_AGAIN_AFTER = 8.0


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
        load, tracked = _Load(endpoint), _GatewayLoad(gateway)
        with contextlib.closing(manager):
            manager.start(arguments)
            load.start()
            tracked.start()
            for _ in range(_RESTARTS):
                time.sleep(0.5)
                manager.restart(arguments)
            time.sleep(0.5)
            load.stop()
            tracked.stop()
            manager.stop()
            names = set(manager.kept)
        print(
            f"{_RESTARTS} restarts, {load.sent} queries, {len(load.answered)} answered, the slowest after "
            f"{max(load.answered.values(), default=0):.2f} s; announces with a token from before a restart: {load.stored}"
        )
        for kind, seconds in tracked.seconds.items():
            print(
                f"gateway, {kind}: {len(seconds)} answered, the slowest after {max(seconds, default=0):.2f} s, "
                f"asked again {tracked.again[kind]} times"
            )
        self.assertEqual(load.unanswered(), 0)
        self.assertEqual(tracked.unanswered, [])
        for kind, seconds in tracked.seconds.items():
            self.assertGreater(len(seconds), _RESTARTS, kind)
            self.assertLessEqual(tracked.again[kind], _RESTARTS, f"{kind}: more than a restart can cost")
        self.assertGreater(load.sent, _RESTARTS * 50)
        self.assertGreater(load.stored, 0)
        self.assertEqual(load.refused_tokens, 0)
        kept = {f"udp-{endpoint.host}_{endpoint.port}", f"tcp-127.0.0.1_{gateway}", f"udp-127.0.0.1_{gateway}"}
        self.assertTrue(kept <= names, names)

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


class _GatewayLoad:
    """Clients of the gateway: each of four kinds announces or scrapes without a pause. Like all clients they ask again when no
    answer comes: what waits for the DHT when the node ends is not answered by the next one."""

    KINDS = ("announces by HTTP", "scrapes by HTTP", "announces by UDP", "scrapes by UDP")

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._ends = threading.Event()
        self._connection: dict[str, bytes] = {}
        self.seconds: dict[str, list[float]] = {kind: [] for kind in self.KINDS}
        self.again: dict[str, int] = dict.fromkeys(self.KINDS, 0)
        self.unanswered: list[str] = []
        self._threads = [threading.Thread(target=self._work, args=(kind,), daemon=True) for kind in self.KINDS]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _work(self, kind: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as by_udp:
            by_udp.settimeout(_ASKS_AGAIN_AFTER)
            by_udp.connect(self._address)
            if "UDP" in kind:
                self._connection[kind] = self._answer_by_udp(by_udp, struct.pack(">QI", 0x41727101980, 0), b"")[8:16]
            while not self._ends.wait(0.02):
                began = time.monotonic()
                if self._is_answered(kind, by_udp):
                    self.seconds[kind].append(time.monotonic() - began)

    def _is_answered(self, kind: str, by_udp: socket.socket) -> bool:
        trouble = None
        for attempt in range(4):
            self.again[kind] += attempt > 0
            try:
                self._ask(kind, by_udp)
                return True
            except OSError as error:
                trouble = error
        self.unanswered.append(f"{kind}: {trouble!r}")
        return False

    def _ask(self, kind: str, by_udp: socket.socket) -> None:
        if kind == "announces by HTTP":
            self._answer_by_http(f"announce?info_hash={_SWARM}&peer_id={'p' * 20}&port=7000&left=0&compact=1")
        elif kind == "scrapes by HTTP":
            self._answer_by_http(f"scrape?info_hash={_SWARM}")
        elif kind == "announces by UDP":
            numbers = struct.pack(">QQQIIIiH", 1, 0, 0, 0, 0, 0, -1, 7001)
            self._answer_by_udp(by_udp, self._connection[kind] + struct.pack(">I", 1), _SWARM.encode() + b"u" * 20 + numbers)
        else:
            self._answer_by_udp(by_udp, self._connection[kind] + struct.pack(">I", 2), _SWARM.encode())

    def _answer_by_http(self, path: str) -> None:
        with socket.create_connection(self._address, _PATIENCE) as stream:
            stream.sendall(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := stream.recv(4096):
                answer += part
        if not (answer.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\nd" in answer and answer.endswith(b"e")):
            raise OSError(f"no whole answer: {answer!r}")

    def _answer_by_udp(self, by_udp: socket.socket, head: bytes, body: bytes) -> bytes:
        transaction = os.urandom(4)
        by_udp.send(head + transaction + body)
        while (answer := by_udp.recv(2048))[4:8] != transaction:
            pass
        return answer
