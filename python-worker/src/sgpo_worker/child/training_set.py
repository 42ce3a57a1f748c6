"""Rows as a trainer takes them: token ids, the count of what was dropped, and the rows set aside for measuring."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
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
    """The id of each example's row: that of its prompt, which several rows may share."""
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

    Rows of one id stay together, so that what is measured was not half learnt: there may be a few more of them then.
    Raises `TaskFailure` DATASET.NO_ROWS_LEFT when nothing is left to train on.
    """
    kept = len(data.examples)
    wanted = 0 if parameters.validation is None else max(1, math.floor(parameters.validation.share * kept + 0.5))
    measured = _smallest_hashes(data.ids, parameters.seed, wanted)
    aside = sum(row_id in measured for row_id in data.ids)
    if kept <= aside:
        raise TaskFailure(
            "DATASET.NO_ROWS_LEFT",
            "invalid",
            f"of {data.rows_in} rows {kept} can be trained on, {aside} of them set aside for validation; dropped: {data.dropped}",
            f"Give more rows, or raise max_length (now {parameters.max_length}).",
        )
    rows = list(zip(data.ids, data.examples, strict=True))
    return Split(
        training=[example for row_id, example in rows if row_id not in measured],
        validation=[example for row_id, example in rows if row_id in measured],
    )


def _smallest_hashes(ids: Sequence[str], seed: int, wanted: int) -> set[str]:
    """The ids with the smallest hashes, as many as it takes for `wanted` rows."""
    rows_of = Counter(ids)
    taken: set[str] = set()
    rows = 0
    for row_id in sorted(rows_of, key=lambda row_id: hashlib.sha256(f"{seed}:{row_id}".encode()).hexdigest()):
        if rows >= wanted:
            break
        taken.add(row_id)
        rows += rows_of[row_id]
    return taken
