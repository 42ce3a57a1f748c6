"""Error rules against messages as the libraries really write them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open

from sgpo_worker.artifacts import ArtifactNotFound
from sgpo_worker.child.failures import TaskFailure, find_error, is_out_of_memory, load_rules
from sgpo_worker.child.model_folder import load_model, load_tokenizer

from . import tiny

CUDA_MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.10 GiB is free. "
    "Including non-PyTorch memory, this process has 22.54 GiB memory in use."
)
CPU_MESSAGE = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4503599627370496 bytes. Error code 12 (Cannot allocate memory)"
)
CASES: list[tuple[BaseException, str, str]] = [
    (torch.OutOfMemoryError(CUDA_MESSAGE), "WORKER.OUT_OF_MEMORY", "resources"),
    (RuntimeError(CPU_MESSAGE), "WORKER.OUT_OF_MEMORY", "resources"),
    (MemoryError(), "WORKER.OUT_OF_MEMORY", "resources"),
    (OSError(errno.ENOSPC, "No space left on device", "/store/tmp/x"), "STORE.FULL", "infrastructure"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "STORE.FULL", "infrastructure"),
    (SafetensorError("I/O error: No space left on device (os error 28)"), "STORE.FULL", "infrastructure"),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), "WORKER.DEVICE_LOST", "infrastructure"),
    (ArtifactNotFound("artifact 00 is not in the store"), "ARTIFACT.MISSING_FILES", "infrastructure"),
    (OSError(errno.ESTALE, "Stale file handle"), "STORE.UNAVAILABLE", "infrastructure"),
    (ValueError("'cosinus' is not a valid SchedulerType, please select one of ['linear']"), "SPEC.INVALID", "invalid"),
    (ValueError("Unknown loss type: dpo. Should be one of ['sigmoid']"), "SPEC.INVALID", "invalid"),
    (ValueError("Target modules {'wq'} not found in the base model. Please check"), "SPEC.CONFLICT", "invalid"),
    (ValueError("Actual (not effective) batch size must be > 1. KTO will not work"), "SPEC.INVALID", "invalid"),
    (RuntimeError("probability tensor contains either `inf`, `nan` or element < 0"), "TRAIN.DIVERGED", "invalid"),
    (KeyError("surprise"), "WORKER.INTERNAL", "infrastructure"),
]


@pytest.mark.parametrize(("exception", "code", "failure_class"), CASES)
def test_a_known_message_gets_its_code_and_class(exception: BaseException, code: str, failure_class: str) -> None:
    error = find_error(exception)
    assert (error.code, error.failure_class) == (code, failure_class)
    assert error.message
    assert error.remedy


def real_failure(make: object) -> BaseException:
    with pytest.raises(Exception) as raised:
        make()  # type: ignore[operator]
    return raised.value


def test_memory_that_cannot_be_had_is_out_of_memory() -> None:
    assert is_out_of_memory(real_failure(lambda: torch.empty(1 << 50)))


def broken_folder(folder: Path, remove: tuple[str, ...] = (), **texts: str) -> Path:
    tiny.write_model(folder)
    for name in remove:
        (folder / name).unlink()
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("remove", "texts", "code"),
    [
        ((), {"model__safetensors": "not a safetensors file, but long enough"}, "MODEL.BAD_WEIGHTS"),
        ((), {"model__safetensors": ""}, "MODEL.BAD_WEIGHTS"),
        (("model.safetensors",), {}, "MODEL.NO_SAFETENSORS"),
        ((), {"config__json": '{"model_type": "unheard_of"}'}, "MODEL.UNKNOWN_ARCHITECTURE"),
        ((), {"config__json": '{"auto_map": {"AutoConfig": "c.C"}}'}, "MODEL.UNKNOWN_ARCHITECTURE"),
        ((), {"config__json": '{"model_type": "t5"}'}, "MODEL.UNKNOWN_ARCHITECTURE"),
        ((), {"config__json": "{"}, "MODEL.INVALID_FOLDER"),
        (("config.json",), {}, "MODEL.INVALID_FOLDER"),
    ],
)
def test_real_failures_to_load_a_model(tmp_path: Path, remove: tuple[str, ...], texts: dict[str, str], code: str) -> None:
    folder = broken_folder(tmp_path / "model", remove, **texts)
    error = find_error(real_failure(lambda: load_model(folder, "float32")))
    assert (error.code, error.failure_class) == (code, "invalid"), error.message


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = broken_folder(tmp_path / "model")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"intermediate_size": 128', '"intermediate_size": 96'))
    assert find_error(real_failure(lambda: load_model(folder, "float32"))).code == "MODEL.WRONG_SHAPES"


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = broken_folder(tmp_path / "model", ("tokenizer.json", "tokenizer_config.json"))
    assert find_error(real_failure(lambda: load_tokenizer(folder))).code == "MODEL.NO_TOKENIZER"


def test_a_cut_weights_file_is_refused(tmp_path: Path) -> None:
    folder = broken_folder(tmp_path / "model")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])
    assert find_error(real_failure(lambda: safe_open(folder / "model.safetensors", "pt"))).code == "MODEL.BAD_WEIGHTS"


def test_a_cause_is_looked_at_and_our_own_failures_pass_as_they_are() -> None:
    own = TaskFailure("DATASET.NO_ROWS_LEFT", "invalid", "none left", "give more")
    outer = RuntimeError("training failed")
    outer.__cause__ = own
    assert find_error(outer) is own.error
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert find_error(outer).code == "STORE.FULL"


def test_every_rule_says_what_to_do() -> None:
    for rule in load_rules():
        assert rule.remedy.endswith("."), rule.code
        assert "." in rule.code
