"""What a server does about the life before it: orphans are killed, open journals are closed, old history is removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from pathlib import Path

import psutil

from sgpo_worker.server.config import ConfigError
from sgpo_worker.server.exits import judge_restart
from sgpo_worker.server.journal import JournalFolder
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.process_family import ProcessFamily, find_marked, identify_process

_HISTORY_SECONDS = 30 * 86_400


def lock_data(data: Path) -> int:
    """Claims the folder for this process; the claim ends with it. Raises ConfigError when another worker has it."""
    file = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise ConfigError("SGPO_WORKER_DATA", str(data), "another worker uses this folder: give each worker its own") from None
    return file


def read_worker_id(data: Path, configured: str | None) -> str:
    """The configured id, or one that was made at the first start and kept."""
    if configured is not None:
        return configured
    path = data / "worker-id"
    if path.is_file() and (kept := path.read_text().strip()):
        return kept
    made = f"worker-{uuid.uuid4().hex[:12]}"
    path.write_text(made + "\n")
    return made


def kill_orphans(data: Path) -> int:
    """Kills what an earlier server on this folder left running, and waits until it is gone. Returns how many processes."""
    gone: list[psutil.Process] = []
    records = data / "children"
    for record in records.glob("[0-9]*") if records.is_dir() else ():
        pid = int(record.name)
        identity = identify_process(pid)
        # Its pid may belong to somebody else by now.
        if identity is not None and identity == record.read_text():
            gone.append(psutil.Process(pid))
            ProcessFamily(pid).kill()
        record.unlink()
    for process in find_marked(data):
        # Members whose leader is gone, and ranks in sessions of their own.
        gone.append(process)
        process.kill()
    psutil.wait_procs(gone, timeout=10)
    return len(gone)


def close_open_journals(journals: JournalFolder, log: EventLog) -> None:
    """Appends Finished(lost) to every journal without an end."""
    for task_id, fence in journals.attempts():
        journal = journals.create(task_id, fence)
        try:
            if journal.finished is None:
                journal.append(judge_restart())
                log.warning("attempt is lost", taskId=task_id, fence=fence)
        finally:
            journal.close()


def remove_old_history(data: Path, *, now: float | None = None) -> None:
    """Removes journals, logs and checkpoints of tasks not heard of for 30 days, and logs of children that had no task."""
    oldest = (time.time() if now is None else now) - _HISTORY_SECONDS
    for folder in (data / "journals").glob("*"):
        if max((path.stat().st_mtime for path in folder.glob("*")), default=0) < oldest:
            for kind in ("logs", "work", "journals"):
                shutil.rmtree(data / kind / folder.name, ignore_errors=True)
    for path in (data / "logs").glob("child-*.log"):
        if path.stat().st_mtime < oldest:
            path.unlink()
