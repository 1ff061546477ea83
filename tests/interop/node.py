"""The program under test, driven as a user drives it: `trackerless run`, `find` and `announce`.

The environment variable TRACKERLESS names the binary; without it, `build` makes one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import NamedTuple

import torrent
from addresses import Endpoint
from lab import Lab, eventually, target_folder
from process import Process

PORT = 6881
GATEWAY_PORT = 6969
CONTROL_PORT = 6970
_START_SECONDS = 30
_COMMAND_SECONDS = 60
_LOG = ["--log", "trackerless=trace"]


def build() -> None:
    """Have a binary, before the sandbox shuts the network out that cargo may need."""
    if "TRACKERLESS" not in os.environ:
        repository = Path(__file__).resolve().parents[2]
        subprocess.run(["cargo", "build", "--bin", "trackerless"], cwd=repository, check=True)
        os.environ["TRACKERLESS"] = str(target_folder() / "debug" / "trackerless")


def start(lab: Lab, host: str, bootstrap: Endpoint | None = None, gateway: bool = False) -> Endpoint:
    """A node on `host`, knowing at most `bootstrap`; returns once it answers, and its gateway if it has one."""
    endpoint = Endpoint(host, PORT)
    served = str(Endpoint(host, GATEWAY_PORT)) if gateway else "off"
    start_at(lab, endpoint, bootstrap, ["--gateway", served])
    if gateway:
        eventually(f"the gateway of {endpoint} answers", _START_SECONDS, lambda: ask_gateway(host, "/"))
    return endpoint


def start_at(
    lab: Lab, endpoint: Endpoint, bootstrap: Endpoint | None, flags: list[str], folder: Path | None = None
) -> None:
    """A node at this address, knowing at most `bootstrap`, its data in `folder`; returns once it answers."""
    contact = ["--no-bootstrap"] if bootstrap is None else ["--bootstrap", str(bootstrap)]
    folder = folder or lab.fresh_folder("node")
    common = ["--lan", "--bind", str(endpoint), "--data-dir", str(folder), *flags]
    if "--gateway" not in flags:
        common += ["--gateway", "off"]
    argv = [_binary(), "run", *common, *contact, *_LOG]
    process = lab.start(f"node {endpoint}", argv)
    eventually(f"{endpoint} answers a ping", _START_SECONDS, lambda: _alive(process) and answers_ping(endpoint))


def crowd(lab: Lab, hosts: list[str]) -> list[Endpoint]:
    """A network with a node on each of these hosts, fifty of them in one program."""
    endpoints = [Endpoint(host, PORT) for host in hosts]
    for first in range(0, len(endpoints), 50):
        some = endpoints[first : first + 50]
        binds = [flag for endpoint in some for flag in ("--bind", str(endpoint))]
        argv = [_binary(), "run", "--lan", *binds, "--gateway", "off", "--control", "off"]
        argv += ["--bootstrap", str(endpoints[0]), "--data-dir", str(lab.fresh_folder("crowd"))]
        process = lab.start(f"nodes from {some[0]}", argv)
        for endpoint in some:
            eventually(f"{endpoint} answers a ping", 2 * _START_SECONDS, lambda: _alive(process) and answers_ping(endpoint))
    return endpoints


def follow(lab: Lab, host: str, bootstrap: Endpoint, client: str) -> Process:
    """A node on `host` that follows a client there."""
    endpoint = Endpoint(host, PORT)
    common = ["--lan", "--bind", str(endpoint), "--gateway", "off", "--data-dir", str(lab.fresh_folder("node"))]
    argv = [_binary(), "run", *common, "--bootstrap", str(bootstrap), "--client", client]
    process = lab.start(f"node {endpoint}", [*argv, "--log", "info,trackerless::announcer=debug"])
    eventually(f"{endpoint} answers a ping", _START_SECONDS, lambda: _alive(process) and answers_ping(endpoint))
    return process


def keep(lab: Lab, host: str, bootstrap: Endpoint, folder: Path, flags: list[str]) -> Process:
    """A node on `host` with this data folder, which keeps announced what the flags say."""
    endpoint = Endpoint(host, PORT)
    common = ["--lan", "--bind", str(endpoint), "--gateway", "off", "--control", str(Endpoint(host, CONTROL_PORT))]
    argv = [_binary(), "run", *common, "--data-dir", str(folder), "--bootstrap", str(bootstrap), *flags]
    process = lab.start(f"node {endpoint}", argv)
    eventually(f"{endpoint} answers a ping", _START_SECONDS, lambda: _alive(process) and answers_ping(endpoint))
    return process


def listed(lab: Lab, folder: Path) -> list[dict]:
    """What the node with this folder keeps announced, as `watch list` tells it."""
    argv = [_binary(), "watch", "list", "--json", "--data-dir", str(folder)]
    told = subprocess.run(argv, env=lab.environment(), capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    records = [json.loads(line) for line in told.stdout.splitlines()]
    return [record for record in records if "infohash" in record]


def announcer(host: str) -> dict:
    """How all that the node on `host` keeps announced is together."""
    with contextlib.closing(http.client.HTTPConnection(host, CONTROL_PORT, timeout=_COMMAND_SECONDS)) as asking:
        asking.request("GET", "/api/v1/announcements?limit=1")
        return json.load(asking.getresponse())["totals"]


class Index(NamedTuple):
    """A node with an index: its process, its folder, and its control interface."""

    lab: Lab
    process: Process
    folder: Path
    base: str

    def torrents(self) -> int:
        """How many it has, as `trackerless index status` tells it."""
        return self._lines("index", "status", "--json")[0]["torrents"]

    def search(self, word: str) -> dict | None:
        """The first torrent with this word in its name, as `trackerless search` finds it beside the running node."""
        found = self._lines("search", word, "--json")
        return found[0] if found else None

    def export(self) -> list[dict]:
        """All torrents."""
        return self._lines("index", "export")

    def figures(self) -> dict:
        """What it holds and has done; its work by name."""
        with urllib.request.urlopen(f"{self.base}/api/v1/status", timeout=_COMMAND_SECONDS) as answer:
            index = json.load(answer)["index"]
        return {**index, **{one["name"]: one["count"] for one in index["work"]}}

    def _lines(self, *command: str) -> list[dict]:
        argv = [_binary(), *command, "--data-dir", str(self.folder)]
        told = subprocess.run(argv, env=self.lab.environment(), capture_output=True, text=True, timeout=_COMMAND_SECONDS)
        return [json.loads(line) for line in told.stdout.splitlines()]


def start_index(
    lab: Lab, host: str, bootstrap: Endpoint, mode: str = "survey", flags: list[str] = (), folder: Path | None = None,
    log: list[str] = _LOG,
) -> Index:
    """A node that has an index and is in the network of `bootstrap`."""
    endpoint, folder = Endpoint(host, PORT), folder or lab.fresh_folder("index")
    common = ["--lan", "--bind", str(endpoint), "--gateway", "off", "--data-dir", str(folder), "--bootstrap", str(bootstrap)]
    index = ["--index", mode, "--control", str(Endpoint(host, CONTROL_PORT)), *flags]
    process = lab.start(f"index {endpoint}", [_binary(), "run", *common, *index, *log])
    eventually(f"{endpoint} answers a ping", _START_SECONDS, lambda: _alive(process) and answers_ping(endpoint))
    return Index(lab, process, folder, f"http://{Endpoint(host, CONTROL_PORT)}")


def control_of(lab: Lab, endpoint: Endpoint, bootstrap: Endpoint, folder: Path) -> Endpoint:
    """The control interface of a node that runs with this data folder."""
    control = Endpoint(endpoint.host, CONTROL_PORT)
    start_at(lab, endpoint, bootstrap, ["--control", str(control)], folder)
    return control


def post(control: Endpoint, path: str, body: dict, folder: Path, or_none: int | None = None) -> dict | None:
    """What the control interface of a node answers, asked with the token of its data folder; nothing where it answers with
    the status `or_none`."""
    token = (folder / "control.token").read_text().strip()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with contextlib.closing(http.client.HTTPConnection(*control, timeout=_COMMAND_SECONDS)) as asking:
        asking.request("POST", path, json.dumps(body), headers)
        answer = asking.getresponse()
        told = json.load(answer)
    assert answer.status in (200, or_none), told
    return told if answer.status == 200 else None


def import_torrents(lab: Lab, folder: Path, torrents: list[dict]) -> None:
    """Puts torrents into the index of a data folder."""
    file = folder / "import.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in torrents))
    argv = [_binary(), "index", "import", str(file), "--data-dir", str(folder)]
    subprocess.run(argv, env=lab.environment(), check=True, capture_output=True, timeout=_COMMAND_SECONDS)


def find(lab: Lab, info_hash: str, host: str, bootstrap: Endpoint) -> list[str]:
    """The peers that `trackerless find` prints, as `ip:port`."""
    result = _one_shot(lab, ["find", info_hash, "--timeout", "10"], host, bootstrap)
    assert result.returncode in (0, 1), f"find: exit status {result.returncode}"
    return result.stdout.split()


def announce(lab: Lab, info_hash: str, at: Endpoint, bootstrap: Endpoint) -> str:
    """Tell the DHT of a peer at `at`, and return what `trackerless announce` said about it."""
    result = _one_shot(lab, ["announce", info_hash, "--port", str(at.port)], at.host, bootstrap)
    assert result.returncode == 0, f"announce: exit status {result.returncode}"
    return result.stdout


def by_running_node(lab: Lab, arguments: list[str], folder: Path) -> str:
    """What a command prints that uses the node which runs with this folder."""
    argv = [_binary(), *arguments, "--data-dir", str(folder)]
    done = subprocess.run(
        argv, cwd=lab.folder, env=lab.environment(), capture_output=True, text=True, timeout=_COMMAND_SECONDS
    )
    assert done.returncode == 0 and "via the running node" in done.stderr, f"{arguments[0]}: {done.stderr}"
    return done.stdout


def command(lab: Lab, arguments: list[str], host: str, bootstrap: Endpoint) -> dict:
    """The only JSON object that a command prints."""
    (record,) = records(lab, arguments, host, bootstrap)
    return record


def records(lab: Lab, arguments: list[str], host: str, bootstrap: Endpoint, status: int = 0) -> list[dict]:
    """The JSON objects that a command prints, one a line; it must end with this exit status."""
    result = _one_shot(lab, arguments, host, bootstrap)
    assert result.returncode == status, f"{arguments[0]}: exit status {result.returncode}: {result.stderr}"
    return [json.loads(line) for line in result.stdout.splitlines()]


def make_key(lab: Lab, file: str) -> None:
    subprocess.run([_binary(), "key", "new", file], env=lab.environment(), check=True, capture_output=True)


def answers_ping(endpoint: Endpoint) -> bool:
    return b"1:y1:r" in _ask(endpoint, "ping", {})


def has_stored(endpoint: Endpoint, info_hash: str, peer: Endpoint) -> bool:
    """Whether the node names `peer` when it is asked for the swarm."""
    return torrent.bencode(peer.compact) in _ask(endpoint, "get_peers", {"info_hash": bytes.fromhex(info_hash)})


def ask_gateway(host: str, path: str) -> bytes:
    """The body that the gateway on `host` answers over HTTP to a client on the same address, or nothing."""
    asking = http.client.HTTPConnection(host, GATEWAY_PORT, _COMMAND_SECONDS, source_address=(host, 0))
    with contextlib.closing(asking):
        try:
            asking.request("GET", path)
            return asking.getresponse().read()
        except OSError:  # nobody listens there yet
            return b""


def _ask(endpoint: Endpoint, method: str, arguments: dict[str, bytes]) -> bytes:
    """The reply to one query (BEP 5), or nothing. Read-only (BEP 43), so that the test is not taken for a node."""
    query = {"a": {"id": os.urandom(20), **arguments}, "q": method, "ro": 1, "t": "test", "y": "q"}
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(endpoint)
            asking.send(torrent.bencode(query))
            return asking.recv(2048)
        except OSError:  # nobody listens there yet, or no reply within the second
            return b""


def _one_shot(lab: Lab, arguments: list[str], host: str, bootstrap: Endpoint) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself; what it says goes to the lab's logs as well."""
    folder = lab.fresh_folder(arguments[0])
    common = ["--lan", "--bind", str(Endpoint(host, 0)), "--bootstrap", str(bootstrap), "--data-dir", str(folder)]
    argv = [_binary(), *arguments, *common, *_LOG]
    result = subprocess.run(
        argv, cwd=lab.folder, env=lab.environment(), capture_output=True, text=True, timeout=_COMMAND_SECONDS
    )
    head = f"--- {arguments[0]} (exit status {result.returncode}): {' '.join(argv)}"
    lab.note(arguments[0], f"{head}\n{result.stderr}{result.stdout}")
    return result


def _binary() -> str:
    return str(Path(os.environ["TRACKERLESS"]).absolute())


def _alive(process: Process) -> bool:
    assert process.running(), f"{process.name} ended before it answered"
    return True
