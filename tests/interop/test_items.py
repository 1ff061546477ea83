"""What libtorrent and npm's bittorrent-dht put, `trackerless get` gets, and the other way round; samples of ours are read
by libtorrent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import node
from case import InteropCase, Network
from clients import Rasterbar, WebTorrent

_SESSION = Path(__file__).parent / "clients" / "rasterbar_items.py"
_NODE_JS = Path(__file__).parent / "clients" / "webtorrent_items.mjs"
_SECONDS = 60

# The key pair of BEP 44's test vectors. libtorrent, too, takes the expanded secret, not a seed.
_PUBLIC = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548"
_PRIVATE = (
    "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d"
    "b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d"
)
_HELLO = "e5f96f6f38320f0f33959cb4d3d656452117aadb"


class Items(InteropCase):
    def test_immutable_from_libtorrent(self) -> None:
        network = self.network(Rasterbar)
        put = self.rasterbar(network, "put_immutable", "Hello World!")
        self.assertEqual(put["target"], _HELLO)
        self.assertGreater(put["stored_at"], 0)
        self.assertEqual(self.ours(network, "get", _HELLO)["text"], "Hello World!")

    def test_immutable_to_libtorrent(self) -> None:
        network = self.network(Rasterbar)
        self.assertGreater(self.ours(network, "put", "Hello World!")["stored_at"], 0)
        self.assertEqual(self.rasterbar(network, "get_immutable", _HELLO), {"text": "Hello World!"})

    def test_mutable_from_libtorrent(self) -> None:
        network = self.network(Rasterbar)
        for number, text in enumerate(["first", "second"], start=1):
            put = self.rasterbar(network, "put_mutable", _PRIVATE, _PUBLIC, "foobar", text)
            self.assertGreater(put["stored_at"], 0)
            got = self.ours(network, "get", "--public-key", _PUBLIC, "--salt", "foobar")
            self.assertEqual((got["text"], got["seq"]), (text, number))

    def test_mutable_to_libtorrent(self) -> None:
        network = self.network(Rasterbar)
        key = str(self.lab.fresh_folder("key") / "me.key")
        for number, text in enumerate(["first", "second"], start=1):
            put = self.ours(network, "put", "--mutable", "--key", key, "--salt", "foobar", text, key=key)
            self.assertGreater(put["stored_at"], 0)
            got = self.rasterbar(network, "get_mutable", put["public_key"], "foobar")
            self.assertEqual(got, {"text": text, "seq": number})

    def test_samples(self) -> None:
        network = self.network(Rasterbar)
        network.announce(self.lab.fresh_endpoint(network.ground))
        holder = next(one for one in network.nodes if self.sampled(network, one))
        self.assertEqual(self.sampled(network, holder), [network.torrent.info_hash])

    def test_immutable_from_npm(self) -> None:
        network = self.network(WebTorrent)
        put = self.npm(network, "put_immutable", "Hello World!")
        self.assertEqual(put["target"], _HELLO)
        self.assertGreater(put["stored_at"], 0)
        self.assertEqual(self.ours(network, "get", _HELLO)["text"], "Hello World!")

    def test_immutable_to_npm(self) -> None:
        network = self.network(WebTorrent)
        self.assertGreater(self.ours(network, "put", "Hello World!")["stored_at"], 0)
        self.assertEqual(self.npm(network, "get_immutable", _HELLO), {"text": "Hello World!"})

    def test_mutable_from_npm_and_back(self) -> None:
        """One owner, whose secret both have: each goes on from the value of the other."""
        network = self.network(WebTorrent)
        seed, key = "07" * 32, self.lab.fresh_folder("key") / "me.key"
        key.write_text(seed)
        put = self.npm(network, "put_mutable", seed, "foobar", 1, "first")
        self.assertGreater(put["stored_at"], 0)
        got = self.ours(network, "get", put["target"], "--salt", "foobar")
        self.assertEqual((got["text"], got["seq"]), ("first", 1))
        put = self.ours(network, "put", "--mutable", "--key", str(key), "--salt", "foobar", "second")
        self.assertEqual(put["seq"], 2)
        got = self.npm(network, "get_mutable", put["target"], "foobar")
        self.assertEqual(got, {"text": "second", "seq": 2})

    def sampled(self, network: Network, holder: node.Endpoint) -> list[str]:
        return self.rasterbar(network, "sample", holder.host, holder.port)["samples"]

    def rasterbar(self, network: Network, work: str, *arguments: object) -> dict:
        """What a new libtorrent session says that came of its work."""
        order = {
            "listen": str(self.lab.fresh_endpoint(network.ground)),
            "bootstrap": ",".join(map(str, network.nodes)),
            "work": work,
            "arguments": arguments,
        }
        return self.outcome(f"libtorrent {work}", [sys.executable, str(_SESSION), json.dumps(order)])

    def npm(self, network: Network, work: str, *arguments: object) -> dict:
        """What a new node of npm's bittorrent-dht says that came of its work."""
        listen = self.lab.fresh_endpoint(network.ground)
        order = {
            "library": str(WebTorrent.library()),
            "listen": {"host": listen.host, "port": listen.port},
            "bootstrap": list(map(str, network.nodes)),
            "work": work,
            "arguments": arguments,
        }
        return self.outcome(f"bittorrent-dht {work}", ["node", str(_NODE_JS), json.dumps(order)])

    def outcome(self, name: str, command: list[str]) -> dict:
        """The JSON object on the last line of what the command prints."""
        result = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
        self.lab.note(name, result.stderr + result.stdout)
        self.assertEqual(result.returncode, 0, result.stderr[-2000:])
        return json.loads(result.stdout.splitlines()[-1])

    def ours(self, network: Network, *arguments: str, key: str | None = None) -> dict:
        """What a command of ours says as JSON, asked through the last node. Makes the key pair where it is missing."""
        if key is not None and not Path(key).exists():
            node.make_key(self.lab, key)
        return node.command(self.lab, [*arguments, "--json"], self.lab.fresh_address(network.ground), network.nodes[-1])
