from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from sacrebleu import sentence_chrf

from sgpo_worker.artifacts import ArtifactNotFound, open_artifact
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.inference import InferenceRunner
from sgpo_worker.events import Progress
from sgpo_worker.specs import GenerateSpec, ScoreSpec

from . import tiny
from .conftest import Bench

MakeBench = Callable[..., Bench]
PROMPTS = [f"what is the {word}?" for word in ["red", "dog", "sky", "sea", "tea", "sun", "map", "ink"]]


def generate_spec(model: str, table: str, **changes: object) -> GenerateSpec:
    values: dict = {
        "model": model,
        "input": table,
        "temperature": 1.0,
        "top_p": 0.95,
        "max_new_tokens": 16,
        "max_length": 200,
        "seed": 3,
        "sample_index": 0,
        "block_rows": 4,
        "dtype": "float32",
    }
    return GenerateSpec(**{**values, **changes})


def score_spec(model: str, table: str, **changes: object) -> ScoreSpec:
    values: dict = {"model": model, "input": table, "max_length": 200, "block_rows": 4, "dtype": "float32", "measure_chrf": True}
    return ScoreSpec(**{**values, **changes})


def publish_answers(store: Path, rows: list[tuple[str, str, str | None]]) -> str:
    return tiny.publish_table(
        store,
        {
            "id": (pa.string(), [tiny.row_id(prompt) for prompt, _, _ in rows]),
            "pos": (pa.int64(), range(len(rows))),
            "messages": (tiny.MESSAGES, [tiny.user(prompt) for prompt, _, _ in rows]),
            "response": (pa.string(), [response for _, response, _ in rows]),
            "hypothesis": (pa.string(), [hypothesis for _, _, hypothesis in rows]),
        },
    )


def test_generation_is_repeatable_and_independent_of_shards(bench: MakeBench, store: Path, model: str) -> None:
    whole = generate_spec(model, tiny.publish_prompts(store, PROMPTS))
    first, again = (InferenceRunner().run(bench(whole).session, whole).output for _ in range(2))
    assert first == again
    runner, rows = InferenceRunner(), []
    for start in (0, 4):
        shard = generate_spec(model, tiny.publish_prompts(store, PROMPTS[start : start + 4], start))
        rows += tiny.read_table(store, runner.run(bench(shard).session, shard).output or "")
    assert rows == tiny.read_table(store, first or "")


@pytest.mark.parametrize("change", [{"seed": 4}, {"sample_index": 1}])
def test_other_seeds_and_samples_give_other_answers(bench: MakeBench, store: Path, model: str, change: dict[str, int]) -> None:
    runner = InferenceRunner()
    table = tiny.publish_prompts(store, PROMPTS)
    texts = []
    for spec in (generate_spec(model, table), generate_spec(model, table, **change)):
        texts.append([row["text"] for row in tiny.read_table(store, runner.run(bench(spec).session, spec).output or "")])
    assert all(one != other for one, other in zip(*texts, strict=True))


def test_generation_rows_account_for_every_input(bench: MakeBench, store: Path, model: str) -> None:
    prompts = [*PROMPTS[:2], "the sea " * 60, *PROMPTS[2:]]
    spec = generate_spec(model, tiny.publish_prompts(store, prompts), max_length=100)
    here = bench(spec)
    finished = InferenceRunner().run(here.session, spec)
    rows = tiny.read_table(store, finished.output or "")
    assert [row["id"] for row in rows] == [tiny.row_id(prompt) for prompt in prompts]
    assert (finished.rows_in, finished.rows_out, finished.dropped) == (9, 8, {"prompt_too_long": 1})
    dropped = rows.pop(2)
    assert dropped["drop_reason"] == "prompt_too_long"
    assert dropped["text"] is dropped["token_ids"] is dropped["finish_reason"] is None
    tokenizer = tiny.make_tokenizer()
    for row in rows:
        assert row["drop_reason"] is None
        assert row["completion_tokens"] == len(row["token_ids"])
        assert row["text"] == tokenizer.decode(row["token_ids"], skip_special_tokens=True)
        assert not {0, 2} & set(row["token_ids"])
        assert row["finish_reason"] == ("length" if row["completion_tokens"] == 16 else "stop")
    assert [event for event in here.events() if isinstance(event, Progress)][-1] == Progress(done=9, total=9, unit="rows")


