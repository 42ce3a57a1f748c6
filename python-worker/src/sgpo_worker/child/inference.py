"""Generate and score tasks: rows in, one engine call a block, one row out for every row in."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from sgpo_worker.artifacts import open_artifact, publish
from sgpo_worker.child.chat import ChatFormat, Conversation
from sgpo_worker.child.engine import AnswerRow, Engine, PromptRow, Sampling, row_key
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.model_folder import describe_tokenizer
from sgpo_worker.child.provenance import describe_run
from sgpo_worker.child.rows import GENERATIONS, SCORES, Row, blocks_of, read_rows, write_rows
from sgpo_worker.child.session import Session
from sgpo_worker.child.text_side import read_text_side
from sgpo_worker.events import Finished
from sgpo_worker.specs import Dtype, GenerateSpec, ScoreSpec

_ENGINES = ("transformers", "vllm")


def choose_engine() -> str:
    """SGPO_WORKER_ENGINE, or vLLM where it is installed beside a GPU, else transformers. Raises `TaskFailure` WORKER.CONFIG."""
    name = os.environ.get("SGPO_WORKER_ENGINE", "")
    if not name:
        return "vllm" if torch.cuda.is_available() and find_spec("vllm") is not None else "transformers"
    if name not in _ENGINES:
        raise TaskFailure(
            "WORKER.CONFIG",
            "infrastructure",
            f"SGPO_WORKER_ENGINE is {name!r}, which is none of {list(_ENGINES)}",
            "Set SGPO_WORKER_ENGINE to one of them, or leave it unset.",
        )
    return name


@dataclass(frozen=True, kw_only=True)
class WarmModel:
    """A loaded model, kept for the next task with the same key."""

    key: tuple[str, Dtype, str, int]
    digest: str
    engine: Engine
    chat: ChatFormat
    stop_ids: tuple[int, ...]
    text_side: dict[str, str]


class InferenceRunner:
    """Runs generate and score tasks one after another and keeps the last model."""

    def __init__(self) -> None:
        self._warm: WarmModel | None = None

    @property
    def warm_model(self) -> str:
        """Digest of the model in memory; empty when none."""
        return "" if self._warm is None else self._warm.digest

    def run(self, session: Session, spec: GenerateSpec | ScoreSpec) -> Finished:
        """Runs one task. Raises whatever goes wrong; nothing is published then."""
        columns = ["id", "pos", "messages"]
        if isinstance(spec, ScoreSpec):
            columns += ["response", "hypothesis"] if spec.measure_chrf else ["response"]
        session.phase("loading")
        rows = read_rows(open_artifact(session.store, spec.input), columns)
        warm = self._load(session.store, spec)
        session.phase("running")
        if isinstance(spec, GenerateSpec):
            table, schema = generate_rows(session, spec, warm, rows), GENERATIONS
        else:
            table, schema = score_rows(session, spec, warm, rows), SCORES
        session.phase("publishing")
        output = publish(session.store, lambda folder: write_rows(folder, table, schema))
        dropped = Counter(row["drop_reason"] for row in table if row["drop_reason"] is not None)
        return Finished(
            outcome="succeeded",
            output=output,
            rows_in=len(rows),
            rows_out=len(rows) - dropped.total(),
            dropped=dict(sorted(dropped.items())),
            provenance=describe_run(
                engine=warm.engine.name,
                device=warm.engine.device,
                dtype=spec.dtype,
                batch_rule=f"blocks of {spec.block_rows} rows by pos",
                text_side=warm.text_side,
            ),
        )

    def _load(self, store: Path, spec: GenerateSpec | ScoreSpec) -> WarmModel:
        name = choose_engine()
        # vLLM reserves memory for a greatest length; transformers takes any.
        key = (spec.model, spec.dtype, name, spec.max_length if name == "vllm" else 0)
        if self._warm is not None and self._warm.key == key:
            return self._warm
        if self._warm is not None:
            self._warm.engine.close()
            self._warm = None
        folder = open_artifact(store, spec.model)
        text = read_text_side(folder)
        chat = ChatFormat(text.tokenizer, text.stop_ids)
        self._warm = WarmModel(
            key=key,
            digest=spec.model,
            engine=_build_engine(name, folder, spec),
            chat=chat,
            stop_ids=tuple(text.stop_ids),
            text_side=describe_tokenizer(folder, text),
        )
        return self._warm


def _build_engine(name: str, folder: Path, spec: GenerateSpec | ScoreSpec) -> Engine:
    if name == "vllm":
        from sgpo_worker.child.vllm_engine import VllmEngine

        return VllmEngine(folder, spec.dtype, spec.max_length)
    from sgpo_worker.child.transformers_engine import TransformersEngine

    return TransformersEngine(folder, spec.dtype)


def generate_rows(session: Session, spec: GenerateSpec, warm: WarmModel, rows: list[Row]) -> list[Row]:
    """The output table of a `GenerateSpec`, in the order of `rows`."""
    sampling = Sampling(
        temperature=spec.temperature, top_p=spec.top_p, max_new_tokens=spec.max_new_tokens, stop_ids=warm.stop_ids
    )
    output: dict[int, Row] = {}
    for block in blocks_of(rows, spec.block_rows):
        prompts: dict[int, PromptRow] = {}
        for index in block:
            row = rows[index]
            prompt_ids = warm.chat.prompt_ids(row["messages"])
            if len(prompt_ids) + spec.max_new_tokens > spec.max_length:
                output[index] = _generation_row(row, prompt_tokens=len(prompt_ids), drop_reason="prompt_too_long")
            else:
                prompts[index] = PromptRow(prompt_ids=prompt_ids, key=row_key(spec.seed, row["id"], spec.sample_index))
        generations = warm.engine.generate(list(prompts.values()), sampling) if prompts else []
        for (index, prompt), generation in zip(prompts.items(), generations, strict=True):
            output[index] = _generation_row(
                rows[index],
                prompt_tokens=len(prompt.prompt_ids),
                text=warm.chat.decode(generation.token_ids),
                token_ids=generation.token_ids,
                finish_reason=generation.finish_reason,
                completion_tokens=len(generation.token_ids),
            )
        session.rows(len(output), len(rows))
    return [output[index] for index in range(len(rows))]


def score_rows(session: Session, spec: ScoreSpec, warm: WarmModel, rows: list[Row]) -> list[Row]:
    """The output table of a `ScoreSpec`, in the order of `rows`."""
    output: dict[int, Row] = {}
    for block in blocks_of(rows, spec.block_rows):
        answers: dict[int, Conversation] = {}
        for index in block:
            answer = warm.chat.conversation(rows[index]["messages"], rows[index]["response"])
            if not answer.answer_ids:
                output[index] = _score_row(rows[index], drop_reason="empty_response")
            elif answer.tokens > spec.max_length:
                output[index] = _score_row(rows[index], drop_reason="too_long")
            else:
                answers[index] = answer
        scores = warm.engine.score([_answer_row(answer) for answer in answers.values()]) if answers else []
        for (index, answer), score in zip(answers.items(), scores, strict=True):
            output[index] = _score_row(
                rows[index],
                sum_logprob=score.sum_logprob,
                tokens=len(answer.answer_ids),
                end_logprob=score.end_logprob,
                chrf=_chrf(rows[index]) if spec.measure_chrf else None,
            )
        session.rows(len(output), len(rows))
    return [output[index] for index in range(len(rows))]


def _answer_row(answer: Conversation) -> AnswerRow:
    return AnswerRow(prompt_ids=answer.prompt_ids, answer_ids=answer.answer_ids, end_id=answer.end_id)


def _chrf(row: Row) -> float | None:
    """chrF, 0…100, of the hypothesis against the response; null for no hypothesis."""
    if row["hypothesis"] is None:
        return None
    from sacrebleu import sentence_chrf

    return float(sentence_chrf(row["hypothesis"], [row["response"]]).score)


def _generation_row(row: Row, **values: object) -> Row:
    return {**dict.fromkeys(GENERATIONS.names), "id": row["id"], "pos": row["pos"], **values}


def _score_row(row: Row, **values: object) -> Row:
    return {**dict.fromkeys(SCORES.names), "id": row["id"], "pos": row["pos"], **values}
