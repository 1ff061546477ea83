"""rTorrent: its own DHT code, IPv4 only.

It announces and serves, but version 0.9.8 cannot use the peers that the DHT gives it: it dials an address made of the
bencoded length prefix and half of the real address (mended upstream in libtorrent 0.16.0). So with the DHT it seeds here,
and does nothing else; with a tracker it does both.
"""

from __future__ import annotations

from clients.client import Client
from torrent import Torrent

_RC = """\
system.daemon.set = true
network.bind_address.set = {host}
network.port_range.set = {port}-{port}
network.port_random.set = no
dht.port.set = {port}
dht.mode.set = {dht}
protocol.pex.set = no
protocol.encryption.set = none
trackers.use_udp.set = yes
directory.default.set = {content}
session.path.set = {session}
log.open_file = "log", "/dev/stdout"
log.add_output = "info", "log"
log.add_output = "dht_debug", "log"
log.add_output = "torrent_debug", "log"
log.add_output = "tracker_debug", "log"
{entrance}
schedule2 = load, 3, 0, ((load.start, "{metainfo}"))
"""
_ENTRANCE = 'schedule2 = dht_node, 1, 0, ((dht.add_node, "{node}"))'


class RTorrent(Client):
    name = "rtorrent"
    program = "rtorrent"
    cure = "apt-get install rtorrent"

    def seed(self, torrent: Torrent) -> None:
        torrent.write_content(self.content_folder)
        self._start(torrent)

    def fetch(self, torrent: Torrent) -> None:
        if self.nodes:
            raise NotImplementedError("rTorrent 0.9.8 cannot use peers from the DHT")
        self._start(torrent)

    def _start(self, torrent: Torrent) -> None:
        session = self.folder / "session"
        session.mkdir()
        rc = self.folder / "rtorrent.rc"
        rc.write_text(_RC.format(
            host=self.endpoint.host,
            port=self.endpoint.port,
            content=self.content_folder,
            session=session,
            dht="on" if self.nodes else "disable",
            entrance="\n".join(_ENTRANCE.format(node=node) for node in self.nodes[:1]),
            metainfo=torrent.write_metainfo(self.folder),
        ))
        self.lab.start(self.label, ["rtorrent", "-n", "-o", f"import={rc}"], {"TERM": "dumb"})
