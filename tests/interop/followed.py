"""Real clients whose DHT is off, as they are followed: started, given torrents, and asked to forget them.

Each is reached by its own interface, with a password where it knows one. What they are told goes by their own tools.
"""

from __future__ import annotations

import abc
import base64
import contextlib
import hashlib
import http.client
import http.cookiejar
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import ClassVar

import addresses
from addresses import Endpoint
from lab import Lab, eventually
from torrent import Torrent

PASSWORD = "p@ss,/word: 1"
_TRACKER = "http://127.0.0.1:1/announce"  # nobody is there: rTorrent takes no torrent that has neither tracker nor DHT


class Followed(abc.ABC):
    """A client on the host of the node that follows it."""

    name: ClassVar[str]
    cure: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    seconds: ClassVar[float] = 60  # until it takes torrents

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab = lab
        self.peer = Endpoint(host, addresses.fresh_port())
        self.interface = Endpoint(host, addresses.fresh_port())
        self.folder = lab.fresh_folder(self.name)
        self.content = self.folder / "content"
        self.content.mkdir()
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")

    @classmethod
    def installed(cls) -> bool:
        return all(shutil.which(program) for program in cls.programs)

    def start_with(self, *torrents: Torrent) -> None:
        """Start, as a seed of these."""
        for torrent in torrents:
            torrent.write_content(self.content)
        self.start()
        for torrent in torrents:
            eventually(f"{self.name} takes a torrent", self.seconds, lambda: self.add(torrent))

    @abc.abstractmethod
    def start(self) -> None:
        """Start, with no torrent."""

    @abc.abstractmethod
    def add(self, torrent: Torrent) -> bool:
        """Whether it has taken the torrent."""

    @abc.abstractmethod
    def remove(self, torrent: Torrent) -> None:
        """Have it forget a torrent, and keep the files."""

    @abc.abstractmethod
    def address(self, password: str = PASSWORD) -> str:
        """The client as a user names it."""

    def file(self, torrent: Torrent) -> str:
        return str(torrent.write_metainfo(self.folder))

    def url(self, scheme: str, user: str, password: str) -> str:
        return f"{scheme}://{user}:{urllib.parse.quote(password, safe='')}@{self.interface}"


