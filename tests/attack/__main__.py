"""Attacks at full rate on the program, each with a bound and what was measured. Run it by `tests/run attack`.

A node with a public address and a gateway on it, in a network namespace of its own; the attacker in another. Exit code 1 if a
bound is broken. TRACKERLESS names the binary, ATTACK_SECONDS the length of each flood (10 by default; by hand 60).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import attacks
import ground
from ground import Host, Node

SECONDS = float(os.environ.get("ATTACK_SECONDS", "10"))
MIB = 1 << 20
# docs/OPERATING.md: bytes of replies to all, headers left out, and to one owner, headers included; each with a burst.
ALL_A_SECOND, ALL_AT_ONCE = 1 * MIB, MIB // 4
OWNER_A_SECOND, OWNER_AT_ONCE = 56 << 10, 24 << 10
# What ends up on the wire beside replies: pings of those who greet, ARP.
OF_ITS_OWN = 24 << 10


class Table:
    """The rows of the report, and whether a bound was broken."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def add(self, attack: str, what: str, bound: str, measured: str, holds: bool) -> None:
        self.rows.append((attack, what, bound, measured + ("" if holds else "  BROKEN")))

    def print(self) -> bool:
        rows = [("attack", "what is bounded", "bound", "measured"), *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        return not any(row[3].endswith("BROKEN") for row in self.rows)


def replies(table: Table, node: Node, attacker: Host) -> None:
    for name, rate, networks, swarms, a_second, at_once in [
        ("10,000 forged queries a second", 10_000, 5_000, 4_096, ALL_A_SECOND, ALL_AT_ONCE),
        ("10,000 a second for one swarm", 10_000, 5_000, 1, ALL_A_SECOND / 2, ALL_AT_ONCE / 4),
        ("as many as go", 1e9, 5_000, 4_096, ALL_A_SECOND, ALL_AT_ONCE),
        ("as many as go, from one /24", 1e9, 1, 4_096, OWNER_A_SECOND, OWNER_AT_ONCE),
    ]:
        time.sleep(2)  # the budgets are full again
        headers = networks == 1
        before, start = node.sent(headers), time.monotonic()
        saw = ground.on(attacker, attacks.flood, SECONDS, rate, networks, swarms).get()
        passed = time.monotonic() - start
        sent = (node.sent(headers) - before) / passed
        bound = 1.05 * a_second + at_once / passed + OF_ITS_OWN
        what = f"bytes a second of replies to {saw['queries a second']:,.0f} a second"
        table.add(name, what, f"{bound:,.0f}", f"{sent:,.0f}", sent <= bound)
        if rate < 1e9:
            share = saw["honest answered"] / saw["honest asked"]
            table.add(name, "honest queries answered", "95 %", f"{100 * share:.0f} %", share >= 0.95)


def memory(table: Table, node: Node, attacker: Host) -> None:
    before = node.resident()
    saw = ground.on(attacker, attacks.crowd_of_one, 3 * SECONDS, 20_000, 200).get()
    grown = (node.resident() - before) / MIB
    name = f"one address announces 20,000 torrents x 200 ports ({saw['announces a second']:,.0f} a second)"
    table.add(name, "memory grows by, in MiB", "30", f"{grown:.1f}", grown <= 30)


def starvation(table: Table, node: Node, host: Host, attacker: Host) -> None:
    flood = ground.on(attacker, attacks.strangers, SECONDS + 15, 700)
    time.sleep(SECONDS / 2 + 3)
    saw = ground.on(host, attacks.own_client, 30).get()
    told = flood.get()
    name = f"{told['connected']:.0f} strangers ask for {told['announces a second']:,.0f} torrents a second"
    holds = saw["answered"] == 1 and saw["seconds"] <= 10
    table.add(name, "seconds until the own client has its answer", "10", f"{saw['seconds']:.1f}", holds)


def connections(table: Table, node: Node, attacker: Host) -> None:
    attack = ground.on(attacker, attacks.connections, 2_000, 3)
    most = 0
    while not attack.ready():
        most = max(most, node.descriptors())
        time.sleep(0.05)
    saw = attack.get()
    name, served = "2,000 connections of one address", saw["another is served"] == 1
    table.add(name, "descriptors", "160", str(most), most <= 160)
    table.add(name, "another client is served", "yes", "yes" if served else "no", served)


def heads(table: Table, node: Node, attacker: Host) -> None:
    """No more memory than the quarter of the limit that no share has."""
    before = node.resident()
    attack = ground.on(attacker, attacks.slow_heads, 6_000, 2)
    most = before
    while not attack.ready():
        most = max(most, node.resident())
        time.sleep(0.05)
    name, served = "6,000 slow heads of 6,000 addresses", attack.get()["another is served"] == 1
    grown = (most - before) / MIB
    table.add(name, "memory grows by, in MiB", "24", f"{grown:.1f}", grown <= 24)
    table.add(name, "another client is served", "yes", "yes" if served else "no", served)


def page(table: Table, host: Host) -> None:
    saw = ground.on(host, attacks.page, 11211).get()
    name = "a web page announces the port of a program"
    for what, count in [("connections to it", saw["connected to"]), ("requests that are not refused", saw["not refused"])]:
        table.add(name, what, "0", f"{count:.0f}", count == 0)


def main() -> int:
    binary = os.environ.get("TRACKERLESS") or shutil.which("trackerless")
    if not binary:
        raise SystemExit("name the program in TRACKERLESS")
    table = Table()
    folder = Path(tempfile.mkdtemp(prefix="trackerless-attack-"))
    host, attacker = ground.two_hosts()
    try:
        node = Node(host, os.path.abspath(binary), folder)
        calm = node.resident()
        replies(table, node, attacker)
        memory(table, node, attacker)
        starvation(table, node, host, attacker)
        connections(table, node, attacker)
        heads(table, node, attacker)
        page(table, host)
        after = node.resident()
        told = f"{after / MIB:.1f} (calm {calm / MIB:.1f})"
        table.add("all of them", "memory of the process, in MiB", "128", told, after <= 128 * MIB)
        code = node.stop()
        table.add("all of them", "exit code after SIGTERM", "0", str(code), code == 0)
    finally:
        for one in (host, attacker):
            one.close()
    holds = table.print()
    if holds:
        shutil.rmtree(folder)
    else:
        print(f"what the node said: {folder / 'log'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
