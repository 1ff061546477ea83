"""`trackerless info` and `trackerless check` with real seeds: metadata of v1, v2 and hybrid torrents, and what is wrong."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import addresses
import node
from case import InteropCase, Network
from clients import Aria2, Client, Rasterbar, Transmission
from lab import eventually
from torrent import Torrent

_LIVE_SECONDS = 15  # with an idle machine it takes less than 3; tests run side by side on a busy one


class EncryptedRasterbar(Rasterbar):
    demands_encryption = True


class EncryptedAria2(Aria2):
    demands_encryption = True


class EncryptedTransmission(Transmission):
    demands_encryption = True


class Info(InteropCase):
    def test_libtorrent(self) -> None:
        self.check(Rasterbar)

    def test_aria2(self) -> None:
        self.check(Aria2)

    def test_transmission(self) -> None:
        self.check(Transmission)

    def test_libtorrent_that_demands_encryption(self) -> None:
        """`check` says so, and goes on."""
        network = self.check(EncryptedRasterbar)
        records = check(network, network.torrent.info_hash)
        self.assertEqual([record["demands_encryption"] for record in records if record["step"] == "peer"], [True])
        self.assertEqual((records[-1]["step"], records[-1]["works"]), ("verdict", True))

    def test_aria2_that_demands_encryption(self) -> None:
        self.check(EncryptedAria2)

    def test_transmission_that_demands_encryption(self) -> None:
        self.check(EncryptedTransmission)

    def check(self, kind: type[Client]) -> Network:
        network = self.network(kind)
        seed = network.client(kind)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        out = self.lab.folder / "out.torrent"
        record = info(network, network.torrent.info_hash, "-o", str(out))
        folder = self.lab.fresh_folder("running")
        running = addresses.fresh_endpoint(network.ground)
        control = node.control_of(self.lab, running, network.nodes[-1], folder)
        asked = lambda: node.post(control, "/api/v1/info", {"target": network.torrent.info_hash}, folder, or_none=404)
        # The seed may still be busy with the one that asked before.
        told = eventually("the metadata comes by the control interface", _LIVE_SECONDS, asked)
        same = ("infohashes", "name", "size", "file_count", "files", "private")
        self.assertEqual([told[key] for key in same], [record[key] for key in same], "the same by the control interface")
        self.assertEqual(record["name"], network.torrent.name)
        self.assertEqual(record["size"], len(network.torrent.content))
        self.assertEqual([file["size"] for file in record["files"]], [len(network.torrent.content)])
        self.assertEqual(out.read_bytes(), network.torrent.metainfo, "the magnet has become the torrent")
        self.assertLess(record["seconds"], _LIVE_SECONDS)
        return network

    def test_v2_and_hybrid(self) -> None:
        """Metadata is known by SHA-256 (v2) or by both hashes (hybrid), and libtorrent takes the file of a hybrid one."""
        import libtorrent as lt

        network = self.network(Rasterbar)
        for flags in (lt.create_torrent.v2_only, 0):
            made = _made(self.lab.fresh_folder("made"), flags)
            hashes = lt.torrent_info(made.metainfo).info_hashes()
            names = [str(hashes.v1)] * hashes.has_v1() + [str(hashes.v2)[:40]] * hashes.has_v2()
            seed = network.client(Rasterbar)
            seed.seed(made)
            for name in names:
                network.torrent = made._replace(info_hash=name)
                network.wait_for_announce_of(seed)
                record = info(network, name)
                self.assertEqual(record["name"], made.name)
                self.assertEqual(sorted(record["infohashes"]), sorted(names))

    def test_one_of_many_peers_is_enough(self) -> None:
        """Peers that are gone, silent or speak something else hold nothing up."""
        network = self.network(Rasterbar)
        seed = network.client(Rasterbar)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        silent = socket.create_server((self.lab.fresh_address(network.ground), 0))
        self.addCleanup(silent.close)
        for _ in range(3):
            gone = self.lab.fresh_endpoint(network.ground)
            network.announce(gone)
        network.announce(addresses.Endpoint(*silent.getsockname()))
        record = info(network, network.torrent.info_hash)
        self.assertEqual(record["name"], network.torrent.name)
        self.assertLess(record["seconds"], _LIVE_SECONDS)


class Check(InteropCase):
    def test_a_seed_works_and_a_wrong_port_is_named(self) -> None:
        network = self.network(Rasterbar)
        seed = network.client(Rasterbar)
        seed.seed(network.torrent)
        network.wait_for_announce_of(seed)
        gone = self.lab.fresh_endpoint(network.ground)
        network.announce(gone)
        records = check(network, network.torrent.info_hash)
        peers = {record["peer"]: record for record in records if record["step"] == "peer"}
        self.assertTrue(peers[str(seed.endpoint)]["works"], peers)
        self.assertFalse(peers[str(gone)]["connects"], peers)
        self.assertIn("announced a port and does not answer there", peers[str(gone)]["meaning"])
        stored = {record["path"]: record for record in records if record["step"] == "stored"}
        self.assertEqual(stored[1]["peers"], 2, stored)
        self.assertEqual(stored[2]["peers"], 2, stored)
        self.assertEqual(one(records, "metadata")["name"], network.torrent.name)
        self.assertGreaterEqual(one(records, "count")["seeds"], 1)
        self.assertEqual((records[-1]["step"], records[-1]["works"]), ("verdict", True))

    def test_nothing_is_announced(self) -> None:
        network = self.network(Rasterbar)
        records = check(network, network.torrent.info_hash, status=1)
        self.assertEqual((records[-1]["works"], one(records, "verdict")["peers"]), (False, 0))
        self.assertIn("no peer is announced", records[0]["meaning"] or records[1]["meaning"])


def one(records: list[dict], step: str) -> dict:
    (record,) = (record for record in records if record["step"] == step)
    return record


def info(network: Network, target: str, *flags: str) -> dict:
    host = network.lab.fresh_address(network.ground)
    return node.command(network.lab, ["info", target, "--json", *flags], host, network.nodes[-1])


def check(network: Network, target: str, status: int = 0) -> list[dict]:
    host = network.lab.fresh_address(network.ground)
    return node.records(network.lab, ["check", target, "--json"], host, network.nodes[-1], status)


def _made(folder: Path, flags: int) -> Torrent:
    """A torrent of two files, with the hashes that `flags` say, made by libtorrent itself."""
    import libtorrent as lt

    name = f"made-{flags}"
    made = Made(name, hashlib.sha256(name.encode()).digest() * 3000, b"", "")
    made.write_content(folder)
    creator = lt.create_torrent(lt.list_files(str(folder / name)), 16 * 1024, flags)
    lt.set_piece_hashes(creator, str(folder))
    return made._replace(metainfo=lt.bencode(creator.generate()))


class Made(Torrent):
    """Two files instead of one."""

    def write_content(self, folder: Path) -> None:
        (folder / self.name).mkdir()
        for file in ("a.bin", "b.bin"):
            (folder / self.name / file).write_bytes(self.content)
