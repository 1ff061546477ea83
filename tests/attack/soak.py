"""Half an hour under load, drawn: 20,000 forged queries a second, a quarter of them garbage, and 200 clients of the gateway.

    sudo env TRACKERLESS=target/release/trackerless python3 tests/attack/soak.py MINUTES docs/performance/soak.svg

Memory, descriptors and threads of the process and the 99th percentile of the gateway's answers, every ten seconds; ends with 1
where one of the first three grows after the first tenth of the time, or a client is not answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import attacks
import ground
from ground import GATEWAY_PORT, NODE, Host, Node

CLIENTS = 200
RATE = 20_000
EVERY = 10.0
# What may be added after the first tenth of the time: 5 %, and as many descriptors as clients have connections.
GROWTH = 1.05


def flood(seconds: float, rate: float) -> dict[str, float]:
    """Queries of every kind from 5,000 /24s and bytes that are none, at most so many a second."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    byte = random.randrange
    packets = []
    for number in range(8192):
        query = [attacks.ping(b"aa"), attacks.get_peers(os.urandom(20)), attacks.get_peers(b"h" * 20), os.urandom(byte(1, 300))]
        source = bytes([random.choice([23, 45, 80, 91, 145]), byte(16), byte(256), byte(1, 255)])
        packets.append(attacks.datagram(source, query[number % 4]))
    start, sent = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        if sent > rate * passed:
            time.sleep(0.001)
            continue
        for packet in packets[sent % 8192 : sent % 8192 + 64]:
            with contextlib.suppress(OSError):  # the queue of the device is full
                raw.sendto(packet, (NODE, 0))
        sent += 64
    return {"queries a second": sent / seconds}


def clients(seconds: float, into: str) -> dict[str, float]:
    """So many clients, of an address each, who announce a torrent of ten every five seconds; the time of each answer goes to a
    file, in milliseconds."""
    stop = time.monotonic() + seconds
    lost, lock = [0], threading.Lock()
    with open(into, "w", buffering=1) as file:

        def one(number: int) -> None:
            infohash = bytes([number % 10]) * 20
            time.sleep(5 * random.random())
            while time.monotonic() < stop:
                start = time.monotonic()
                try:
                    here = (f"198.19.{200 + number % 20}.{1 + number // 20}", 0)
                    with socket.create_connection((NODE, GATEWAY_PORT), timeout=20, source_address=here) as client:
                        # Those who have everything wait for nobody.
                        client.sendall(attacks.announce(infohash, 6881 + number).replace(b"left=5", b"left=0"))
                        if b"8:interval" not in client.recv(4096):
                            raise OSError("no answer")
                    with lock:
                        file.write(f"{(time.monotonic() - start) * 1000:.2f}\n")
                except OSError:
                    with lock:
                        lost[0] += 1
                time.sleep(max(0.0, start + 5 - time.monotonic()))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"lost": lost[0]}


def watch(node: Node, times: Path, seconds: float) -> list[dict[str, float]]:
    samples, start, read = [], time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        time.sleep(EVERY)
        text = times.read_text() if times.exists() else ""
        latencies = sorted(float(line) for line in text[read:].splitlines())
        read = len(text)
        samples.append(
            {
                "minute": (passed + EVERY) / 60,
                "memory, MiB": node.resident() / (1 << 20),
                "descriptors": node.descriptors(),
                "threads": len(os.listdir(f"/proc/{node.process.pid}/task")),
                "p99 of the gateway, ms": latencies[int(0.99 * len(latencies))] if latencies else 0.0,
            }
        )
    return samples


def draw(samples: list[dict[str, float]], title: str, into: Path) -> None:
    """Four panels, one above the other."""
    width, height, left = 640, 110, 60
    names = [name for name in samples[0] if name != "minute"]
    last = samples[-1]["minute"]
    parts = [f'<text x="{left}" y="18" font-size="13">{title}</text>']
    for index, name in enumerate(names):
        top = 34 + index * (height + 26)
        most = max(sample[name] for sample in samples) * 1.1 or 1
        place = lambda sample: (
            left + sample["minute"] / last * (width - left - 10),
            top + height - sample[name] / most * (height - 16),
        )
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, samples))
        parts.append(f'<text x="{left}" y="{top + 8}" font-size="11">{name}</text>')
        parts.append(f'<path d="M{left} {top + 14}V{top + height}H{width - 10}" fill="none" stroke="#888"/>')
        parts.append(f'<text x="{left - 6}" y="{top + 20}" font-size="10" text-anchor="end">{most / 1.1:,.0f}</text>')
        parts.append(f'<text x="{left - 6}" y="{top + height}" font-size="10" text-anchor="end">0</text>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="#1764ab" stroke-width="1.5"/>')
    bottom = 34 + len(names) * (height + 26)
    parts.append(f'<text x="{width - 10}" y="{bottom}" font-size="10" text-anchor="end">{last:.0f} minutes</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 8}" font-family="sans-serif">'
    background = f'<rect width="{width}" height="{bottom + 8}" fill="#fff"/>'
    into.write_text(head + background + "".join(parts) + "</svg>\n")


def main() -> int:
    seconds, picture = 60 * float(sys.argv[1]), Path(sys.argv[2])
    binary = os.environ.get("TRACKERLESS") or shutil.which("trackerless")
    if not binary:
        raise SystemExit("name the program in TRACKERLESS")
    folder = Path(tempfile.mkdtemp(prefix="trackerless-soak-"))
    host, attacker = ground.two_hosts()
    try:
        node = Node(host, os.path.abspath(binary), folder)
        times = folder / "times"
        load = ground.on(attacker, flood, seconds, RATE)
        users = ground.on(attacker, clients, seconds, str(times))
        samples = watch(node, times, seconds)
        sent, lost = load.get()["queries a second"], users.get()["lost"]
        code = node.stop()
    finally:
        for one in (host, attacker):
            one.close()
    (picture.with_suffix(".json")).write_text(json.dumps({"queries a second": sent, "samples": samples}, indent=1) + "\n")
    draw(samples, f"{sent:,.0f} queries a second, {CLIENTS} clients of the gateway", picture)
    calm = samples[: max(1, len(samples) // 10)]
    holds = lost == 0 and code == 0
    print(f"{sent:,.0f} queries a second, {lost:.0f} announces not answered, exit code {code}")
    for name, more in [("memory, MiB", 0), ("descriptors", CLIENTS), ("threads", 0)]:
        before, after = max(one[name] for one in calm), max(one[name] for one in samples)
        print(f"{name}: {before:,.1f} in the first tenth, {after:,.1f} at the most")
        holds &= after <= GROWTH * before + more
    worst = sorted(one["p99 of the gateway, ms"] for one in samples)
    print(f"p99 of the gateway in ten seconds: {worst[len(worst) // 2]:,.1f} ms in the middle, {worst[-1]:,.1f} at the most")
    shutil.rmtree(folder)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
