"""A network of our own: the whole run happens inside fresh namespaces, so nothing reaches or hears the real network.

Inside, the loopback device is the only one, and three ranges live on it:

- 127.0.0.0/8, enough for every client but Transmission, which takes no DHT contact there;
- 198.18.0.0/15 (RFC 2544), ordinary public addresses in every client's eyes;
- 2001:db8::/32 (RFC 3849), the same for IPv6.

The kernel does the cleaning: our process is number 1 of its PID namespace, so when it ends, however it ends, every
client ends too, and the addresses and mounts go with the namespaces.

Where namespaces are refused (a container without CAP_SYS_ADMIN), `enter` returns and the run goes on without: the tests
on 127.0.0.0/8 need nothing more, the others skip themselves.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_MARK = "INTEROP_SANDBOX"
_UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_DIE_WITH_US = ["setpriv", "--pdeathsig", "KILL"]

_SCRATCH = "/run"

IPV6_ADDRESSES = [f"2001:db8:{number:x}::1" for number in range(1, 201)]

_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
_RESOLV = "nameserver 127.0.0.1\n"  # nothing listens there: look-ups fail at once instead of after a timeout


def inside() -> bool:
    """Whether this process runs in the sandbox, with all three address ranges at hand."""
    return os.environ.get(_MARK) == "inside"


def scratch() -> str | None:
    """Where temporary files go: inside, to a file system that vanishes with the sandbox."""
    return _SCRATCH if inside() else None


def enter() -> None:
    """Run this very program again inside the sandbox and exit with its status; return if no sandbox can be had."""
    if _MARK in os.environ:
        return
    command = _working_unshare()
    if command is None:
        print("interop: no namespaces here (needs root, sudo or user namespaces): 127.0.0.0/8 only", file=sys.stderr)
        return
    child = subprocess.Popen([*_DIE_WITH_US, *command, "env", f"{_MARK}=inside", sys.executable, *sys.argv])
    # Killing `unshare` kills process 1 of the namespace, and the kernel then kills the rest.
    signal.signal(signal.SIGTERM, lambda *_: child.kill())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child as well, which stops cleanly
    sys.exit(child.wait())


def furnish() -> None:
    """Put the addresses and name files in place; called once, inside."""
    _ip("link", "set", "lo", "up")
    _ip("address", "add", "198.18.0.0/15", "dev", "lo")
    for address in IPV6_ADDRESSES:  # all before the first client starts: a new address makes libtorrent listen anew
        _ip("address", "add", f"{address}/128", "dev", "lo", "nodad")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", _SCRATCH], check=True)
    for name, text in (("hosts", _HOSTS), ("resolv.conf", _RESOLV)):
        target = Path("/etc") / name
        if target.exists():
            ours = Path(_SCRATCH) / name
            ours.write_text(text)
            subprocess.run(["mount", "--bind", str(ours), str(target.resolve())], check=True)


def _working_unshare() -> list[str] | None:
    """The first way to get namespaces that works here: as root, as a mapped user, with sudo."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    ways = [_UNSHARE] if os.geteuid() == 0 else [
        [*_UNSHARE, "--map-root-user"],
        ["sudo", "--non-interactive", "--preserve-env", *_UNSHARE],
    ]
    return next((way for way in ways if _works(way)), None)


def _works(way: list[str]) -> bool:
    trial = [*way, "ip", "link", "set", "lo", "up"]
    try:
        return subprocess.run(trial, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