class Qbittorrent(Followed):
    name = "qbittorrent"
    cure = "apt-get install qbittorrent-nox"
    programs = ("qbittorrent-nox",)
    domains: ClassVar[str] = "*"  # names by which its Web UI may be called
    more: ClassVar[str] = ""  # more lines of its preferences

    def start(self) -> None:
        config = self.folder / "qBittorrent" / "config"
        config.mkdir(parents=True)
        salt = os.urandom(16)
        key = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 100_000)
        secret = ":".join(base64.b64encode(part).decode() for part in (salt, key))
        (config / "qBittorrent.conf").write_text(_QBITTORRENT.format(
            host=self.peer.host, port=self.peer.port, web=self.interface.port, secret=secret, content=self.content,
            domains=self.domains, more=self.more
        ))
        self._run()

    def _run(self) -> None:
        self._process = self.lab.start(self.name, ["qbittorrent-nox", f"--profile={self.folder}"])
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        eventually("qBittorrent lets us in", self.seconds, lambda: self._post("auth/login", {
            "username": "admin", "password": PASSWORD}) == b"Ok.")

    def add(self, *torrents: Torrent) -> bool:
        boundary = "----torrent"
        files = [(f'name="torrents"; filename="{torrent.name}.torrent"', torrent.metainfo) for torrent in torrents]
        parts = [*files, ('name="savepath"', str(self.content).encode()), ('name="skip_checking"', b"true")]
        body = b"".join(f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + part + b"\r\n"
                        for head, part in parts) + f"--{boundary}--\r\n".encode()
        return self._send("torrents/add", body, f"multipart/form-data; boundary={boundary}") == b"Ok."

    def start_with_many(self, torrents: list[Torrent]) -> None:
        """Start, as a seed of all of these; it takes a hundred at a time."""
        for torrent in torrents:
            torrent.write_content(self.content)
        self.start()
        for first in range(0, len(torrents), 100):
            some = torrents[first : first + 100]
            eventually(f"{self.name} takes torrents", self.seconds, lambda: self.add(*some))

    def restart(self) -> None:
        """End it, and start it again with what it has."""
        self._process.stop(60)
        self._run()

    def remove(self, torrent: Torrent) -> None:
        self._post("torrents/delete", {"hashes": torrent.info_hash, "deleteFiles": "false"})

    def address(self, password: str = PASSWORD) -> str:
        return self.url("qbittorrent+http", "admin", password)

    def log_in(self, password: str = PASSWORD) -> str:
        """What it says to a login by somebody who has no session: a word, or the status of a refusal."""
        form = urllib.parse.urlencode({"username": "admin", "password": password}).encode()
        try:
            with urllib.request.urlopen(f"http://{self.interface}/api/v2/auth/login", form, timeout=30) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return str(error.code)

    def search(self, plugin: str, word: str) -> list[dict]:
        """What its search engine finds with a plug-in that it installs from this URL."""
        name = plugin.rpartition("/")[2].removesuffix(".py")
        self._post("search/installPlugin", {"sources": plugin})
        eventually("qBittorrent has the plug-in", self.seconds, lambda: any(
            entry["name"] == name and entry["enabled"] for entry in json.loads(self._post("search/plugins", {}) or "[]")))
        begun = json.loads(self._post("search/start", {"pattern": word, "plugins": name, "category": "all"}))
        results = lambda: json.loads(self._post("search/results", {"id": str(begun["id"])}))
        eventually("qBittorrent's search ends", self.seconds, lambda: results()["status"] == "Stopped")
        return results()["results"]

    def _post(self, path: str, form: dict[str, str]) -> bytes:
        return self._send(path, urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded")

    def _send(self, path: str, body: bytes, content_type: str) -> bytes:
        request = urllib.request.Request(f"http://{self.interface}/api/v2/{path}", body, {"Content-Type": content_type})
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.read()
        except OSError:  # nobody listens there yet
            return b""


class Transmission(Followed):
    name = "transmission"
    cure = "apt-get install transmission-daemon transmission-cli"
    programs = ("transmission-daemon", "transmission-remote")

    def start(self) -> None:
        (self.folder / "settings.json").write_text(json.dumps({
            "bind-address-ipv4": self.peer.host, "bind-address-ipv6": "::1", "dht-enabled": False,
            "download-dir": str(self.content), "lpd-enabled": False, "pex-enabled": False, "utp-enabled": False,
            "peer-port": self.peer.port, "peer-port-random-on-start": False, "port-forwarding-enabled": False,
            "rpc-bind-address": self.interface.host, "rpc-port": self.interface.port, "rpc-whitelist-enabled": False,
            "rpc-authentication-required": True, "rpc-username": "user", "rpc-password": PASSWORD,
        }))
        self.lab.start(self.name, ["transmission-daemon", "--foreground", "--config-dir", str(self.folder)])

    def add(self, torrent: Torrent) -> bool:
        return self._remote("--add", self.file(torrent))

    def remove(self, torrent: Torrent) -> None:
        self._remote("--torrent", torrent.info_hash, "--remove")

    def address(self, password: str = PASSWORD) -> str:
        return self.url("transmission+http", "user", password)

    def _remote(self, *arguments: str) -> bool:
        argv = ["transmission-remote", str(self.interface), "--auth", f"user:{PASSWORD}", *arguments]
        return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30).returncode == 0


class Deluge(Followed):
    """deluged, and deluge-web, which alone has an interface for other programs."""

    name = "deluge"
    cure = "apt-get install deluged deluge-web"
    programs = ("deluged", "deluge-web")
    seconds = 120

    def start(self) -> None:
        daemon = addresses.fresh_port()
        (self.folder / "auth").write_text("localclient:pw:10\n")
        host = ["0" * 32, "127.0.0.1", daemon, "localclient", "pw"]
        salt = "5a17"
        for name, settings in (
            ("core.conf", {"dht": False, "lsd": False, "upnp": False, "natpmp": False, "utpex": False,
                           "random_port": False, "listen_ports": [self.peer.port] * 2,
                           "listen_interface": self.peer.host, "download_location": str(self.content)}),
            ("web.conf", {"port": self.interface.port, "interface": self.interface.host, "pwd_salt": salt,
                          "pwd_sha1": hashlib.sha1((salt + PASSWORD).encode()).hexdigest(), "first_login": False}),
            ("hostlist.conf", {"hosts": [host]}),
        ):
            version = 3 if name == "hostlist.conf" else 1
            (self.folder / name).write_text(json.dumps({"file": version, "format": 1}) + json.dumps(settings))
        quiet = ["-d", "-c", str(self.folder), "-L", "none"]  # this version prints a trace for each line of its log
        self.lab.start("deluged", ["deluged", *quiet, "-p", str(daemon)])
        self.lab.start("deluge-web", ["deluge-web", *quiet])
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        self._open = opener.open
        eventually("deluge-web lets us in", self.seconds, lambda: self._call("auth.login", PASSWORD))
        self._host = host[0]

    def add(self, torrent: Torrent) -> bool:
        if not self._call("web.connected"):
            self._call("web.connect", self._host)
        metainfo = base64.b64encode(torrent.metainfo).decode()
        options = {"download_location": str(self.content)}
        return bool(self._call("core.add_torrent_file", torrent.name, metainfo, options))

    def remove(self, torrent: Torrent) -> None:
        self._call("core.remove_torrent", torrent.info_hash, False)

    def address(self, password: str = PASSWORD) -> str:
        return self.url("deluge+http", "", password)

    def _call(self, method: str, *params: object) -> object:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.interface}/json", body, headers)
        try:
            with self._open(request, timeout=30) as answer:
                return json.load(answer)["result"]
        except OSError:  # nobody listens there yet
            return None


