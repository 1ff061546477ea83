"""Real BitTorrent clients, unmodified, with everything but the DHT switched off: no trackers, no PEX, no LSD."""

from clients.aria2 import Aria2
from clients.client import Client
from clients.rasterbar import Rasterbar
from clients.rtorrent import RTorrent
from clients.transmission import Transmission
from clients.webtorrent import WebTorrent

__all__ = ["Aria2", "Client", "RTorrent", "Rasterbar", "Transmission", "WebTorrent"]
