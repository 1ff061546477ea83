# VERSION: 1.0
# AUTHORS: trackerless
"""Search plug-in for qBittorrent: asks the index of a trackerless node."""

import json
import urllib.parse
import urllib.request

from novaprinter import prettyPrinter


class trackerless:
    url = "BASE_URL"
    name = "trackerless"
    supported_categories = {"all": "", "movies": "2000", "music": "3000", "software": "4000", "tv": "5000", "books": "7000"}

    def search(self, what, cat="all"):
        words = urllib.parse.unquote(what)
        for skip in range(0, 500, 100):
            query = urllib.parse.urlencode({"q": words, "limit": 100, "skip": skip})
            with urllib.request.urlopen(self.url + "/api/v1/search?" + query, timeout=30) as answer:
                page = json.load(answer)
            for torrent in page["torrents"]:
                if cat == "all" or str(torrent["category"]) == self.supported_categories.get(cat):
                    self._print(torrent)
            if not page["more"]:
                break

    def _print(self, torrent):
        prettyPrinter({
            "link": torrent["magnet"],
            "name": torrent["name"],
            "size": str(torrent["size"]) + " B",
            "seeds": torrent.get("seeds", -1),
            "leech": torrent.get("peers", -1),
            "engine_url": self.url,
            "desc_link": self.url + "/api/v1/search?q=" + torrent["infohash"],
            "pub_date": torrent["found"],
        })
