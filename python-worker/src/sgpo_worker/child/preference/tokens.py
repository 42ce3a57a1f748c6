"""Pairs as token ids of our own making, as sampling would see them."""

from __future__ import annotations

from collections import Counter

from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.rows import Row, answer_text
from sgpo_worker.child.training_set import Example, TrainingSet


def tokenize_preferences(rows: list[Row], chat: ChatFormat, max_length: int) -> TrainingSet:
    """{prompt, chosen, rejected} rows → `prompt_ids`, `chosen_ids`, `rejected_ids`. Drops "too_long" and "identical_tokens".

    A side marked as unfinished gets no end token.
    """
    examples: list[Example] = []
    ids: list[str] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        chosen = chat.conversation(row["prompt"], answer_text(row, "chosen"))
        rejected = chat.conversation(row["prompt"], answer_text(row, "rejected"))
        if max(chosen.tokens, rejected.tokens) > max_length:
            dropped["too_long"] += 1
        elif chosen.answer_ids == rejected.answer_ids:
            dropped["identical_tokens"] += 1
        else:
            examples.append(
                {
                    "prompt_ids": chosen.prompt_ids,
                    "chosen_ids": chosen.learnt_ids(unfinished=bool(row.get("chosen_unfinished"))),
                    "rejected_ids": rejected.learnt_ids(unfinished=bool(row.get("rejected_unfinished"))),
                }
            )
            ids.append(row["id"])
    return TrainingSet(examples=examples, ids=ids, dropped=dict(dropped))
