"""A client whose DHT is off has its torrents announced by the node that follows it, with the right port, and no others."""

from __future__ import annotations

import time

import node
import torrent
from addresses import Endpoint, Ground
from case import InteropCase, Network
from followed import PASSWORD, Aria2, Deluge, Followed, Qbittorrent, Rtorrent, Transmission
from lab import eventually
from process import Process

_FOUND_SECONDS = 90


class NamedQbittorrent(Qbittorrent):
    """Its Web UI is called by one name, or by its address."""

    domains = "torrents.example"


class StrictQbittorrent(Qbittorrent):
    """It bars an address at the second login that fails, for some seconds."""

    more = "WebUI\\MaxAuthenticationFailCount=2\nWebUI\\BanDuration=20"


class Follow(InteropCase):
    def test_qbittorrent(self) -> None:
        self.check(Qbittorrent)

    def test_transmission(self) -> None:
        self.check(Transmission)

    def test_deluge(self) -> None:
        self.check(Deluge)

    def test_rtorrent(self) -> None:
        self.check(Rtorrent)

    def test_aria2(self) -> None:
        self.check(Aria2)

    def test_port_file(self) -> None:
        """The port that a VPN forwards; when it changes, the client is found at the new one."""
        network, client, public, _ = self.prepared(Transmission)
        port_file = client.folder / "forwarded_port"
        port_file.write_text("41111\n")
        self.follow(network, client, client.address() + f"?port_file={port_file}")
        self.wait_until_found(network, public, Endpoint(client.peer.host, 41111))
        port_file.write_text("42222\n")
        self.wait_until_found(network, public, Endpoint(client.peer.host, 42222))

    def test_password_file(self) -> None:
        network, client, public, _ = self.prepared(Transmission)
        url = f"transmission+http://user@{client.interface}?password_file={client.password_file}"
        self.follow(network, client, url)
        self.wait_until_found(network, public, client.peer)

    def test_wrong_password(self) -> None:
        """It is said once, never shown, and not tried again and again: this host is not barred."""
        network, client, _, _ = self.prepared(StrictQbittorrent)
        process = self.follow(network, client, client.address("hunter2hunter2"))
        process.wait_for_line("refuses the user or the password", _FOUND_SECONDS)
        begun = time.monotonic()
        eventually("it could have been asked four times", 30, lambda: time.monotonic() - begun > 21)
        log = process.log()
        told = log.split("\n", maxsplit=1)[1]  # the first line is the command line
        self.assertEqual(told.count("cannot be followed"), 1, told)
        self.assertNotIn("hunter2", told)
        self.assertEqual(client.log_in(), "Ok.", "a second try would have barred this host")

    def test_barred_host(self) -> None:
        """It is said with its cure; once that is over and the password is right, the client is followed."""
        network, client, public, _ = self.prepared(StrictQbittorrent)
        self.assertEqual([client.log_in("wrong"), client.log_in("wrong"), client.log_in()], ["Fails.", "Fails.", "403"])
        client.password_file.write_text("wrong\n")
        url = f"qbittorrent+http://admin@{client.interface}?password_file={client.password_file}"
        process = self.follow(network, client, url)
        process.wait_for_line("refuses this host: too many logins have failed; restart .*or wait", _FOUND_SECONDS)
        eventually("it lets this host in again", 60, lambda: client.log_in() == "Ok.")
        client.password_file.write_text(PASSWORD + "\n")
        self.wait_until_found(network, public, client.peer)
        self.assertEqual(process.log().count("refuses this host"), 1)

    def test_wrong_name(self) -> None:
        """A Web UI that does not accept the name in the address says nothing of passwords, and neither do we."""
        network, client, _, _ = self.prepared(NamedQbittorrent)
        url = client.address().replace(f"@{client.interface.host}:", "@localhost:")
        self.follow(network, client, url).wait_for_line("does not accept the name.*Server domains", _FOUND_SECONDS)

    def check(self, kind: type[Followed]) -> None:
        network, client, public, private = self.prepared(kind)
        process = self.follow(network, client, client.address())
        self.wait_until_found(network, public, client.peer)
        self.assertEqual(self.peers(network, private), [], "a private torrent is in the DHT")
        client.remove(public)
        process.wait_for_line(r"the client's list has changed.*active=0", 30)
        self.assertEqual(self.peers(network, private), [], "a private torrent is in the DHT")
        told = process.log().split("\n", maxsplit=1)[1]
        for secret in (PASSWORD, "p%40ss"):
            self.assertNotIn(secret, told)

    def prepared(self, kind: type[Followed]) -> tuple[Network, Followed, torrent.Torrent, torrent.Torrent]:
        """A network, and a client with a public and a private torrent on a host of its own."""
        self._require(kind.installed(), f"{kind.name} is not installed; install it by: {kind.cure}")
        network = Network(self.lab, Ground.LOOPBACK, 3)
        client = kind(self.lab, self.lab.fresh_address(Ground.LOOPBACK))
        public, private = torrent.make(f"{self.lab.name} public"), torrent.make(f"{self.lab.name} private", private=True)
        client.start_with(public, private)
        return network, client, public, private

    def follow(self, network: Network, client: Followed, url: str) -> Process:
        return node.follow(self.lab, client.peer.host, network.nodes[0], url)

    def peers(self, network: Network, wanted: torrent.Torrent) -> list[str]:
        return node.find(self.lab, wanted.info_hash, self.lab.fresh_address(network.ground), network.nodes[-1])

    def wait_until_found(self, network: Network, wanted: torrent.Torrent, at: Endpoint) -> None:
        eventually(f"a stranger finds {at}", _FOUND_SECONDS, lambda: str(at) in self.peers(network, wanted))
