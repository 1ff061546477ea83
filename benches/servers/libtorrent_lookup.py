"""Lookups by libtorrent: libtorrent_lookup.py ADDR:PORT BOOTSTRAP_ADDR:PORT

Says `ready` once it has joined; then for each line `find INFOHASH` on standard input one line: milliseconds to the first
peer, milliseconds to the end (`-`: libtorrent does not tell), and messages sent meanwhile.
"""

import sys
import time

import libtorrent

listen, bootstrap = sys.argv[1:3]
session = libtorrent.session({
    "listen_interfaces": listen,
    "dht_bootstrap_nodes": bootstrap,
    "enable_dht": True,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": libtorrent.alert.category_t.all_categories,
    "alert_queue_size": 100_000,
    "dht_upload_rate_limit": 2_000_000_000,
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
})


def wait_for(kind, wanted=lambda alert: True, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        session.wait_for_alert(50)
        for alert in session.pop_alerts():
            if isinstance(alert, kind) and wanted(alert):
                return alert
    return None


def sent():
    session.post_session_stats()
    return wait_for(libtorrent.session_stats_alert).values["dht.dht_messages_out"]


wait_for(libtorrent.dht_bootstrap_alert)
print("ready", flush=True)
for line in sys.stdin:
    before, start = sent(), time.monotonic()
    session.dht_get_peers(libtorrent.sha1_hash(bytes.fromhex(line.split()[1])))
    found = wait_for(libtorrent.dht_get_peers_reply_alert, lambda alert: alert.num_peers() > 0)
    millis = (time.monotonic() - start) * 1e3
    time.sleep(0.5)  # until the lookup has sent all that it will
    print(f"{millis:.3f} - {sent() - before}" if found else "nothing", flush=True)
