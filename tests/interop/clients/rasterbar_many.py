"""A libtorrent session in a process of its own that seeds every torrent file of a folder, and announces them by its DHT.

The only argument is a JSON object: `listen`, `bootstrap` and `folder`. What the torrents hold is never read: only their
metadata is asked for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import libtorrent as lt


def main() -> None:
    order = json.loads(sys.argv[1])
    session = lt.session(settings(order))
    for file in sorted(Path(order["folder"]).glob("*.torrent")):
        session.add_torrent(torrent(file))
    while True:
        session.wait_for_alert(60_000)
        for alert in session.pop_alerts():
            print(f"{type(alert).__name__}: {alert.message()}", flush=True)


def settings(order: dict) -> dict:
    return {
        "alert_mask": lt.alert.category_t.error_notification,
        "listen_interfaces": order["listen"],
        "outgoing_interfaces": order["listen"].rpartition(":")[0],
        "dht_bootstrap_nodes": order["bootstrap"],
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "active_limit": -1,
        "active_seeds": -1,
        "active_dht_limit": -1,
    }


def torrent(file: Path) -> lt.add_torrent_params:
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(str(file))
    params.save_path = str(file.parent)
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    params.flags |= lt.torrent_flags.seed_mode | lt.torrent_flags.disable_pex | lt.torrent_flags.disable_lsd
    return params


main()
