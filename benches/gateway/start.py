"""Two thousand torrents start in one libtorrent: does a gateway beside a fast tracker slow that tracker down?

    python benches/gateway/start.py --program target/release/trackerless

The fast tracker is in this process and answers by HTTP after `--latency` milliseconds, as one on the internet does.
It is served when it has heard of 99 torrents in a hundred. Measured in turns: the fast tracker alone, with a second tracker
that is as fast (what any further tracker costs libtorrent), and with the gateway, whose DHT is never ready, so that it holds
all that it may. The torrents are magnet links; the session is a process of its own with libtorrent's default limits. It
listens on the loopback only: libtorrent 2.1 announces from each interface, with a socket bound to that device, and what leaves
through another device never reaches 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPLY = b"d8:intervali1800e5:peers0:e"


class FastTracker:
    """Answers every announce by HTTP after `latency` seconds and notes when all but a few torrents were heard of."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.seen: set[bytes] = set()
        self.port = 0
        self.done = asyncio.Event()
        self.expected = 0

    async def start(self) -> None:
        server = await asyncio.start_server(self.converse, "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]

    def begin(self, expected: int) -> None:
        self.seen, self.expected = set(), expected
        self.done.clear()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(self.latency)
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY))
            self.seen.add(head.split(b"info_hash=")[1].split(b"&")[0])
            if len(self.seen) >= 0.99 * self.expected:
                self.done.set()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


SESSION = """
import hashlib, json, sys
import libtorrent as lt
order = json.loads(sys.argv[1])
session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
                      "enable_natpmp": False, "announce_to_all_tiers": True, "alert_mask": lt.alert.category_t.status_notification})
while not any(isinstance(alert, lt.listen_succeeded_alert) for alert in session.pop_alerts()):
    session.wait_for_alert(1000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(order["torrents"]):
    name = hashlib.sha1(b"%d of %d" % (number, order["salt"])).hexdigest()
    params = lt.parse_magnet_uri("magnet:?xt=urn:btih:" + name)
    params.trackers, params.tracker_tiers = order["trackers"], list(range(len(order["trackers"])))
    params.save_path = "/tmp"
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    session.async_add_torrent(params)
sys.stdin.read()
"""


async def run(options: argparse.Namespace) -> None:
    fast, second = FastTracker(options.latency / 1000), FastTracker(options.latency / 1000)
    await fast.start()
    await second.start()
    url = f"http://127.0.0.1:{fast.port}/announce"
    cases = {
        "alone": [url],
        "with another fast tracker": [url, f"http://127.0.0.1:{second.port}/announce"],
        "with the gateway, http": [url, "http://127.0.0.1:{gateway}/announce"],
        "with the gateway, udp": [url, "udp://127.0.0.1:{gateway}/announce"],
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(options.rounds):
        for case, trackers in cases.items():
            times[case].append(await measure(options, fast, trackers, turn))
            print(f"{turn} {case}: {times[case][-1]:.2f} s", flush=True)
    alone = statistics.median(times["alone"])
    for case, seconds in times.items():
        print(f"{case}: {statistics.median(seconds):.2f} s, {statistics.median(seconds) / alone:.2f} of alone")


async def measure(options: argparse.Namespace, fast: FastTracker, trackers: list[str], turn: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        gateway = start_gateway(options.program, Path(folder)) if any("gateway" in url for url in trackers) else None
        trackers = [url.format(gateway=gateway[1] if gateway else 0) for url in trackers]
        fast.begin(options.torrents)
        order = json.dumps({"torrents": options.torrents, "trackers": trackers, "salt": turn})
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        session = subprocess.Popen([sys.executable, "-c", SESSION, order], **pipes)
        try:
            session.stdout.readline()
            session.stdin.write(b"go\n")
            session.stdin.flush()
            began = time.monotonic()
            await asyncio.wait_for(fast.done.wait(), 60)
            return time.monotonic() - began
        finally:
            session.kill()
            session.wait()
            if gateway:
                gateway[0].terminate()
                gateway[0].wait()


def start_gateway(program: str, folder: Path) -> tuple[subprocess.Popen, int]:
    """A node whose only router never answers: its DHT is never ready, so that all is held that may be held."""
    arguments = ["--gateway", "127.0.0.1:0", "--gateway-announce", "always", "--lan", "--bind", "127.0.0.1:0"]
    arguments += ["--data-dir", str(folder), "--bootstrap", "127.0.0.1:9", "--log", "error"]
    process = subprocess.Popen([program, "run", *arguments], stdout=subprocess.PIPE, text=True)
    while line := process.stdout.readline():
        if found := re.search(r"udp://127.0.0.1:(\d+)/announce", line):
            return process, int(found[1])
    raise RuntimeError("the node did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/trackerless")
    parser.add_argument("--torrents", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=100.0)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
