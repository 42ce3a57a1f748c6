from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sgpo_worker.artifacts import open_artifact, publish
from sgpo_worker.child import training_memory
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.preference.run import run_preference
from sgpo_worker.child.preference.step_zero import check_step_zero
from sgpo_worker.child.preference.tokens import tokenize_preferences
from sgpo_worker.child.sft import run_sft, tokenize_sft
from sgpo_worker.events import Log, Metrics, Progress
from sgpo_worker.specs import DpoSpec, SftSpec

from . import tiny
from .conftest import Bench

MakeBench = Callable[..., Bench]
WORDS = ["red", "dog", "sky", "sea", "tea", "sun", "map", "ink"]
ANSWERS = [(f"what is the {word}?", f"the {word} is blue") for word in WORDS]
PAIRS = [(f"what is the {word}?", f"the {word} is blue", f"{word} runs and drinks tea under a sky") for word in WORDS]


def sft_spec(model: str, dataset: str, **changes: Any) -> SftSpec:
    return SftSpec(model=model, dataset=dataset, training=tiny.parameters(**changes))


def dpo_spec(policy: str, dataset: str, reference: str | None = None, loss_type: str = "sigmoid", **changes: Any) -> DpoSpec:
    return DpoSpec(
        policy=policy,
        reference=reference or policy,
        dataset=dataset,
        training=tiny.parameters(**changes),
        trainer="dpo",
        loss_types=[loss_type],
        loss_weights=[],
        beta=0.1,
    )


def metrics_of(bench: Bench) -> list[Metrics]:
    return [event for event in bench.events() if isinstance(event, Metrics)]


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in AutoModelForCausalLM.from_pretrained(folder).parameters()])


def test_sft_learns_and_gives_equal_bytes_each_time(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), epochs=6.0, learning_rate=5e-3)
    first, second = bench(spec), bench(spec)
    finished = run_sft(first.session, spec)
    assert finished.outcome == "succeeded"
    assert run_sft(second.session, spec).output == finished.output
    curve = metrics_of(first)
    assert [point.step for point in curve] == list(range(1, 13))
    assert curve[-1].values["loss"] < curve[0].values["loss"]
    assert [event for event in first.events() if isinstance(event, Progress)][-1] == Progress(done=12, total=12, unit="steps")
    assert (finished.rows_in, finished.rows_out, finished.dropped) == (8, 8, {})


def test_sft_loss_is_that_of_the_completion_alone(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS[:4]), epochs=1.0)
    here = bench(spec)
    run_sft(here.session, spec)
    folder = open_artifact(store, model)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    total, count = 0.0, 0
    for prompt, answer in ANSWERS[:4]:
        row = ChatFormat(tiny.make_tokenizer(), [2]).conversation(tiny.user(prompt), answer)
        ids = row.prompt_ids + row.completion_ids
        with torch.inference_mode():
            logprobs = torch.log_softmax(plain(torch.tensor([ids])).logits[0], dim=-1)
        total -= sum(float(logprobs[at - 1, ids[at]]) for at in range(len(row.prompt_ids), len(ids)))
        count += len(row.completion_ids)
    assert metrics_of(here)[0].values["loss"] == pytest.approx(total / count, abs=1e-4)


def test_the_published_folder_is_a_plain_model(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), save_dtype="bfloat16")
    finished = run_sft(bench(spec).session, spec)
    folder, source = open_artifact(store, finished.output or ""), open_artifact(store, model)
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in source.iterdir()} | {"training_statistics.json"}
    assert "model.safetensors" in names
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "_name_or_path" not in config
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(folder).chat_template == tiny.CHATML
    assert sorted(json.loads((folder / "generation_config.json").read_text())["eos_token_id"]) == [0, 2]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    text = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix == ".json")
    assert str(store).encode() not in text


