"""A libtorrent DHT node with its limits lifted, to be measured: libtorrent_node.py ADDR:PORT BOOTSTRAP_ADDR:PORT"""

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
    "alert_mask": 0,
    "dht_upload_rate_limit": 2_000_000_000,
    "dht_block_ratelimit": 1_000_000_000,
    "dht_max_torrents": 2_000_000,
    "dht_max_peers": 5_000,
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
})
print("libtorrent", libtorrent.__version__, flush=True)
while True:
    time.sleep(3600)
