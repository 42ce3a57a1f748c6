"""What needs no vLLM: how its answers are read. The engine itself is in the contract suite wherever vLLM is installed."""

from __future__ import annotations

from dataclasses import dataclass

from sgpo_worker.child.engine import AnswerRow, AnswerScore, Generation
from sgpo_worker.child.vllm_engine import _generation, _score


@dataclass
class Logprob:
    logprob: float


def test_a_stop_token_is_cut_off_and_told() -> None:
    assert _generation([5, 6, 2], (0, 2)) == Generation(token_ids=[5, 6], finish_reason="stop")
    assert _generation([5, 6, 7], (0, 2)) == Generation(token_ids=[5, 6, 7], finish_reason="length")


def test_prompt_logprobs_are_split_into_answer_and_end() -> None:
    row = AnswerRow(prompt_ids=[1, 2], answer_ids=[3, 4], end_id=9)
    given = [None, {2: Logprob(-8.0)}, {3: Logprob(-1.0)}, {7: Logprob(0.0), 4: Logprob(-2.0)}, {9: Logprob(-0.5)}]
    assert _score(row, given) == AnswerScore(sum_logprob=-3.0, end_logprob=-0.5)
