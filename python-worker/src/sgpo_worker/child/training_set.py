"""Rows as a trainer takes them: token ids, the count of what was dropped, and the rows set aside for measuring."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.specs import TrainingParameters

Example = Mapping[str, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Token ids of the kept rows, in the table's order, and the count of the others by reason."""

    examples: list[Example]
    ids: list[str]
    """The id of each example's row."""
    dropped: dict[str, int]

    @property
    def rows_in(self) -> int:
        return len(self.examples) + sum(self.dropped.values())


@dataclass(frozen=True, kw_only=True)
class Split:
    """The rows that are trained on and those that are only measured, both in the table's order."""

    training: list[Example]
    validation: list[Example]


def split_rows(data: TrainingSet, parameters: TrainingParameters) -> Split:
    """Sets aside the rows with the smallest sha256 of "<seed>:<id>": `share` of the kept ones, to the nearest, at least one.

    Raises `TaskFailure` DATASET.NO_ROWS_LEFT when nothing is left to train on.
    """
    kept = len(data.examples)
    aside = 0 if parameters.validation is None else max(1, math.floor(parameters.validation.share * kept + 0.5))
    if kept <= aside:
        raise TaskFailure(
            "DATASET.NO_ROWS_LEFT",
            "invalid",
            f"of {data.rows_in} rows {kept} can be trained on, {aside} of them set aside for validation; dropped: {data.dropped}",
            f"Give more rows, or raise max_length (now {parameters.max_length}).",
        )
    order = sorted(range(kept), key=lambda index: hashlib.sha256(f"{parameters.seed}:{data.ids[index]}".encode()).hexdigest())
    measured = set(order[:aside])
    return Split(
        training=[example for index, example in enumerate(data.examples) if index not in measured],
        validation=[data.examples[index] for index in sorted(measured)],
    )
