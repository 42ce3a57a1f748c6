"""Validation rows, the measures taken on them, and which weights a training publishes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.measurements import Measurement, best_of, read_measurements
from sgpo_worker.child.preference.run import run_preference
from sgpo_worker.child.sft import run_sft
from sgpo_worker.child.training_set import TrainingSet, split_rows
from sgpo_worker.specs import LoraParameters, ValidationParameters

from . import tiny
from .conftest import Bench
from .test_preference import logprobs, spec_of
from .test_training import ANSWERS, PAIRS, metrics_of, sft_spec, stop_at_step, weights

MakeBench = Callable[..., Bench]
# So high a rate that the measure gets worse soon: the best step is not the last.
WILD = {"epochs": 6.0, "learning_rate": 2e-2, "scheduler": "constant"}


def validation(**changes: Any) -> ValidationParameters:
    return ValidationParameters(**{"share": 0.25, "every_steps": 2, "measure": "loss", **changes})


def statistics_of(store: Path, digest: str | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((open_artifact(store, digest or "") / "training_statistics.json").read_text())
    return found


def data_of(ids: list[str]) -> TrainingSet:
    return TrainingSet(examples=[{"n": [index]} for index in range(len(ids))], ids=ids, dropped={})


@pytest.mark.parametrize(
    ("rows", "share", "aside"), [(8, 0.25, 2), (10, 0.01, 1), (10, 0.25, 3), (3, 0.5, 2), (7, 0.2, 1), (2, 0.5, 1)]
)
def test_the_rows_set_aside_are_those_of_the_smallest_hashes(rows: int, share: float, aside: int) -> None:
    ids = [f"row-{index}" for index in range(rows)]
    parameters = tiny.parameters(seed=3, validation=validation(share=share))
    split = split_rows(data_of(ids), parameters)
    hashes = {index: hashlib.sha256(f"3:{name}".encode()).hexdigest() for index, name in enumerate(ids)}
    expected = sorted(sorted(hashes, key=lambda index: hashes[index])[:aside])
    assert [example["n"][0] for example in split.validation] == expected
    assert [example["n"][0] for example in split.training] == [index for index in range(rows) if index not in expected]
    backwards = split_rows(data_of(ids[::-1]), parameters)
    assert {ids[::-1][example["n"][0]] for example in backwards.validation} == {ids[index] for index in expected}


def test_rows_of_one_id_are_measured_together_or_trained_on_together() -> None:
    ids = [f"row-{index}" for index in range(10) for _ in range(2)]
    split = split_rows(data_of(ids), tiny.parameters(seed=3, validation=validation(share=0.15)))
    measured, trained = ({ids[example["n"][0]] for example in side} for side in (split.validation, split.training))
    assert (len(split.validation), len(split.training)) == (4, 16)
    assert not measured & trained


def test_rows_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(TaskFailure, match="2 of them set aside"):
        split_rows(data_of(["one", "one"]), tiny.parameters(validation=validation()))
    with pytest.raises(TaskFailure, match="1 of them set aside") as raised:
        split_rows(data_of(["one"]), tiny.parameters(validation=validation()))
    assert raised.value.error.code == "DATASET.NO_ROWS_LEFT"


def test_the_best_is_the_lowest_loss_or_the_highest_other_and_the_earlier_of_equals() -> None:
    values = [Measurement(step=step, value=value) for step, value in ((2, 0.5), (4, 0.3), (6, 0.7), (8, 0.3), (10, 0.7))]
    assert best_of(values, "loss") == Measurement(step=4, value=0.3)
    for measure in ("rewards/accuracies", "rewards/margins"):
        assert best_of(values, measure) == Measurement(step=6, value=0.7)
    assert best_of([], "loss") is None
    history = [{"step": 1, "loss": 1.0}, {"step": 1, "eval_loss": 2.0, "eval_rewards/margins": 0.1}]
    assert read_measurements(history, "rewards/margins") == [Measurement(step=1, value=0.1)]


def test_every_training_leaves_its_statistics(bench: MakeBench, store: Path, model: str) -> None:
    long = ("why?", "sea " * 300)
    spec = sft_spec(model, tiny.publish_sft(store, [*ANSWERS, long]))
    here = bench(spec)
    finished = run_sft(here.session, spec)
    folder = open_artifact(store, finished.output or "")
    curve = metrics_of(here)
    total = AutoModelForCausalLM.from_pretrained(folder).num_parameters()
    assert statistics_of(store, finished.output) == {
        "rows": {"in": 9, "trained": 8, "validation": 0, "dropped": {"too_long": 1}},
        "steps": 4,
        "epochs": 2.0,
        "published": "last",
        "measure": None,
        "measurements": [],
        "best": None,
        "loss": {"first": curve[0].values["loss"], "last": curve[-1].values["loss"]},
        "parameters": {"trained": total, "total": total},
    }


def test_measurements_come_every_few_steps_and_at_the_last_one(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), validation=validation(every_steps=3), epochs=2.0)
    here = bench(spec)
    finished = run_sft(here.session, spec)
    assert (finished.rows_in, finished.rows_out, finished.dropped) == (8, 8, {})
    measured = [point for point in metrics_of(here) if "eval_loss" in point.values]
    assert [point.step for point in measured] == [3, 4]
    assert all(name.startswith("eval_") for point in measured for name in point.values)
    found = statistics_of(store, finished.output)
    assert found["rows"] == {"in": 8, "trained": 6, "validation": 2, "dropped": {}}
    assert found["measurements"] == [{"step": point.step, "value": point.values["eval_loss"]} for point in measured]
    assert found["measure"] == "loss"
    assert found["best"] in found["measurements"]


def validation_loss(store: Path, folder: Path) -> float:
    """The loss of the rows set aside, by a plain forward pass."""
    ids = [tiny.row_id(prompt) for prompt, _ in ANSWERS]
    chosen = sorted(range(8), key=lambda index: hashlib.sha256(f"7:{ids[index]}".encode()).hexdigest())[:2]
    plain, chat = AutoModelForCausalLM.from_pretrained(folder), ChatFormat(tiny.make_tokenizer(), [2])
    total, count = 0.0, 0
    for index in chosen:
        row = chat.conversation(tiny.user(ANSWERS[index][0]), ANSWERS[index][1])
        ids_of_row = row.prompt_ids + row.completion_ids
        with torch.inference_mode():
            table = torch.log_softmax(plain(torch.tensor([ids_of_row])).logits[0], dim=-1)
        places = range(len(row.prompt_ids), len(ids_of_row))
        total -= sum(float(table[at - 1, ids_of_row[at]]) for at in places)
        count += len(places)
    return total / count


@pytest.mark.parametrize("adapter", [None, LoraParameters(rank=4, alpha=32.0, dropout=0.1, target_modules=[])])
def test_the_best_and_the_last_weights_are_what_was_measured(
    bench: MakeBench, store: Path, model: str, adapter: LoraParameters | None
) -> None:
    wild = {**WILD, "learning_rate": 2e-2 if adapter is None else 1e-1}
    table = tiny.publish_sft(store, ANSWERS)
    outputs = {}
    for publish in ("last", "best", "both"):
        spec = sft_spec(model, table, **wild, publish=publish, lora=adapter, validation=validation(every_steps=1))
        outputs[publish] = open_artifact(store, run_sft(bench(spec).session, spec).output or "")
        assert not list(outputs[publish].glob("best*")), "no file of the training is left in its output"
    found = statistics_of(store, outputs["both"].name)
    best, last = found["best"], found["measurements"][-1]
    assert best["step"] < last["step"], "the test needs a training that gets worse"
    assert best["value"] == min(measured["value"] for measured in found["measurements"])
    assert validation_loss(store, outputs["both"]) == pytest.approx(best["value"], rel=1e-4)
    assert validation_loss(store, outputs["both"] / "last") == pytest.approx(last["value"], rel=1e-4)
    assert torch.equal(weights(outputs["best"]), weights(outputs["both"]))
    assert torch.equal(weights(outputs["last"]), weights(outputs["both"] / "last"))
    assert (outputs["both"] / "last" / "tokenizer.json").is_file()
    assert [statistics_of(store, outputs[name].name)["published"] for name in outputs] == ["last", "best", "both"]
    adapters = [path.relative_to(outputs["both"]).parts[:-1] for path in outputs["both"].rglob("adapter_model.safetensors")]
    assert sorted(adapters) == ([] if adapter is None else [("adapter",), ("last", "adapter")])


@pytest.mark.parametrize("stop", [1, 2, 3, 7])
def test_a_stopped_training_keeps_the_best_so_far(bench: MakeBench, store: Path, model: str, stop: int) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), **WILD, publish="both", validation=validation(every_steps=1))
    straight = run_sft(bench(spec).session, spec).output
    here = bench(spec)
    stop_at_step(here, stop)
    assert run_sft(here.session, spec).outcome == "checkpointed"
    files = sorted(path.name for path in (here.session.task.work_dir / "checkpoints").iterdir())
    assert [name for name in files if name.startswith("best-")], files
    assert len(files) == 3
    assert run_sft(bench(spec).session, spec).output == straight


def test_the_best_at_the_checkpoint_outlives_better_ones_after_it(bench: MakeBench, store: Path, model: str) -> None:
    """A crash after a better measurement goes back to the checkpoint, and so to its best weights."""
    gentle = {"epochs": 4.0, "learning_rate": 5e-3, "warmup_ratio": 0.0}
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), **gentle, publish="best", validation=validation(every_steps=1))
    straight = run_sft(bench(spec).session, spec).output
    here = bench(spec)
    stop_at_step(here, 2)
    run_sft(here.session, spec)
    checkpoints = here.session.task.work_dir / "checkpoints"
    assert (checkpoints / "best-2.safetensors").is_file()
    crashing = bench(spec)
    tell = crashing.session.metrics

    def metrics(step: int, values: dict[str, float]) -> None:
        tell(step, values)
        if step == 5:
            raise RuntimeError("power cut")

    crashing.session.metrics = metrics  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run_sft(crashing.session, spec)
    assert sorted(path.name for path in checkpoints.glob("best-*")) == ["best-2.safetensors", "best-4.safetensors"]
    assert run_sft(bench(spec).session, spec).output == straight


@pytest.mark.parametrize(
    ("trainer", "measure"),
    [
        ("dpo", "rewards/margins"),
        ("dpo", "rewards/accuracies"),
        ("cpo", "rewards/margins"),
        ("orpo", "rewards/accuracies"),
        ("kto", "rewards/margins"),
        ("kto", "loss"),
    ],
)
def test_preference_trainings_are_measured_by_trl_s_names(
    bench: MakeBench, *, store: Path, model: str, trainer: str, measure: str
) -> None:
    training = tiny.parameters(publish="both", validation=validation(share=0.4, every_steps=1, measure=measure))
    loss = next(iter(spec_losses(trainer)))
    spec = spec_of(trainer, loss, model, tiny.publish_pairs(store, PAIRS), training=training)
    here = bench(spec)
    finished = run_preference(here.session, spec)
    assert run_preference(bench(spec).session, spec).output == finished.output
    told = {point.step: point.values[f"eval_{measure}"] for point in metrics_of(here) if f"eval_{measure}" in point.values}
    found = statistics_of(store, finished.output)
    assert {item["step"]: item["value"] for item in found["measurements"]} == told
    assert len(told) == found["steps"]
    pick = min if measure == "loss" else max
    assert found["best"]["value"] == pick(told.values())


def spec_losses(trainer: str) -> dict[str, Any]:
    from sgpo_worker.losses import TRAINERS

    return dict(TRAINERS[trainer].losses)


def test_every_validation_row_counts_alike_in_a_smaller_last_batch(bench: MakeBench, store: Path, model: str) -> None:
    """Three rows in micro-batches of two: the mean over rows, not over batches."""
    training = tiny.parameters(
        epochs=1.0,
        learning_rate=1e-30,
        warmup_ratio=0.0,
        validation=validation(share=0.375, every_steps=9, measure="rewards/margins"),
    )
    spec = replace(spec_of("cpo", "sigmoid", model, tiny.publish_pairs(store, PAIRS), training=training), beta=1.0)
    here = bench(spec)
    run_preference(here.session, spec)
    ids = [tiny.row_id(prompt) for prompt, _, _ in PAIRS]
    chosen = sorted(range(8), key=lambda index: hashlib.sha256(f"7:{ids[index]}".encode()).hexdigest())[:3]
    sides = [logprobs(store, model, PAIRS[index])[1:] for index in chosen]
    expected = sum(sum(chosen_side) - sum(rejected_side) for chosen_side, rejected_side in sides) / 3
    assert metrics_of(here)[-1].values["eval_rewards/margins"] == pytest.approx(expected, rel=1e-4)


def test_a_measure_that_is_no_number_ends_the_training(bench: MakeBench, store: Path, model: str) -> None:
    from transformers import TrainerControl, TrainerState

    from sgpo_worker.child.validation_callback import ValidationCallback

    spec = sft_spec(model, "d" * 64)
    callback = ValidationCallback(bench(spec).session, validation(), None)
    with pytest.raises(TaskFailure, match="eval_loss is nan at step 4") as raised:
        callback.on_evaluate(None, TrainerState(global_step=4), TrainerControl(), metrics={"eval_loss": math.nan})  # type: ignore[arg-type]
    assert raised.value.error.code == "TRAIN.DIVERGED"
