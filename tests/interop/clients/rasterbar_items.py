"""A libtorrent session that puts or gets items (BEP 44), or asks for samples (BEP 51), and says on standard output what
came of it.

The only argument is a JSON object: `listen`, `bootstrap`, `work` (the name of a function below) and its arguments.
"""

from __future__ import annotations

import json
import sys

import libtorrent as lt


def main() -> None:
    order = json.loads(sys.argv[1])
    session = lt.session(
        {
            "alert_mask": lt.alert.category_t.all_categories,
            "listen_interfaces": order["listen"],
            "outgoing_interfaces": order["listen"].rpartition(":")[0].strip("[]"),
            "dht_bootstrap_nodes": order["bootstrap"],
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
        }
    )
    wait(session, lt.dht_bootstrap_alert)
    print(json.dumps(WORKS[order["work"]](session, *order["arguments"])))


_pending: list[lt.alert] = []


def wait(session: lt.session, kind: type) -> lt.alert:
    """The next alert of this kind; the test ends this process if there is none. Alerts come in batches, and the one that
    is waited for next may lie in the same batch, so what was not looked at yet is kept."""
    while True:
        while _pending:
            alert = _pending.pop(0)
            print(f"{type(alert).__name__}: {alert.message()}", file=sys.stderr)
            if isinstance(alert, kind):
                return alert
        session.wait_for_alert(1000)
        _pending.extend(session.pop_alerts())


def put_immutable(session: lt.session, text: str) -> dict:
    target = session.dht_put_immutable_item(text)
    return {"target": str(target), "stored_at": wait(session, lt.dht_put_alert).num_success}


def get_immutable(session: lt.session, target: str) -> dict:
    session.dht_get_immutable_item(lt.sha1_hash(bytes.fromhex(target)))
    return {"text": plain(wait(session, lt.dht_immutable_item_alert).item)}


def put_mutable(session: lt.session, private_key: str, public_key: str, salt: str, text: str) -> dict:
    keys = bytes.fromhex(private_key), bytes.fromhex(public_key)
    session.dht_put_mutable_item(*keys, text.encode(), salt.encode())
    return {"stored_at": wait(session, lt.dht_put_alert).num_success}


def get_mutable(session: lt.session, public_key: str, salt: str) -> dict:
    session.dht_get_mutable_item(bytes.fromhex(public_key), salt.encode())
    while True:
        alert = wait(session, lt.dht_mutable_item_alert)
        if alert.authoritative:
            return {"text": plain(alert.item), "seq": alert.seq}


def sample(session: lt.session, host: str, port: int) -> dict:
    session.dht_sample_infohashes((host, port), lt.sha1_hash(bytes(20)))
    alert = wait(session, lt.dht_sample_infohashes_alert)
    samples = sorted(str(infohash) for infohash in alert.samples)
    return {"samples": samples, "total": alert.num_infohashes}


def plain(item: object) -> object:
    """The binding hands out an entry as a dict that has its value under `value`, or as the value itself."""
    if isinstance(item, dict) and set(item) >= {"value"}:
        item = item["value"]
    return item.decode() if isinstance(item, bytes) else item


WORKS = {work.__name__: work for work in (put_immutable, get_immutable, put_mutable, get_mutable, sample)}
main()
