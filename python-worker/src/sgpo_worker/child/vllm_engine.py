"""The engine on vLLM, for GPUs. Not deterministic: a row's tokens may change with the rows that run beside it.

Written against vLLM 0.32's offline `LLM` class, which is no dependency of the package and is imported when the engine is built.
The contract suite (`tests/child/test_engine_contract.py`) runs on it wherever it is installed; it has not run on a GPU yet.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgpo_worker.child.engine import AnswerRow, AnswerScore, Generation, PromptRow, Sampling
from sgpo_worker.specs import Dtype

_SEED_BITS = 63


class VllmEngine:
    """One `LLM` over all GPUs of the process."""

    name = "vllm"
    deterministic = False

    def __init__(self, folder: Path, dtype: Dtype, max_length: int) -> None:
        import torch

        # The engine must live and die with this process, or killing the process group's leader would leave it on the GPU.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        vllm: Any = importlib.import_module("vllm")

        self._vllm = vllm
        gpus = torch.cuda.device_count()
        self.device = "cuda" if gpus else "cpu"
        self._llm: Any = vllm.LLM(
            model=str(folder),
            dtype=dtype,
            max_model_len=max_length + 1,
            tensor_parallel_size=max(1, gpus),
            enable_prefix_caching=True,
            generation_config="vllm",
            trust_remote_code=False,
            load_format="safetensors",
            seed=0,
        )

    def generate(self, rows: Sequence[PromptRow], sampling: Sampling) -> list[Generation]:
        parameters = [
            self._vllm.SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_new_tokens,
                seed=row.key % (1 << _SEED_BITS),
                stop_token_ids=list(sampling.stop_ids),
                # The tokenizer's own end token must not stop an answer that stop_ids do not end.
                ignore_eos=True,
                detokenize=False,
            )
            for row in rows
        ]
        outputs = self._llm.generate([{"prompt_token_ids": row.prompt_ids} for row in rows], parameters, use_tqdm=False)
        return [_generation(list(output.outputs[0].token_ids), sampling.stop_ids) for output in outputs]

    def score(self, rows: Sequence[AnswerRow]) -> list[AnswerScore]:
        prompts = [{"prompt_token_ids": [*row.prompt_ids, *row.answer_ids, row.end_id]} for row in rows]
        # One token must be generated; prompt_logprobs=0 asks for the log-probability of the given tokens and of no others.
        parameters = self._vllm.SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        outputs = self._llm.generate(prompts, parameters, use_tqdm=False)
        return [_score(row, output.prompt_logprobs) for row, output in zip(rows, outputs, strict=True)]

    def close(self) -> None:
        del self._llm
        gc.collect()


def _generation(ids: list[int], stop_ids: tuple[int, ...]) -> Generation:
    if ids and ids[-1] in stop_ids:
        return Generation(token_ids=ids[:-1], finish_reason="stop")
    return Generation(token_ids=ids, finish_reason="length")


def _score(row: AnswerRow, prompt_logprobs: Sequence[Any]) -> AnswerScore:
    """`prompt_logprobs`: for each token of prompt, answer and end, a map from token id to an object with `logprob`."""
    targets = [*row.answer_ids, row.end_id]
    values = [float(at[token].logprob) for at, token in zip(prompt_logprobs[len(row.prompt_ids) :], targets, strict=True)]
    return AnswerScore(sum_logprob=sum(values[:-1]), end_logprob=values[-1])
