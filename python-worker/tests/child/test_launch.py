from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.batches import plan_batches, trainer_arguments
from sgpo_worker.child.launch import rank_command, rank_environment
from sgpo_worker.child.model_folder import load_model
from sgpo_worker.specs import LoraParameters, ValidationParameters

from . import tiny
from .test_training import PAIRS, dpo_spec, metrics_of


def test_ranks_get_the_environment_of_torchrun_and_one_voice() -> None:
    ranks = [rank_environment({"SGPO_EVENTS_FD": "7", "PATH": "/bin"}, rank, 2, 29_500) for rank in range(2)]
    assert [rank["RANK"] for rank in ranks] == [rank["LOCAL_RANK"] for rank in ranks] == ["0", "1"]
    assert {rank["WORLD_SIZE"] for rank in ranks} == {"2"}
    assert {(rank["MASTER_ADDR"], rank["MASTER_PORT"]) for rank in ranks} == {("127.0.0.1", "29500")}
    assert [rank["SGPO_EVENTS_FD"] for rank in ranks] == ["7", "-1"]
    assert {rank["SGPO_PARENT_PID"] for rank in ranks} == {str(os.getpid())}
    assert rank_command(4, Path("r.json")) == [sys.executable, "-m", "sgpo_worker.child.rank", "4", "r.json"]


def test_several_devices_shard_the_model_and_keep_the_effective_batch() -> None:
    parameters = tiny.parameters(batch_size=16, micro_batch_size=2, gradient_checkpointing=True)
    plan = plan_batches(100, parameters, 2, 4)
    assert (plan.accumulation, plan.warmup_steps) == (2, 2)
    arguments = trainer_arguments(parameters, plan, Path("checkpoints"))
    assert arguments["fsdp"] is True
    assert arguments["fsdp_config"]["version"] == 2
    assert arguments["fsdp_config"]["activation_checkpointing"] is True
    assert arguments["gradient_checkpointing"] is False
    alone = trainer_arguments(parameters, plan_batches(100, parameters, 2, 1), Path("checkpoints"))
    assert "fsdp" not in alone
    assert alone["gradient_accumulation_steps"] == 8


RANK = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from sgpo_worker.child.batches import is_first_rank
from sgpo_worker.child.preference.run import train_preference
from sgpo_worker.child.session import Session, StopRequest
from sgpo_worker.specs import ChildTask
task = ChildTask.from_json(sys.stdin.readline())
finished = train_preference(Session(task, -1, StopRequest()), task.spec, 1)
if is_first_rank():
    print(finished.output)
"""


@pytest.mark.parametrize("adapter", [None, LoraParameters(rank=4, alpha=8.0, dropout=0.0, target_modules=[])])
def test_two_ranks_train_as_one_process_does(bench: object, store: Path, model: str, adapter: LoraParameters | None) -> None:
    """On CPUs the ranks copy the model instead of sharding it; steps, batches and publishing are those of several GPUs."""
    from sgpo_worker.child.preference.run import train_preference

    measured = ValidationParameters(share=0.25, every_steps=2, measure="rewards/margins")
    spec = dpo_spec(model, tiny.publish_pairs(store, PAIRS), lora=adapter, validation=measured, publish="both")
    here = bench(spec)  # type: ignore[operator]
    alone = train_preference(here.session, spec, 2).output
    assert len(metrics_of(here)) == 1 + 4 + 2
    ranks = []
    for rank in range(2):
        environment = {**os.environ, "SGPO_EVENTS_FD": "-1", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        process = subprocess.Popen(
            [sys.executable, "-c", RANK],
            env=rank_environment(environment, rank, 2, 20_000 + os.getpid() % 10_000),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        process.stdin.write(here.session.task.to_json() + "\n")
        process.stdin.close()
        ranks.append(process)
    lines = [process.stdout.read().splitlines() for process in ranks if process.stdout]
    assert [process.wait(120) for process in ranks] == [0, 0]
    together = lines[0][-1]
    for folder in ("", "last"):
        one, two = (load_model(open_artifact(store, digest or "") / folder, "float32") for digest in (alone, together))
        for left, right in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.allclose(left, right, atol=5e-4)
    config = json.loads((open_artifact(store, together) / "config.json").read_text())
    assert config == json.loads((open_artifact(store, alone or "") / "config.json").read_text())


def test_a_batch_must_divide_over_the_devices() -> None:
    with pytest.raises(Exception, match="not a multiple of micro_batch_size 2 × 3 devices"):
        plan_batches(10, tiny.parameters(batch_size=4, micro_batch_size=2), 2, 3)