def test_a_table_of_dropped_rows_only_is_no_failure(bench: MakeBench, store: Path, model: str) -> None:
    spec = generate_spec(model, tiny.publish_prompts(store, PROMPTS), max_length=10)
    finished = InferenceRunner().run(bench(spec).session, spec)
    assert (finished.rows_out, finished.dropped) == (0, {"prompt_too_long": 8})


def test_scores_account_for_every_input(bench: MakeBench, store: Path, model: str) -> None:
    answers = [
        ("what?", "the sea is deep", "the sea is blue"),
        ("what?", "", "x"),
        ("what?", "tea " * 200, None),
        ("why?", "blue", None),
    ]
    spec = score_spec(model, publish_answers(store, answers))
    finished = InferenceRunner().run(bench(spec).session, spec)
    rows = tiny.read_table(store, finished.output or "")
    assert [row["drop_reason"] for row in rows] == [None, "empty_response", "too_long", None]
    assert finished.dropped == {"empty_response": 1, "too_long": 1}
    assert rows[0]["chrf"] == pytest.approx(sentence_chrf("the sea is blue", ["the sea is deep"]).score)
    assert rows[3]["chrf"] is None
    tokenizer = tiny.make_tokenizer()
    assert rows[0]["tokens"] == len(ChatFormat(tokenizer, [2]).conversation(tiny.user("what?"), "the sea is deep").answer_ids)
    assert rows[0]["sum_logprob"] < 0 > rows[0]["end_logprob"]


def test_provenance_names_what_made_the_output(bench: MakeBench, store: Path, model: str) -> None:
    spec = generate_spec(model, tiny.publish_prompts(store, PROMPTS[:1]))
    provenance = InferenceRunner().run(bench(spec).session, spec).provenance
    assert {"engine", "device", "dtype", "batch_rule", "python", "torch", "transformers", "tokenizers"} <= set(provenance)
    assert len(provenance["tokenizer_sha256"]) == len(provenance["chat_template_sha256"]) == 64


def test_a_model_stays_warm_until_another_is_asked_for(bench: MakeBench, store: Path, model: str) -> None:
    runner = InferenceRunner()
    table = tiny.publish_prompts(store, PROMPTS[:1])
    assert runner.warm_model == ""
    spec = generate_spec(model, table)
    runner.run(bench(spec).session, spec)
    warm = runner._warm
    runner.run(bench(spec).session, spec)
    assert runner._warm is warm
    assert runner.warm_model == model
    other = tiny.publish_model(store, seed=1)
    spec = generate_spec(other, table)
    runner.run(bench(spec).session, spec)
    assert runner.warm_model == other


def test_bad_inputs_name_what_is_wrong(bench: MakeBench, store: Path, model: str) -> None:
    table = tiny.publish_prompts(store, PROMPTS[:1])
    cases = [
        (generate_spec(tiny.publish_model(store, chat_template=None), table), "MODEL.NO_CHAT_TEMPLATE"),
        (score_spec(model, table), "DATASET.WRONG_COLUMNS"),
        (generate_spec(model, model), "DATASET.UNREADABLE"),
    ]
    for spec, code in cases:
        with pytest.raises(TaskFailure) as raised:
            InferenceRunner().run(bench(spec).session, spec)
        assert raised.value.error.code == code
    spec = generate_spec("0" * 64, table)
    with pytest.raises(ArtifactNotFound):
        InferenceRunner().run(bench(spec).session, spec)


def test_nothing_but_safetensors_is_loaded(bench: MakeBench, store: Path) -> None:
    import torch

    from sgpo_worker.artifacts import publish
    from sgpo_worker.child.failures import find_error

    def pickled(folder: Path) -> None:
        tiny.write_model(folder)
        torch.save({}, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

    spec = generate_spec(publish(store, pickled), tiny.publish_prompts(store, PROMPTS[:1]))
    with pytest.raises(OSError) as raised:
        InferenceRunner().run(bench(spec).session, spec)
    assert find_error(raised.value).code == "MODEL.NO_SAFETENSORS"
    assert open_artifact(store, spec.model)
