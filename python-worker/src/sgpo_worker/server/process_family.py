"""A child and everything it started: measured, signalled and, in the end, killed together."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "SGPO_CHILD_OF"
"""Environment variable that every process below a worker inherits: the worker's data folder."""


class ProcessFamily:
    """The process group of `leader` (which leads its own), its descendants, and whoever was one when last seen.

    Distributed launchers put their ranks into sessions of their own, so the group alone does not reach them. Members are kept
    with their start time: a reused pid is never signalled.
    """

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self._members: set[psutil.Process] = set()

    def measure(self) -> int:
        """Looks for new members and adds up resident memory, in bytes. Pages that members share count for each of them."""
        self._look()
        total = 0
        for member in list(self._members):
            try:
                total += member.memory_info().rss
            except psutil.Error:
                self._members.discard(member)
        return total

    def signal(self, signum: signal.Signals) -> None:
        """Sends to all members, the leader first."""
        self._look()
        for member in sorted(self._members, key=lambda process: process.pid != self.leader):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signum)

    def kill(self) -> None:
        """SIGKILL to all members, and again to those born meanwhile."""
        for _ in range(3):
            self.signal(signal.SIGKILL)
            if not any(member.is_running() for member in self._members if member.pid != self.leader):
                return

    def _look(self) -> None:
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getpgid(pid) == self.leader:
                    self._members.add(psutil.Process(pid))
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(self.leader)
            self._members.update(leader.children(recursive=True))


def identify_process(pid: int) -> str | None:
    """What tells this process from a later one with its pid, also over reboots. None when it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id")
        if not boot.is_file():
            return f"{process.create_time():.2f}"
        # The 22nd field: clock ticks from boot to start. The name before it may hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{boot.read_text().strip()}:{fields[19]}"
    except (OSError, psutil.Error):
        return None


def find_marked(data: Path) -> Iterator[psutil.Process]:
    """Processes that some worker on the folder `data` started."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(data):
                yield process
