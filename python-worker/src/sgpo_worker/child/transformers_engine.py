"""The engine on transformers: deterministic on one device type, with or without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel

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

    @torch.inference_mode()
    def generate(self, rows: Sequence[PromptRow], sampling: Sampling) -> list[Generation]:
        width = max(len(row.prompt_ids) for row in rows)
        # Any id does as padding: the mask is made from lengths, never from ids, since padding may equal a stop token.
        pad_id = sampling.stop_ids[0]
        input_ids = torch.tensor([[pad_id] * (width - len(row.prompt_ids)) + row.prompt_ids for row in rows])
        mask = torch.tensor([[0] * (width - len(row.prompt_ids)) + [1] * len(row.prompt_ids) for row in rows])
        processors = LogitsProcessorList()
        if sampling.temperature > 0:
            processors.append(
                KeyedSampler(
                    keys=[row.key for row in rows],
                    prompt_width=width,
                    max_new_tokens=sampling.max_new_tokens,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                )
            )
        output = self._model.generate(
            input_ids=input_ids.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=sampling.max_new_tokens,
                eos_token_id=list(sampling.stop_ids),
                pad_token_id=pad_id,
            ),
            logits_processor=processors,
        )
        return [_cut(ids, sampling.stop_ids) for ids in output[:, width:].tolist()]

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