def test_dpo_starts_at_ln_2_and_prefers_the_chosen(bench: MakeBench, store: Path, model: str) -> None:
    spec = dpo_spec(model, tiny.publish_pairs(store, PAIRS), epochs=5.0)
    here = bench(spec)
    finished = run_preference(here.session, spec)
    zero, *curve = metrics_of(here)
    assert (zero.step, zero.values["rewards/margins"]) == (0, 0.0)
    assert zero.values["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert {"logps/chosen", "logps/rejected"} <= set(zero.values)
    assert [point.step for point in curve] == list(range(1, 11))
    assert curve[-1].values["rewards/margins"] > 0
    assert not torch.equal(weights(open_artifact(store, finished.output or "")), weights(open_artifact(store, model)))


def test_dpo_in_bfloat16_starts_at_ln_2_too(bench: MakeBench, store: Path, model: str) -> None:
    spec = dpo_spec(model, tiny.publish_pairs(store, PAIRS), epochs=1.0, dtype="bfloat16")
    here = bench(spec)
    run_preference(here.session, spec)
    assert metrics_of(here)[0].values["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_dpo_measures_against_the_given_reference(bench: MakeBench, store: Path, model: str) -> None:
    spec = dpo_spec(model, tiny.publish_pairs(store, PAIRS), reference=tiny.publish_model(store, seed=5), epochs=1.0)
    here = bench(spec)
    assert run_preference(here.session, spec).outcome == "succeeded"
    assert metrics_of(here)[0].values["rewards/margins"] != 0.0


def test_a_reference_that_reads_other_tokens_is_refused(bench: MakeBench, store: Path, model: str) -> None:
    def write(folder: Path) -> None:
        tiny.write_model(folder)
        text = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(text + "\n")

    spec = dpo_spec(model, tiny.publish_pairs(store, PAIRS), reference=publish(store, write))
    with pytest.raises(TaskFailure) as raised:
        run_preference(bench(spec).session, spec)
    assert raised.value.error.code == "MODEL.TOKENIZER_MISMATCH"


def test_a_loss_other_than_ln_2_against_itself_is_refused(model: str) -> None:
    spec = dpo_spec(model, "d" * 64)
    check_step_zero(spec, {"loss": math.log(2) + 9e-4, "rewards/margins": 9e-4})
    for loss, margin, code in (
        (math.log(2) + 2e-3, 0.0, "TRAIN.REFERENCE_MISMATCH"),
        (math.log(2), 2e-3, "TRAIN.REFERENCE_MISMATCH"),
        (math.log(2), math.nan, "TRAIN.REFERENCE_MISMATCH"),
        (math.nan, 0.0, "TRAIN.DIVERGED"),
    ):
        with pytest.raises(TaskFailure) as raised:
            check_step_zero(spec, {"loss": loss, "rewards/margins": margin})
        assert raised.value.error.code == code
    check_step_zero(replace(spec, loss_weights=[2.0]), {"loss": 2 * math.log(2), "rewards/margins": 0.0})
    check_step_zero(dpo_spec(model, "d" * 64, reference="e" * 64), {"loss": 0.1, "rewards/margins": 3.0})
    check_step_zero(dpo_spec(model, "d" * 64, loss_type="hinge"), {"loss": 1.0, "rewards/margins": 0.0})
    with pytest.raises(TaskFailure, match=r"margin before any update is 0\.1"):
        check_step_zero(dpo_spec(model, "d" * 64, loss_type="hinge"), {"loss": 1.0, "rewards/margins": 0.1})


def test_rows_that_cannot_be_trained_on_are_counted() -> None:
    chat = ChatFormat(tiny.make_tokenizer(), [2])

    def row(**columns: str) -> dict[str, Any]:
        answers = {name: tiny.assistant(text) for name, text in columns.items()}
        return {"id": "x", "prompt": tiny.user("what?"), **answers}

    fits = chat.conversation(tiny.user("what?"), "tea").tokens
    assert tokenize_sft([row(completion="tea")], chat, fits).dropped == {}
    assert tokenize_sft([row(completion="tea")], chat, fits - 1).dropped == {"too_long": 1}
    rows = [row(chosen="tea", rejected="tea"), row(chosen="tea", rejected="sea " * 50), row(chosen="tea", rejected="dog")]
    data = tokenize_preferences(rows, chat, 60)
    assert data.dropped == {"identical_tokens": 1, "too_long": 1}
    assert (len(data.examples), data.rows_in) == (1, 3)


def test_no_end_token_follows_an_answer_that_was_cut_short() -> None:
    chat = ChatFormat(tiny.make_tokenizer(), [2])
    row = {"id": "x", "prompt": tiny.user("what?"), "completion": tiny.assistant("the sea")}
    whole, cut = (tokenize_sft([row | {"unfinished": mark}], chat, 60).examples[0] for mark in (False, True))
    assert whole["input_ids"][-1] == whole["labels"][-1] == 2
    assert (cut["input_ids"], cut["labels"]) == (whole["input_ids"][:-1], whole["labels"][:-1])

    pair = {"id": "x", "prompt": tiny.user("what?"), "chosen": tiny.assistant("tea"), "rejected": tiny.assistant("the sea")}
    (plain,) = tokenize_preferences([pair], chat, 60).examples
    (marked,) = tokenize_preferences([pair | {"chosen_unfinished": False, "rejected_unfinished": True}], chat, 60).examples
    assert marked["chosen_ids"] == plain["chosen_ids"]
    assert marked["rejected_ids"] == plain["rejected_ids"][:-1]


def test_marks_of_unfinished_answers_are_read_from_the_table(bench: MakeBench, store: Path, model: str) -> None:
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "id": (pa.string(), ["a"]),
        "prompt": (tiny.MESSAGES, [tiny.user("what?")]),
        "completion": (tiny.MESSAGES, [tiny.assistant("the sea is deep")]),
    }
    losses = []
    for marks in ({}, {"unfinished": (pa.bool_(), [False])}, {"unfinished": (pa.bool_(), [True])}):
        spec = sft_spec(model, tiny.publish_table(store, columns | marks), epochs=1.0)
        here = bench(spec)
        run_sft(here.session, spec)
        losses.append(metrics_of(here)[0].values["loss"])
    assert losses[0] == losses[1] != losses[2]


def test_only_kept_rows_are_trained_on(bench: MakeBench, store: Path, model: str) -> None:
    pairs = [*PAIRS, ("why?", "same", "same"), ("why?", "sea " * 300, "short")]
    spec = dpo_spec(model, tiny.publish_pairs(store, pairs), epochs=1.0)
    finished = run_preference(bench(spec).session, spec)
    assert (finished.rows_in, finished.rows_out) == (10, 8)
    assert finished.dropped == {"identical_tokens": 1, "too_long": 1}


def test_no_rows_left_is_a_failure_with_the_counts(bench: MakeBench, store: Path, model: str) -> None:
    spec = dpo_spec(model, tiny.publish_pairs(store, [("why?", "same", "same")]))
    with pytest.raises(TaskFailure, match="identical_tokens") as raised:
        run_preference(bench(spec).session, spec)
    assert (raised.value.error.code, raised.value.error.failure_class) == ("DATASET.NO_ROWS_LEFT", "invalid")


def test_a_batch_larger_than_the_data_is_one_step_an_epoch(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), batch_size=64, micro_batch_size=4, epochs=3.0)
    here = bench(spec)
    run_sft(here.session, spec)
    assert [point.step for point in metrics_of(here)] == [1, 2, 3]


