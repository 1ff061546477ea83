"""What one test owns: a scratch folder, processes, addresses; and how a test waits."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Callable, Mapping, Sequence, TypeVar

import addresses
import sandbox
from addresses import Endpoint, Ground
from process import Process

Found = TypeVar("Found")

_LINES_SHOWN = 120  # of each log on the screen; the files hold them whole

_open_labs: set["Lab"] = set()


class Lab:
    """Everything that must be gone when the test is over, and the logs that outlive it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="interop-", dir=sandbox.scratch()))
        self._processes: list[Process] = []
        self._logs: dict[str, Callable[[], str]] = {}
        _open_labs.add(self)

    def fresh_address(self, ground: Ground) -> str:
        return addresses.fresh(ground)

    def fresh_endpoint(self, ground: Ground) -> Endpoint:
        return addresses.fresh_endpoint(ground)

    def fresh_folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def environment(self) -> dict[str, str]:
        """The user's, without what could bring the user's own settings in."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("TRACKERLESS_", "XDG_"))}
        return {**ours, "HOME": str(self.folder), "NO_COLOR": "1"}

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        process = Process(name, argv, self.folder, {**self.environment(), **(env or {})})
        self._processes.append(process)
        self._logs[name] = process.log
        return process

    def note(self, name: str, text: str) -> None:
        """Keep `text` among the logs, in place of what `name` had to say before."""
        self._logs[name] = lambda: text

    def close(self) -> None:
        for process in reversed(self._processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        _open_labs.discard(self)

    def save_logs(self) -> str:
        """Every log goes whole to a file; returns the end of each, and where the files lie."""
        folder = target_folder() / "interop" / "logs" / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        ends = []
        for name, log in self._logs.items():
            text = log()
            (folder / f"{name.replace(' ', '-')}.log").write_text(text + "\n")
            head, *lines = text.split("\n")
            ends.append("\n".join([head, *lines[-_LINES_SHOWN:]]))
        return "\n".join([*ends, f"--- whole logs: {folder}"])


def close_all() -> None:
    """For an interrupted run: end what the tests of this moment have started."""
    for lab in list(_open_labs):
        lab.close()


def eventually(what: str, seconds: float, attempt: Callable[[], Found | None]) -> Found:
    """Try until `attempt` returns something true; fail with `what` when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = attempt()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)  # the pace of asking, not a guess at how long the thing takes


def target_folder() -> Path:
    repository = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"))
