"""A libtorrent session in a process of its own: every alert on standard output.

The only argument is a JSON object: `listen`, `bootstrap` (empty: no DHT), `folder`, `demands_encryption`,
`metainfo` (files) or `magnet`, and `unread` where the content is not there and nobody asks for it.
"""

from __future__ import annotations

import json
import sys
from typing import Iterator

import libtorrent as lt


def main() -> None:
    order = json.loads(sys.argv[1])
    session = lt.session(settings(order))
    if order["bootstrap"]:
        # A magnet link added before the DHT is up waits for the next announce tick, many minutes away.
        print_alerts(session, until=lt.dht_bootstrap_alert)
    for params in torrents(order):
        session.add_torrent(params)
    print_alerts(session)


def settings(order: dict) -> dict:
    many = len(order.get("metainfo", [])) > 1
    everything = lt.alert.category_t.all_categories & ~(
        lt.alert.category_t.picker_log_notification | lt.alert.category_t.piece_progress_notification
    )
    return {
        # All that many torrents say fills the memory of the test.
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.dht_notification if many else everything,
        "listen_interfaces": order["listen"],
        "outgoing_interfaces": order["listen"].rpartition(":")[0].strip("[]"),
        "dht_bootstrap_nodes": order["bootstrap"],
        # The session announces one torrent after the other, each this many seconds after the one before, and never faster
        # than one a second; one torrent every quarter of an hour, as clients do.
        "dht_announce_interval": 1 if many else 900,
        "active_limit": -1,
        "active_seeds": -1,
        "active_dht_limit": -1,
        "enable_dht": bool(order["bootstrap"]),
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        **encryption(order["demands_encryption"]),
    }


def encryption(demanded: bool) -> dict:
    if demanded:
        return {"in_enc_policy": 0, "out_enc_policy": 0, "allowed_enc_level": 2}  # forced; RC4 alone
    return {"out_enc_policy": 2}  # plain handshakes, which the test's listener can read


def torrents(order: dict) -> Iterator[lt.add_torrent_params]:
    if "magnet" in order:
        yield with_flags(lt.parse_magnet_uri(order["magnet"]), order)
    for metainfo in order.get("metainfo", []):
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(metainfo)
        yield with_flags(params, order)


def with_flags(params: lt.add_torrent_params, order: dict) -> lt.add_torrent_params:
    params.save_path = order["folder"]
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    params.flags |= lt.torrent_flags.disable_pex | lt.torrent_flags.disable_lsd
    if order.get("unread"):
        params.flags |= lt.torrent_flags.seed_mode
    return params


def print_alerts(session: lt.session, until: type | None = None) -> None:
    """For ever, or until an alert of the given type; the test ends this process."""
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            print(f"{type(alert).__name__}: {alert.message()}")
            if until is not None and isinstance(alert, until):
                return


main()
