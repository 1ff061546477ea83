"""One running program: its output as it comes, waiting on it, ending it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Mapping, Sequence


class Process:
    """A started program whose output lines are kept with the second at which each came.

    It leads a process group of its own, and `stop` ends that group and no other process.
    """

    def __init__(self, name: str, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self._argv = list(argv)
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._closed = False
        self._started = time.monotonic()
        self._child = subprocess.Popen(
            self._argv,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {name}", daemon=True)
        self._reader.start()

    def wait_for_line(self, pattern: str, seconds: float) -> str:
        """The first line that matches `pattern`, already printed or still to come."""
        wanted = re.compile(pattern)
        with self._news:
            self._news.wait_for(lambda: self._find(wanted) is not None or self._closed, timeout=seconds)
            line = self._find(wanted)
        if line is None:
            raise AssertionError(f"{self.name}: no line like {pattern!r} within {seconds} s")
        return line

    def stop(self, seconds: float = 5) -> int:
        """End the program, politely first, and return its exit status."""
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)  # also for what the program may have left in its group
        status = self._child.wait()
        self._reader.join(timeout=seconds)
        return status

    def kill(self) -> None:
        """End the program in the middle of whatever it does."""
        self._signal(signal.SIGKILL)
        self._child.wait()

    def running(self) -> bool:
        return self._child.poll() is None

    def cpu_seconds(self) -> float:
        """What the program has used of processors until now."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        """The most memory that was resident."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024

    def log(self) -> str:
        """All that the program printed so far, headed by its command line."""
        status = self._child.poll()
        state = "still running" if status is None else f"exit status {status}"
        with self._news:
            return "\n".join([f"--- {self.name} ({state}): {' '.join(self._argv)}", *self._lines])

    def _find(self, wanted: re.Pattern[str]) -> str | None:
        return next((line for line in self._lines if wanted.search(line)), None)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with self._news:
                self._lines.append(f"{time.monotonic() - self._started:7.2f} {line.rstrip()}")
                self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            pass
