"""The engine on transformers: deterministic on one device type, with or without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    Cache,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from sgpo_worker.child.engine import AnswerRow, AnswerScore, Generation, PromptRow, Sampling
from sgpo_worker.child.model_folder import load_model
from sgpo_worker.child.sampling import KeyedSampler
from sgpo_worker.specs import Dtype

_SCORE_BATCH_ROWS = 8
_HEAD_TOKENS = 512


def pick_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


class TransformersEngine:
    """`model.generate` with greedy search over a sampler of our own, and a scorer that projects only the answers' positions."""

    name = "transformers"
    deterministic = True

    def __init__(self, folder: Path, dtype: Dtype) -> None:
        device = pick_device()
        self.device = str(device)
        self._model = load_model(folder, dtype).to(device)
        # generate() fills what its argument leaves open from here: no sampling default of the folder (penalties, top-k) may stay.
        self._model.generation_config = GenerationConfig()
        self._head_is_plain = _head_is_plain(self._model)
        # Recurrent models keep a state that cannot be cut down to some of the rows.
        self._compacts = not self._model._is_stateful

    @torch.inference_mode()
    def generate(self, rows: Sequence[PromptRow], sampling: Sampling) -> list[Generation]:
        batch = _DecodingBatch(rows, sampling, self._model.device)
        while batch.active:
            output = self._model.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.mask,
                past_key_values=batch.cache,
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=batch.tokens_left,
                    eos_token_id=list(sampling.stop_ids),
                    pad_token_id=batch.pad_id,
                    return_dict_in_generate=True,
                ),
                logits_processor=batch.processors(),
                stopping_criteria=StoppingCriteriaList([_HalfFinished(sampling.stop_ids)] if self._compacts else []),
            )
            batch.advance(output.sequences, output.past_key_values)
        return batch.generations()

    @torch.inference_mode()
    def score(self, rows: Sequence[AnswerRow]) -> list[AnswerScore]:
        # Rows of similar length share a forward pass; the grouping follows from the block alone.
        order = sorted(range(len(rows)), key=lambda index: len(rows[index].prompt_ids) + len(rows[index].answer_ids))
        scores: dict[int, AnswerScore] = {}
        for start in range(0, len(order), _SCORE_BATCH_ROWS):
            indices = order[start : start + _SCORE_BATCH_ROWS]
            scores.update(zip(indices, self._score_batch([rows[index] for index in indices]), strict=True))
        return [scores[index] for index in range(len(rows))]

    def close(self) -> None:
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _score_batch(self, rows: Sequence[AnswerRow]) -> list[AnswerScore]:
        sequences = [row.prompt_ids + row.answer_ids for row in rows]
        width = max(len(sequence) for sequence in sequences)
        device = self._model.device
        input_ids = torch.tensor([sequence + [0] * (width - len(sequence)) for sequence in sequences], device=device)
        mask = torch.tensor([[1] * len(sequence) + [0] * (width - len(sequence)) for sequence in sequences], device=device)
        # The token at p + 1 is predicted at p: from the prompt's last token to the answer's last one, which predicts the end.
        row_of = [index for index, row in enumerate(rows) for _ in range(len(row.answer_ids) + 1)]
        position_of = [p for row in rows for p in range(len(row.prompt_ids) - 1, len(row.prompt_ids) + len(row.answer_ids))]
        targets = torch.tensor([token for row in rows for token in (*row.answer_ids, row.end_id)], device=device)
        if self._head_is_plain:
            states = self._model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False).last_hidden_state
            logprobs = self._project(states[row_of, position_of], targets)
        else:
            logits = self._model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits
            logprobs = _pick(logits[row_of, position_of], targets)
        values = logprobs.double().cpu()
        scores: list[AnswerScore] = []
        for part in values.split([len(row.answer_ids) + 1 for row in rows]):
            scores.append(AnswerScore(sum_logprob=float(part[:-1].sum()), end_logprob=float(part[-1])))
        return scores

    def _project(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [n] of `targets` [n] from hidden states [n, hidden], a bounded number of logits at a time."""
        head = self._model.get_output_embeddings()
        chunks = zip(states.split(_HEAD_TOKENS), targets.split(_HEAD_TOKENS), strict=True)
        return torch.cat([_pick(head(chunk), target) for chunk, target in chunks])


class _DecodingBatch:
    """A block while it is generated: rows that reached a stop token leave, so that the others do not wait for nothing.

    Which rows share a step follows from the block alone, so results stay repeatable.
    """

    def __init__(self, rows: Sequence[PromptRow], sampling: Sampling, device: torch.device) -> None:
        # Any id does as padding: the mask is made from lengths, never from ids, since padding may equal a stop token.
        self.pad_id = sampling.stop_ids[0]
        self.active = list(range(len(rows)))
        self.cache: Cache | None = None
        self._rows = rows
        self._sampling = sampling
        self._width = max(len(row.prompt_ids) for row in rows)
        padding = [self._width - len(row.prompt_ids) for row in rows]
        ids = [[self.pad_id] * pad + row.prompt_ids for pad, row in zip(padding, rows, strict=True)]
        self.input_ids = torch.tensor(ids, device=device)
        self.mask = torch.tensor([[0] * pad + [1] * (self._width - pad) for pad in padding], device=device)
        self._finished: dict[int, Generation] = {}

    @property
    def tokens_left(self) -> int:
        return self._sampling.max_new_tokens - (self.input_ids.shape[1] - self._width)

    def processors(self) -> LogitsProcessorList:
        """The sampler for the rows that are left; none for greedy search."""
        if self._sampling.temperature == 0:
            return LogitsProcessorList()
        sampler = KeyedSampler(
            keys=[self._rows[index].key for index in self.active],
            prompt_width=self._width,
            max_new_tokens=self._sampling.max_new_tokens,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
        )
        return LogitsProcessorList([sampler])

    def advance(self, sequences: torch.Tensor, cache: Cache | None) -> None:
        """Takes the longer sequences [active rows, tokens] and keeps what is not finished."""
        kept: list[int] = []
        at_limit = sequences.shape[1] - self._width == self._sampling.max_new_tokens
        for position, ids in enumerate(sequences[:, self._width :].tolist()):
            generation = _cut(ids, self._sampling.stop_ids)
            if generation.finish_reason == "stop" or at_limit:
                self._finished[self.active[position]] = generation
            else:
                kept.append(position)
        self.active = [self.active[position] for position in kept]
        if kept:
            indices = torch.tensor(kept, device=sequences.device)
            new = sequences.shape[1] - self.input_ids.shape[1]
            self.input_ids = sequences[indices]
            self.mask = torch.nn.functional.pad(self.mask[indices], (0, new), value=1)
            self.cache = cache
            if cache is not None:
                cache.batch_select_indices(indices)

    def generations(self) -> list[Generation]:
        """All rows, in their order; to be called when none is active."""
        return [self._finished[index] for index in range(len(self._rows))]


class _HalfFinished(StoppingCriteria):
    """Interrupts generation when half of the rows that it started with have reached a stop token."""

    def __init__(self, stop_ids: Sequence[int]) -> None:
        self._stop_ids = torch.tensor(stop_ids)
        self._done: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: object) -> torch.BoolTensor:
        done = torch.isin(input_ids[:, -1], self._stop_ids.to(input_ids.device))
        self._done = done if self._done is None else self._done | done
        stop: torch.BoolTensor = self._done | (self._done.sum() * 2 >= len(done))  # type: ignore[assignment]  # bool | bool
        return stop


def _pick(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-softmax in float32 at `targets`: [n, vocabulary], [n] → [n]."""
    return torch.log_softmax(logits.float(), dim=-1).gather(1, targets[:, None])[:, 0]


def _cut(ids: list[int], stop_ids: tuple[int, ...]) -> Generation:
    for index, token in enumerate(ids):
        if token in stop_ids:
            return Generation(token_ids=ids[:index], finish_reason="stop")
    return Generation(token_ids=ids, finish_reason="length")


@torch.inference_mode()
def _head_is_plain(model: PreTrainedModel) -> bool:
    """True when the logits are the output embedding of the last hidden state, with no scaling or capping after it."""
    input_ids = torch.arange(1, 5, device=model.device)[None]
    logits = model(input_ids=input_ids, use_cache=False).logits
    projected = model.get_output_embeddings()(model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state)
    return bool(torch.allclose(logits, projected))
