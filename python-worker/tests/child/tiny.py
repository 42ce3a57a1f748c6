"""A random two-layer Llama with a small ChatML tokenizer: real code paths, no download, milliseconds a step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sgpo_worker.artifacts import publish
from sgpo_worker.specs import TrainingParameters

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SENTENCES = [
    "user system assistant the red dog runs under a blue sky and drinks tea",
    "what is the capital of France? Paris is the capital of France.",
    "write one sentence about the sea; the sea is deep, cold and blue.\n\n",
]
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def make_tokenizer(
    chat_template: str | None = CHATML,
    *,
    special: Sequence[str] = SPECIAL,
    bos: str | None = SPECIAL[1],
    eos: str | None = SPECIAL[2],
    pad: str | None = SPECIAL[2],
    leading_bos: bool = False,
) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    if leading_bos and bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, special.index(bos))])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad, chat_template=chat_template
    )


def write_model(
    folder: Path, *, seed: int = 0, chat_template: str | None = CHATML, scale: float = 1.0, **tokenizer_options: Any
) -> None:
    tokenizer = make_tokenizer(chat_template, **tokenizer_options)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            initializer_range=0.02 * scale,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # Defaults that must not leak into the worker's own sampling; two ends of a turn, where the tokenizer is the usual one.
    ends = tokenizer.eos_token_id if tokenizer_options else [2, 0]
    model.generation_config.update(eos_token_id=ends, repetition_penalty=1.5, temperature=0.1, top_k=3, do_sample=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def publish_model(store: Path, **options: Any) -> str:
    return publish(store, lambda folder: write_model(folder, **options))


def publish_table(store: Path, columns: dict[str, tuple[pa.DataType, Sequence[Any]]]) -> str:
    table = pa.table({name: pa.array(list(values), type=kind) for name, (kind, values) in columns.items()})
    return publish(store, lambda folder: pq.write_table(table, folder / "rows.parquet"))


def row_id(text: str) -> str:
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()[:16]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def publish_prompts(store: Path, prompts: Sequence[str], first_pos: int = 0) -> str:
    return publish_table(
        store,
        {
            "id": (pa.string(), [row_id(prompt) for prompt in prompts]),
            "pos": (pa.int64(), range(first_pos, first_pos + len(prompts))),
            "messages": (MESSAGES, [user(prompt) for prompt in prompts]),
        },
    )


def publish_sft(store: Path, rows: Sequence[tuple[str, str]]) -> str:
    return publish_table(
        store,
        {
            "id": (pa.string(), [row_id(prompt) for prompt, _ in rows]),
            "prompt": (MESSAGES, [user(prompt) for prompt, _ in rows]),
            "completion": (MESSAGES, [assistant(answer) for _, answer in rows]),
        },
    )


def publish_dialogues(store: Path, dialogues: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Conversations as (role, content) turns."""
    return publish_table(
        store,
        {
            "id": (pa.string(), [row_id(str(turns)) for turns in dialogues]),
            "messages": (MESSAGES, [[{"role": role, "content": content} for role, content in turns] for turns in dialogues]),
        },
    )


def publish_pairs(store: Path, rows: Sequence[tuple[str, str, str]]) -> str:
    return publish_table(
        store,
        {
            "id": (pa.string(), [row_id(prompt) for prompt, _, _ in rows]),
            "prompt": (MESSAGES, [user(prompt) for prompt, _, _ in rows]),
            "chosen": (MESSAGES, [assistant(chosen) for _, chosen, _ in rows]),
            "rejected": (MESSAGES, [assistant(rejected) for _, _, rejected in rows]),
        },
    )


def read_table(store: Path, digest: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(store / digest[:2] / digest / "rows.parquet").to_pylist()
    return rows


def parameters(**changes: Any) -> TrainingParameters:
    values: dict[str, Any] = {
        "epochs": 2.0,
        "learning_rate": 1e-3,
        "batch_size": 4,
        "micro_batch_size": 2,
        "max_length": 128,
        "warmup_ratio": 0.1,
        "scheduler": "cosine",
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "seed": 7,
        "dtype": "float32",
        "save_dtype": "float32",
        "checkpoint_seconds": 0,
        "gradient_checkpointing": False,
    }
    return TrainingParameters(**{**values, **changes})
