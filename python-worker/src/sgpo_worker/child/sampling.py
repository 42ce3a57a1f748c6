"""Drawing tokens without a global random state: a row's token at a step follows from its logits, its key and the step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor

_NUCLEUS_GUESS = 512


class KeyedSampler(LogitsProcessor):
    """Draws by temperature, top-p and inverse CDF, and leaves only the drawn token finite, so that greedy search then takes it.

    `keys`: one 128-bit number a row; `prompt_width`: padded tokens of the prompts; `temperature` > 0; 0 < `top_p` ≤ 1.
    """

    def __init__(self, *, keys: Sequence[int], prompt_width: int, max_new_tokens: int, temperature: float, top_p: float) -> None:
        uniform = [np.random.Generator(np.random.Philox(key=key)).random(max_new_tokens) for key in keys]
        self._uniform = torch.from_numpy(np.stack(uniform))
        self._prompt_width = prompt_width
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        step = input_ids.shape[1] - self._prompt_width
        probabilities = torch.softmax(scores.float() / self._temperature, dim=-1)
        if self._top_p < 1:
            keep_nucleus(probabilities, self._top_p)
        drawn = draw(probabilities, self._uniform[:, step].to(scores.device))
        only: torch.FloatTensor = torch.full_like(scores, -torch.inf)  # type: ignore[assignment]  # full_like keeps the dtype
        return only.scatter_(1, drawn[:, None], 0.0)  # type: ignore[return-value]  # scatter_ keeps the dtype


def keep_nucleus(probabilities: torch.Tensor, top_p: float) -> None:
    """Sets to 0, in place, what lies outside the nucleus: the most probable tokens whose mass first reaches `top_p`.

    `probabilities` [rows, vocabulary]. Tokens as probable as the least probable kept one are kept too: ties need no order.
    """
    vocabulary = probabilities.shape[1]
    width = min(_NUCLEUS_GUESS, vocabulary)
    top = probabilities.topk(width, dim=-1).values
    least = _least_kept(top, top_p)
    if width < vocabulary:
        # Flat distributions: the guess did not hold top_p of the mass, so these rows are sorted whole.
        flat = top.double().sum(dim=-1) < top_p
        if bool(flat.any()):
            least[flat] = _least_kept(probabilities[flat].sort(dim=-1, descending=True).values, top_p)
    probabilities.masked_fill_(probabilities < least[:, None], 0.0)


def draw(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Each row's token where the cumulative mass passes uniform × total mass. [rows, vocabulary], [rows] in [0, 1) → [rows]."""
    cumulative = probabilities.double().cumsum(dim=-1)
    total = cumulative[:, -1]
    # Rounding may lift uniform × total to total, where no token is left: stay below it.
    below = torch.nextafter(total, torch.zeros_like(total))
    target = torch.minimum(uniform * total, below)
    return torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]


def _least_kept(descending: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probability of the last token of the nucleus, from probabilities in descending order [rows, n]."""
    mass_before = descending.double().cumsum(dim=-1) - descending.double()
    kept = (mass_before < top_p).sum(dim=-1, keepdim=True)
    return descending.gather(1, kept - 1)[:, 0]