def test_a_batch_that_cannot_be_cut_is_refused(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), batch_size=6, micro_batch_size=4)
    with pytest.raises(TaskFailure, match="batch_size 6 is not a multiple of micro_batch_size 4"):
        run_sft(bench(spec).session, spec)


@pytest.mark.parametrize(("batch", "micro", "expected"), [(128, 8, 4), (6, 6, 3), (6, 3, 1), (5, 5, 1), (4, 1, None)])
def test_micro_batches_shrink_to_divisors(batch: int, micro: int, expected: int | None) -> None:
    assert training_memory.smaller_micro_batch(batch, micro, 1) == expected


def test_running_out_of_memory_goes_on_with_smaller_micro_batches(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), batch_size=8, micro_batch_size=8)
    here = bench(spec)
    tried: list[int] = []

    def run(size: int) -> Any:
        tried.append(size)
        if size > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return "done"

    assert training_memory.run_with_less_memory(here.session, spec, 1, run) == "done"
    assert tried == [8, 4, 2]
    assert [event.level for event in here.events() if isinstance(event, Log)] == ["warning", "warning"]

    def never(size: int) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(TaskFailure) as raised:
        training_memory.run_with_less_memory(here.session, spec, 1, never)
    assert (raised.value.error.code, raised.value.error.failure_class) == ("TRAIN.OUT_OF_MEMORY", "resources")


