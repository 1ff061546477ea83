"""A libtorrent session that is nothing but a DHT node on the given address, with its limits lifted.

Prints `address:port` once it listens, and stays until it is ended.
"""

from __future__ import annotations

import sys
import time

import libtorrent as lt


def main() -> None:
    host = sys.argv[1]
    session = lt.session({
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
        "listen_interfaces": f"{host}:0",
        "dht_bootstrap_nodes": "",
        "dht_block_ratelimit": 1_000_000,  # packets a second from one address; 5 in the field
        "dht_upload_rate_limit": 100_000_000,  # bytes a second; 8,000 in the field
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
    })
    print(f"{host}:{udp_port(session)}", flush=True)
    while True:
        time.sleep(60)


def udp_port(session: lt.session) -> int:
    """The port of the UDP socket, as soon as it is open."""
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.listen_succeeded_alert) and "[uTP]" in alert.message():
                return alert.port


main()
