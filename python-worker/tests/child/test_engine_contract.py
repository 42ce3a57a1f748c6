"""What every engine promises; runs on each engine that is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.engine import AnswerRow, Engine, PromptRow, Sampling, row_key
from sgpo_worker.child.transformers_engine import TransformersEngine


def build_vllm(folder: Path) -> Engine:
    from sgpo_worker.child.vllm_engine import VllmEngine

    return VllmEngine(folder, "float32", 256)


BUILDERS: dict[str, Callable[[Path], Engine]] = {"transformers": lambda folder: TransformersEngine(folder, "float32")}
if find_spec("vllm") is not None:
    BUILDERS["vllm"] = build_vllm

PROMPTS = [[1, 40, 41, 42], [1, 50], [1, 60, 61, 62, 63, 64, 65]]


@pytest.fixture(scope="module")
def folder(store: Path, model: str) -> Path:
    return open_artifact(store, model)


@pytest.fixture(scope="module", params=list(BUILDERS))
def engine(request: pytest.FixtureRequest, folder: Path) -> Engine:
    return BUILDERS[request.param](folder)


def rows(seed: int = 1) -> list[PromptRow]:
    return [PromptRow(prompt_ids=ids, key=row_key(seed, f"row{index}", 0)) for index, ids in enumerate(PROMPTS)]


def sampling(**changes: object) -> Sampling:
    values: dict = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 24, "stop_ids": (0, 2)}
    return Sampling(**{**values, **changes})


def plain_logits(folder: Path, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([ids])).logits[0].double()


def test_greedy_answers_are_those_of_a_plain_forward_pass(engine: Engine, folder: Path) -> None:
    for row, generation in zip(rows(), engine.generate(rows(), sampling(temperature=0.0, max_new_tokens=6)), strict=True):
        ids = list(row.prompt_ids)
        for token in generation.token_ids:
            assert token == int(plain_logits(folder, ids)[-1].argmax())
            ids.append(token)


def test_an_answer_ends_before_a_stop_token_or_at_the_limit(engine: Engine, folder: Path) -> None:
    first = int(plain_logits(folder, PROMPTS[0])[-1].argmax())
    greedy = sampling(temperature=0.0, max_new_tokens=5)
    stopped = engine.generate(rows()[:1], sampling(temperature=0.0, max_new_tokens=5, stop_ids=(2, first)))[0]
    assert (stopped.finish_reason, stopped.token_ids) == ("stop", [])
    endless = engine.generate(rows()[:1], greedy)[0]
    assert (endless.finish_reason, len(endless.token_ids)) == ("length", 5)


def test_rows_that_end_early_change_nothing_for_the_others(engine: Engine, folder: Path) -> None:
    if not engine.deterministic:
        pytest.skip("a row may change with its neighbours on this engine")
    many = [PromptRow(prompt_ids=[1, 30 + index, 99 - index], key=row_key(5, f"row{index}", 0)) for index in range(12)]
    often = tuple(range(100, 140))
    together = engine.generate(many, sampling(max_new_tokens=40, stop_ids=often))
    lengths = {len(generation.token_ids) for generation in together}
    assert len(lengths) > 4
    assert together == [engine.generate([row], sampling(max_new_tokens=40, stop_ids=often))[0] for row in many]


def test_equal_keys_draw_equal_answers_and_other_keys_others(engine: Engine) -> None:
    assert engine.generate(rows(1), sampling()) == engine.generate(rows(1), sampling())
    assert engine.generate(rows(1), sampling()) != engine.generate(rows(2), sampling())


def test_a_tiny_nucleus_is_greedy(engine: Engine) -> None:
    assert engine.generate(rows(), sampling(top_p=1e-6)) == engine.generate(rows(), sampling(temperature=0.0))


def test_scores_are_those_of_a_plain_forward_pass(engine: Engine, folder: Path) -> None:
    answers = [
        AnswerRow(prompt_ids=prompt, answer_ids=answer, end_id=2)
        for prompt, answer in zip(PROMPTS, ([70, 71, 72], [80], [90, 91]), strict=True)
    ]
    for row, score in zip(answers, engine.score(answers), strict=True):
        ids = [*row.prompt_ids, *row.answer_ids, row.end_id]
        logprobs = torch.log_softmax(plain_logits(folder, ids), dim=-1)
        picked = [float(logprobs[at - 1, ids[at]]) for at in range(len(row.prompt_ids), len(ids))]
        assert score.sum_logprob == pytest.approx(sum(picked[:-1]), abs=1e-4)
        assert score.end_logprob == pytest.approx(picked[-1], abs=1e-4)


def test_row_keys_depend_on_every_part() -> None:
    assert len({row_key(1, "a", 0), row_key(2, "a", 0), row_key(1, "b", 0), row_key(1, "a", 1), row_key(1, "0\na", 1)}) == 5
