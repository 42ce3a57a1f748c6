"""What generates and scores: one interface over token ids, so that no engine sees a chat template, a table or an artifact."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to draw answers. temperature 0 is greedy; top_p 1 keeps the whole distribution."""

    temperature: float
    top_p: float
    max_new_tokens: int
    stop_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """A prompt and the number its randomness comes from (`row_key`)."""

    prompt_ids: list[int]
    key: int


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A drawn answer, without its end token. `length` means that max_new_tokens came before a stop token."""

    token_ids: list[int]
    finish_reason: Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """An answer to score: the model reads prompt_ids + answer_ids + [end_id]; answer_ids is not empty."""

    prompt_ids: list[int]
    answer_ids: list[int]
    end_id: int


@dataclass(frozen=True, kw_only=True)
class AnswerScore:
    """Natural log-probabilities given everything before: the sum over the answer's tokens, and that of the end token."""

    sum_logprob: float
    end_logprob: float


class Engine(Protocol):
    """A model in memory. A call takes the rows of one block and answers in their order."""

    name: str
    deterministic: bool
    """True when equal calls give equal bytes."""
    device: str

    def generate(self, rows: Sequence[PromptRow], sampling: Sampling) -> list[Generation]: ...

    def score(self, rows: Sequence[AnswerRow]) -> list[AnswerScore]: ...

    def close(self) -> None:
        """Gives the memory back. The engine is of no use afterwards."""


def row_key(seed: int, row_id: str, sample_index: int) -> int:
    """128 bits that name a row's random numbers: sha256 of (seed, row id, sample index)."""
    name = f"{seed}\n{sample_index}\n{row_id}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:16], "big")