@pytest.mark.parametrize("kind", ["sft", "dpo"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_stopped_training_goes_on_to_equal_bytes(bench: MakeBench, store: Path, model: str, kind: str, dtype: str) -> None:
    run: Callable[..., Any]
    if kind == "sft":
        run, spec = run_sft, sft_spec(model, tiny.publish_sft(store, ANSWERS), dtype=dtype)
    else:
        run, spec = run_preference, dpo_spec(model, tiny.publish_pairs(store, PAIRS), dtype=dtype)  # type: ignore[assignment]
    straight = run(bench(spec).session, spec).output
    here = bench(spec)
    stop_at_step(here, 2)
    stopped = run(here.session, spec)
    assert (stopped.outcome, stopped.output) == ("checkpointed", None)
    assert [path.name for path in sorted((here.session.task.work_dir / "checkpoints").iterdir())] == [
        "checkpoint-2",
        "checkpoint-2.complete",
    ]
    again = bench(spec)
    assert run(again.session, spec).output == straight
    assert metrics_of(again)[0].step == 3
    assert not (again.session.task.work_dir / "checkpoints").exists()


def test_a_training_stopped_at_its_last_step_only_publishes_afterwards(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS))
    straight = run_sft(bench(spec).session, spec).output
    here = bench(spec)
    stop_at_step(here, 4)
    assert run_sft(here.session, spec).outcome == "checkpointed"
    assert run_sft(bench(spec).session, spec).output == straight


def test_a_stop_before_the_first_step_trains_nothing(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS))
    here = bench(spec)
    here.session.stop.requested = True
    assert run_sft(here.session, spec).outcome == "checkpointed"
    assert metrics_of(here) == []


def test_checkpoints_come_by_time_and_only_those_of_this_spec_are_used(bench: MakeBench, store: Path, model: str) -> None:
    table = tiny.publish_sft(store, ANSWERS)
    spec = sft_spec(model, table, checkpoint_seconds=1)
    here = bench(spec)
    slow_steps(here, seconds=0.6)
    stop_at_step(here, 4)
    run_sft(here.session, spec)
    phases = [event.name for event in here.events() if event.type == "phase"]
    assert phases.count("checkpointing") >= 2, "one by time, one by the stop"
    assert phases[-1] == "checkpointing"
    other = sft_spec(model, table, checkpoint_seconds=1, learning_rate=2e-3)
    there = bench(other)
    run_sft(there.session, other)
    assert metrics_of(there)[0].step == 1


def test_a_checkpoint_cut_short_is_not_used(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS))
    here = bench(spec)
    stop_at_step(here, 2)
    run_sft(here.session, spec)
    (here.session.task.work_dir / "checkpoints/checkpoint-2.complete").unlink()
    again = bench(spec)
    run_sft(again.session, spec)
    assert metrics_of(again)[0].step == 1


def test_a_loss_that_is_no_number_ends_the_training(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), learning_rate=1e30, max_grad_norm=1e30, warmup_ratio=0.0)
    with pytest.raises(TaskFailure) as raised:
        run_sft(bench(spec).session, spec)
    assert raised.value.error.code == "TRAIN.DIVERGED"


def test_gradient_checkpointing_changes_memory_not_results(bench: MakeBench, store: Path, model: str) -> None:
    table = tiny.publish_sft(store, ANSWERS)
    outputs = []
    for setting in (False, True):
        spec = sft_spec(model, table, gradient_checkpointing=setting)
        outputs.append(weights(open_artifact(store, run_sft(bench(spec).session, spec).output or "")))
    assert torch.allclose(*outputs, atol=1e-6)


def stop_at_step(bench: Bench, step: int) -> None:
    """As SIGTERM would, just before the step ends."""
    tell = bench.session.steps

    def steps(done: int, total: int) -> None:
        tell(done, total)
        if done == step:
            bench.session.stop.requested = True

    bench.session.steps = steps  # type: ignore[method-assign]


def slow_steps(bench: Bench, seconds: float) -> None:
    import time

    tell = bench.session.steps

    def steps(done: int, total: int) -> None:
        tell(done, total)
        time.sleep(seconds)

    bench.session.steps = steps  # type: ignore[method-assign]