class Rtorrent(Followed):
    name = "rtorrent"
    cure = "apt-get install rtorrent"
    programs = ("rtorrent",)

    def start(self) -> None:
        self._socket = self.folder / "rpc.sock"
        session = self.folder / "session"
        session.mkdir()
        rc = self.folder / "rtorrent.rc"
        rc.write_text(_RTORRENT.format(
            host=self.peer.host, port=self.peer.port, content=self.content, session=session, socket=self._socket
        ))
        self.lab.start(self.name, ["rtorrent", "-n", "-o", f"import={rc}"], {"TERM": "dumb"})

    def add(self, torrent: Torrent) -> bool:
        return self._call("load.start", self.file(torrent.with_tracker(_TRACKER)))

    def remove(self, torrent: Torrent) -> None:
        self._call("d.erase", torrent.info_hash.upper())

    def address(self, password: str = PASSWORD) -> str:
        return f"rtorrent+unix:{self._socket}"

    def _call(self, method: str, text: str) -> bool:
        first = "" if method == "d.erase" else "<param><value><string></string></value></param>"
        body = (f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params>{first}"
                f"<param><value><string>{text}</string></value></param></params></methodCall>").encode()
        headers = f"CONTENT_LENGTH\0{len(body)}\0SCGI\x001\0".encode()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self._socket))
            connection.sendall(b"%d:%s,%s" % (len(headers), headers, body))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            return b"200 OK" in answer and b"<fault>" not in answer
        return False


class Aria2(Followed):
    name = "aria2"
    cure = "apt-get install aria2"
    programs = ("aria2c",)

    def start(self) -> None:
        self.lab.start(self.name, [
            "aria2c", "--no-conf", "--enable-color=false", "--summary-interval=0", f"--dir={self.content}",
            "--enable-rpc", f"--rpc-listen-port={self.interface.port}", "--rpc-listen-all=true",
            f"--rpc-secret={PASSWORD}", f"--interface={self.peer.host}", f"--listen-port={self.peer.port}",
            "--enable-dht=false", "--disable-ipv6=true", "--bt-enable-lpd=false", "--enable-peer-exchange=false",
            "--check-integrity=true", "--seed-ratio=0.0",
        ])

    def add(self, torrent: Torrent) -> bool:
        return bool(self._call("aria2.addTorrent", base64.b64encode(torrent.metainfo).decode()))

    def remove(self, torrent: Torrent) -> None:
        active = self._call("aria2.tellActive", ["gid", "infoHash"]) or []
        for gid in (one["gid"] for one in active if one["infoHash"] == torrent.info_hash):
            self._call("aria2.forceRemove", gid)

    def address(self, password: str = PASSWORD) -> str:
        return self.url("aria2+http", "", password) + "/jsonrpc"

    def _call(self, method: str, *params: object) -> list | str | None:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [f"token:{PASSWORD}", *params]})
        try:
            connection = http.client.HTTPConnection(*self.interface, timeout=30)
            with contextlib.closing(connection):
                connection.request("POST", "/jsonrpc", body)
                return json.load(connection.getresponse()).get("result")
        except OSError:  # nobody listens there yet
            return None


_QBITTORRENT = r"""
[BitTorrent]
Session\AddTorrentStopped=false
Session\BTProtocol=TCP
Session\DHTEnabled=false
Session\DefaultSavePath={content}
Session\InterfaceAddress={host}
Session\LSDEnabled=false
Session\PeXEnabled=false
Session\Port={port}
Session\QueueingSystemEnabled=false

[LegalNotice]
Accepted=true

[Network]
PortForwardingEnabled=false

[Preferences]
WebUI\Address=*
WebUI\LocalHostAuth=true
WebUI\Password_PBKDF2="@ByteArray({secret})"
WebUI\Port={web}
WebUI\ServerDomains={domains}
WebUI\UseUPnP=false
WebUI\Username=admin
{more}
"""

_RTORRENT = """\
system.daemon.set = true
network.bind_address.set = {host}
network.port_range.set = {port}-{port}
network.port_random.set = no
dht.mode.set = disable
protocol.pex.set = no
directory.default.set = {content}
session.path.set = {session}
network.scgi.open_local = {socket}
"""
