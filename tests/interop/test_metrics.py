"""The figures of a node are true: promtool reads them, and a capture of the same packets shows the same numbers."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import addresses
import node
from addresses import Endpoint, Ground
from case import InteropCase
from lab import eventually

_DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics"
_SECONDS = 60
_SNAPLEN = 65535


class TestMetrics(InteropCase):
    def test_promtool_reads_what_a_running_node_tells_and_its_rules(self) -> None:
        self._require(shutil.which("promtool") is not None, "promtool is not installed; it is in prometheus")
        gateway = ["--gateway", f"127.0.0.1:{addresses.fresh_port()}"]
        announced = ["--watch", "1" * 40, "--announce-port", "5000"]
        control = self._start(addresses.fresh_endpoint(Ground.LOOPBACK), None, [*gateway, *announced])[1]
        # What a private network is told to be is a finding, after the first look at this host.
        for name in ("trackerless_finding{", "trackerless_announcer_infohashes{"):
            eventually(f"{name} is told", _SECONDS, lambda name=name: name in _get(control, "/metrics")[1])
        status, text = _get(control, "/metrics")
        self.assertEqual(status, 200)
        read = subprocess.run(["promtool", "check", "metrics"], input=_plain(text), capture_output=True, text=True)
        # Of what it advises, these are no faults: names that end as counters do, help that repeats.
        self.assertIn(read.returncode, (0, 3), read.stderr)
        self.assertNotIn("error", read.stderr.lower())
        for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
            subprocess.run(["promtool", *arguments], cwd=_DOCS, check=True, capture_output=True)
        names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        for file in ("alerts.yml", "board.json"):
            for name in _names_in((_DOCS / file).read_text()):
                self.assertIn(name, names, f"{file} names it")

    def test_a_capture_of_the_packets_shows_the_same_queries_replies_and_bytes(self) -> None:
        self._require(shutil.which("tcpdump") is not None, "tcpdump is not installed")
        endpoint = addresses.fresh_endpoint(Ground.LOOPBACK)
        capture = self.lab.folder / "packets.pcap"
        arguments = ["-i", "lo", "-n", "-U", "-B", "16384", "--immediate-mode", "-s", str(_SNAPLEN), "-w", str(capture)]
        only = f"(udp and host {endpoint.host} and port {endpoint.port}) or (icmp and host {endpoint.host})"
        tcpdump = self.lab.start("tcpdump", ["tcpdump", *arguments, only])
        self._require(_begins(tcpdump), "tcpdump may not capture here; run it as root")
        first, control = self._start(endpoint)
        second, _ = self._start(addresses.fresh_endpoint(Ground.LOOPBACK), first)
        for number in range(30):
            info_hash = f"{number:040x}"
            node.announce(self.lab, info_hash, Endpoint("127.0.0.1", 7000 + number), first)
            node.find(self.lab, info_hash, addresses.fresh(Ground.LOOPBACK), second)
        _send_garbage(first)
        captured = self._agreed(capture, first, control)
        self.assertGreater(captured["replies_sent"], 200, captured)
        self.assertGreater(captured["queries_sent"], 0, captured)

    def _start(
        self, endpoint: Endpoint, bootstrap: Endpoint | None = None, flags: list[str] | None = None
    ) -> tuple[Endpoint, Endpoint]:
        """A node, and where its control interface is."""
        control = Endpoint("127.0.0.1", addresses.fresh_port())
        node.start_at(self.lab, endpoint, bootstrap, ["--control", str(control), *(flags or [])])
        eventually(f"{control} is live", _SECONDS, lambda: _get(control, "/live")[0] == 200)
        return endpoint, control

    def _agreed(self, capture: Path, endpoint: Endpoint, control: Endpoint) -> dict[str, int]:
        """What both say, once no packet is on its way from the one to the other."""
        until = time.monotonic() + _SECONDS
        while True:
            captured, told = self._captured(capture, endpoint), _told(control)
            if captured == told or time.monotonic() > until:
                break
            time.sleep(0.1)
        self.assertEqual(captured, told)
        return captured

    def _captured(self, capture: Path, endpoint: Endpoint) -> dict[str, int]:
        """The same figures, made from the file alone."""
        figures = dict.fromkeys(("received", "received_bytes", "sent", "sent_bytes", "queries_sent", "replies_sent"), 0)
        for source, target, payload, refused in _datagrams(capture.read_bytes()):
            if refused:  # it came before the node was there
                figures["received"] -= target == endpoint
                figures["received_bytes"] -= len(payload) if target == endpoint else 0
            elif source == endpoint:
                figures["sent"] += 1
                figures["sent_bytes"] += len(payload)
                figures["queries_sent" if b"1:y1:q" in payload else "replies_sent"] += 1
            elif target == endpoint:
                figures["received"] += 1
                figures["received_bytes"] += len(payload)
        return figures


def _told(control: Endpoint) -> dict[str, int]:
    return json.loads(_get(control, "/api/v1/status")[1])["nodes"][0]["traffic"]


def _get(control: Endpoint, path: str) -> tuple[int, str]:
    try:
        connection = http.client.HTTPConnection(control.host, control.port, timeout=_SECONDS)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:  # nobody listens there yet
        return 0, ""


def _send_garbage(endpoint: Endpoint) -> None:
    """What is no message is received all the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(50):
            sender.sendto(b"\xff" * number, endpoint)


def _begins(tcpdump) -> bool:
    try:
        tcpdump.wait_for_line("listening on", 20)
        return True
    except AssertionError:
        return False


def _datagrams(capture: bytes):
    """Source, target and payload of each UDP datagram over IPv4 in a capture file (pcap(3)), and whether this is the news
    that it was refused (ICMP, port unreachable)."""
    magic = capture[:4]
    assert magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"), "a capture file, little endian"
    assert struct.unpack("<I", capture[20:24])[0] == 1, "Ethernet, as the loopback of Linux says it is"
    at = 24
    while at + 16 <= len(capture):
        length = struct.unpack("<I", capture[at + 8 : at + 12])[0]
        packet, at = capture[at + 16 : at + 16 + length], at + 16 + length
        if len(packet) < length or packet[12:14] != b"\x08\x00":
            continue
        ip = packet[14:]
        refused = ip[9] == 1
        if refused:
            ip = ip[(ip[0] & 15) * 4 + 8 :]
        udp = ip[(ip[0] & 15) * 4 :]
        source, target, size = struct.unpack(">HHH", udp[:6])
        ends = Endpoint(socket.inet_ntoa(ip[12:16]), source), Endpoint(socket.inet_ntoa(ip[16:20]), target)
        yield *ends, udp[8:size], refused


def _plain(text: str) -> str:
    """As the older text format has it, which is what promtool reads."""
    kept = [line for line in text.splitlines() if not line.startswith(("# UNIT", "# EOF"))]
    counters = {line.split(" ")[2] for line in kept if line.startswith("# TYPE") and line.endswith(" counter")}
    told = [
        line.replace(f" {line.split(' ')[2]} ", f" {line.split(' ')[2]}_total ", 1)
        if line.startswith(("# HELP", "# TYPE")) and line.split(" ")[2] in counters
        else line
        for line in kept
    ]
    return "\n".join(told) + "\n"


def _names_in(text: str) -> set[str]:
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text).split()
    return {word for word in words if word.startswith("trackerless_")}
