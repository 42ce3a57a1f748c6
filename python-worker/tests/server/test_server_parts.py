"""Journal, configuration, device listing and clean-up, each by itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from pathlib import Path

import pytest
from server_harness import Place

from sgpo_worker.events import Finished, Metrics, Progress
from sgpo_worker.server.config import ConfigError, read_config
from sgpo_worker.server.device import Hardware, choose_engine, select_visible
from sgpo_worker.server.exits import judge_exit
from sgpo_worker.server.journal import Journal, JournalFolder
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.recovery import close_open_journals, remove_old_history

GPUS = "0, GPU-aaa, NVIDIA H100 80GB HBM3\n1, GPU-bbb, NVIDIA H100 80GB HBM3\n2, GPU-abc, NVIDIA L4\n"


async def collect(journal: Journal, after: int = 0) -> list[int]:
    return [entry.sequence async for entry in journal.follow(after)]


@pytest.mark.parametrize(
    "tail", [b'{"sequence": 3, "at_', b"\0" * 200, b'{"sequence": 9, "at_ns": 1, "event": {}}\n', b"[]\n", b"\n"]
)
async def test_a_torn_tail_is_cut_and_the_journal_goes_on(tmp_path: Path, tail: bytes):
    path = tmp_path / "1.jsonl"
    journal = Journal(path)
    journal.append(Progress(done=1, total=2, unit="rows"))
    journal.append(Metrics(step=0, values={"loss": float("nan"), "grüße": 1.0}))
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    again = Journal(path)
    assert (again.last_sequence, path.read_bytes()) == (2, whole)
    again.append(Finished(outcome="lost"))
    assert await collect(again) == [1, 2, 3]
    again.close()
    final = Journal(path)
    assert final.finished == Finished(outcome="lost")
    assert await collect(final, after=2) == [3]
    with pytest.raises(RuntimeError):
        final.append(Finished(outcome="lost"))
    final.close()


async def test_a_reader_follows_what_is_written_while_it_reads(tmp_path: Path):
    journal = Journal(tmp_path / "1.jsonl")
    reading = asyncio.create_task(collect(journal))
    for index in range(500):
        journal.append(Progress(done=index, total=500, unit="rows"))
        if index % 7 == 0:
            await asyncio.sleep(0)
    journal.append(Finished(outcome="succeeded"))
    journal.close()
    assert await reading == list(range(1, 502))


async def test_a_failed_write_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path / "1.jsonl")
    journal.append(Progress(done=1, total=2, unit="rows"))
    real = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.append(Progress(done=2, total=2, unit="rows"))
    monkeypatch.undo()
    journal.append(Finished(outcome="succeeded"))
    assert await collect(journal) == [1, 2]
    journal.close()


async def test_open_journals_are_closed_once(tmp_path: Path):
    folder = JournalFolder(tmp_path / "journals")
    folder.create("t-1", 1).append(Progress(done=1, total=2, unit="rows"))
    done = folder.create("t-2", 7)
    done.append(Finished(outcome="succeeded"))
    stream = io.StringIO()
    for _ in range(2):
        close_open_journals(folder, EventLog(stream))
    assert [json.loads(line)["taskId"] for line in stream.getvalue().splitlines()] == ["t-1"]
    assert (folder.newest_fence("t-2"), folder.newest_fence("t-3")) == (7, None)


def test_old_history_goes_and_recent_stays(tmp_path: Path):
    for task_id in ("old", "new"):
        for kind in ("journals", "logs", "work"):
            (tmp_path / kind / task_id).mkdir(parents=True)
        (tmp_path / "journals" / task_id / "1.jsonl").touch()
    (tmp_path / "logs" / "child-1.log").touch()
    past = time.time() - 31 * 86_400
    os.utime(tmp_path / "journals" / "old" / "1.jsonl", (past, past))
    os.utime(tmp_path / "logs" / "child-1.log", (past, past))
    remove_old_history(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["new"] * 3


def test_defaults(place: Place):
    config = read_config({"SGPO_WORKER_DATA": str(place.data), "SGPO_STORE": str(place.store)})
    assert (config.listen, config.slots, config.standby, config.idle_seconds, config.grace_seconds) == (
        "127.0.0.1:50051",
        1,
        1,
        300,
        25,
    )
    assert (config.engine, config.tls, config.parent_pid, config.worker_id, config.loopback) == (None, None, None, None, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SGPO_WORKER_LISTEN", "50051"),
        ("SGPO_WORKER_LISTEN", "localhost:70000"),
        ("SGPO_WORKER_LISTEN", "::1:50051"),
        ("SGPO_WORKER_DATA", ""),
        ("SGPO_WORKER_DATA", "/proc/nowhere"),
        ("SGPO_STORE", ""),
        ("SGPO_STORE", "/nowhere"),
        ("SGPO_WORKER_ID", "a b"),
        ("SGPO_WORKER_SLOTS", "0"),
        ("SGPO_WORKER_SLOTS", "1.5"),
        ("SGPO_WORKER_ENGINE", "sglang"),
        ("SGPO_WORKER_STANDBY", "-1"),
        ("SGPO_WORKER_IDLE_SECONDS", "soon"),
        ("SGPO_WORKER_GRACE_SECONDS", "-1"),
        ("SGPO_PARENT_PID", "0"),
        ("SGPO_WORKER_SLOT", "1"),
    ],
)
def test_a_wrong_variable_is_named(place: Place, name: str, value: str):
    env = {"SGPO_WORKER_DATA": str(place.data), "SGPO_STORE": str(place.store), name: value}
    with pytest.raises(ConfigError, match=rf"^{name}: "):
        read_config(env)


def test_tls_is_all_or_nothing_and_never_printed(place: Place, tmp_path: Path):
    pem = tmp_path / "x.pem"
    pem.write_text("-----BEGIN PRIVATE KEY-----\nsecret\n")
    env = {
        "SGPO_WORKER_DATA": str(place.data),
        "SGPO_STORE": str(place.store),
        "SGPO_TLS_CERT": str(pem),
        "SGPO_TLS_KEY": str(pem),
    }
    with pytest.raises(ConfigError, match=r"^SGPO_TLS_CLIENT_CA: not set"):
        read_config(env)
    assert "secret" not in repr(read_config({**env, "SGPO_TLS_CLIENT_CA": str(pem)}))
    pem.write_text("nothing")
    with pytest.raises(ConfigError, match=r"^SGPO_TLS_CERT: .* no PEM"):
        read_config({**env, "SGPO_TLS_CLIENT_CA": str(pem)})


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3", "NVIDIA L4")),
        ("2,0", ("NVIDIA L4", "NVIDIA H100 80GB HBM3")),
        ("GPU-bbb", ("NVIDIA H100 80GB HBM3",)),
        ("1,7,0", ("NVIDIA H100 80GB HBM3",)),
        ("", ()),
        ("-1", ()),
    ],
)
def test_visible_devices_are_those_cuda_shows(visible: str | None, names: tuple[str, ...]):
    assert select_visible(GPUS, visible) == names


def test_an_engine_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch):
    cpu, cuda = Hardware(kind="cpu", devices=("x",)), Hardware(kind="cuda", devices=("y",))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"^SGPO_WORKER_ENGINE: 'vllm'"):
        choose_engine("vllm", cuda)
    assert choose_engine(None, cuda) == "transformers"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert (choose_engine(None, cuda), choose_engine(None, cpu), choose_engine("vllm", cpu)) == ("vllm", "transformers", "vllm")


@pytest.mark.parametrize(
    ("status", "stop", "training", "outcome", "code"),
    [
        (75, None, True, "checkpointed", None),
        (75, "canceled", True, "canceled", None),
        (-9, "lease_expired", True, "canceled", "WORKER.LEASE_EXPIRED"),
        (-15, "checkpoint", True, "checkpointed", None),
        (143, "checkpoint", True, "checkpointed", None),
        (0, "checkpoint", True, "checkpointed", None),
        (-9, "checkpoint", True, "failed", "WORKER.CHILD_KILLED"),
        (1, "checkpoint", True, "failed", "WORKER.CHILD_EXITED"),
        (137, None, False, "failed", "WORKER.CHILD_KILLED"),
        (-15, None, False, "failed", "WORKER.CHILD_KILLED"),
        (0, None, False, "failed", "WORKER.CHILD_EXITED"),
        (0, "shutdown", False, "lost", "WORKER.SHUT_DOWN"),
    ],
)
def test_what_was_wanted_decides_before_how_it_ended(status: int, stop, training: bool, outcome: str, code: str | None):
    finished = judge_exit(status, stop=stop, training=training, last_words=[])
    assert (finished.outcome, finished.error.code if finished.error else None) == (outcome, code)
