"""Checkpoints of one training task: complete or not there, and never of another spec."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from sgpo_worker.artifacts import sync_tree
from sgpo_worker.specs import DpoSpec, SftSpec


class CheckpointFolder:
    """`<work_dir>/checkpoints`: the trainer's `checkpoint-N` folders, each with a file `checkpoint-N.complete` beside it.

    That file is written last and holds the hash of the spec, so a folder that a crash cut short, or of another spec, is not used.
    """

    def __init__(self, work_dir: Path, spec: SftSpec | DpoSpec) -> None:
        self.path = work_dir / "checkpoints"
        self._spec_hash = hashlib.sha256(json.dumps(asdict(spec), sort_keys=True).encode()).hexdigest()

    def newest(self) -> Path | None:
        """The complete checkpoint with the most steps, or none."""
        complete = [folder for folder in self.path.glob("checkpoint-*") if folder.is_dir() and self._is_complete(folder)]
        return max(complete, key=_steps, default=None)

    def complete(self, step: int) -> None:
        """Marks `checkpoint-<step>` complete once its bytes are on the disk, and removes all others."""
        folder = self.path / f"checkpoint-{step}"
        sync_tree(folder)
        _marker(folder).write_text(self._spec_hash, encoding="utf-8")
        sync_tree(self.path)
        for path in self.path.glob("checkpoint-*"):
            if path.is_dir() and path != folder:
                _marker(path).unlink(missing_ok=True)
                shutil.rmtree(path)

    def remove(self) -> None:
        """Removes all of it: the task's output is published."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _is_complete(self, folder: Path) -> bool:
        marker = _marker(folder)
        return marker.is_file() and marker.read_text(encoding="utf-8") == self._spec_hash


def _marker(folder: Path) -> Path:
    return folder.with_name(folder.name + ".complete")


def _steps(folder: Path) -> int:
    return int(folder.name.removeprefix("checkpoint-"))
