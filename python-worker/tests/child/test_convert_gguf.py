from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def test_wrong_paths_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    (tmp_path / "a.gguf").touch()
    for gguf, out, message in (("b.gguf", "out", "is not a file"), ("a.gguf", "full", "is not empty")):
        command = [sys.executable, "-m", "sgpo_worker.convert_gguf", str(tmp_path / gguf), str(tmp_path / out)]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert message in done.stderr
