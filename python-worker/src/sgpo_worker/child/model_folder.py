"""Model folders: how they are read (safetensors only, no remote code) and how they are written (equal inputs, equal bytes)."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.specs import Dtype

TORCH_DTYPES: dict[Dtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NOT_TOKENIZER_FILES = ("config.json", "generation_config.json", "manifest.json", "training_statistics.json")
_NAME_KEYS = ("_name_or_path", "_model_name_or_path")
_TOKENIZER_SUFFIXES = (".json", ".txt", ".jinja", ".model")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return tokenizer


def load_model(folder: Path, dtype: Dtype) -> PreTrainedModel:
    """The weights of a model folder on the CPU, in evaluation mode."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, dtype=TORCH_DTYPES[dtype], use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    return model.eval()


def read_stop_ids(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every id that ends an answer: those of generation_config.json, else of config.json, and the tokenizer's own.

    Raises `TaskFailure` MODEL.INVALID_FOLDER when there is no such id.
    """
    ids: list[int] = []
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if not ids and path.is_file():
            value = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            ids = [] if value is None else [value] if isinstance(value, int) else list(value)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    if not ids:
        raise TaskFailure(
            "MODEL.INVALID_FOLDER",
            "invalid",
            "eos_token_id is set neither in generation_config.json nor in config.json, and the tokenizer has no end token",
            "Set eos_token_id in generation_config.json to the ids of the tokens that end a turn.",
        )
    return sorted(ids)


@dataclass(frozen=True, kw_only=True)
class TextSide:
    """How a model reads and ends turns: what is saved beside its weights."""

    tokenizer: PreTrainedTokenizerBase
    """With a pad token, and with the chat template that is used."""
    stop_ids: list[int]
    """Every id that ends an answer, in rising order."""
    template: str
    """"own", or the name of the template that was given to the tokenizer."""

    @property
    def rewritten(self) -> bool:
        """True when the tokenizer is no longer that of the model's folder."""
        return self.template != "own"


def describe_tokenizer(folder: Path, text: TextSide) -> dict[str, str]:
    """Provenance of the text side: `chat_template` ("own" or its name), sha256 of its text and of `folder`'s tokenizer.json."""
    facts = {"chat_template": text.template}
    path = folder / "tokenizer.json"
    if path.is_file():
        facts["tokenizer_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if isinstance(text.tokenizer.chat_template, str):
        facts["chat_template_sha256"] = hashlib.sha256(text.tokenizer.chat_template.encode()).hexdigest()
    return facts


def save_model_folder(model: PreTrainedModel, text: TextSide, out: Path, dtype: Dtype, *, source: Path | None = None) -> None:
    """Writes config.json, model.safetensors, generation_config.json and the tokenizer's files into `out`.

    With `source` (the folder the model was loaded from) the configuration and, unless it was rewritten, the tokenizer's files are
    taken from there, so that nothing a trainer did to them in memory reaches the result. The model's weights are converted to
    `dtype` in place.
    """
    out.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config) if source is None else AutoConfig.from_pretrained(source, trust_remote_code=False)
    model.to(TORCH_DTYPES[dtype])
    config.dtype = TORCH_DTYPES[dtype]
    config.name_or_path = ""
    model.config = config
    if source is None:
        generation_config = GenerationConfig(bos_token_id=config.bos_token_id, pad_token_id=text.tokenizer.pad_token_id)
    else:
        generation_config = _read_generation_config(source)
    if source is None or text.rewritten:
        text.tokenizer.name_or_path = ""
        text.tokenizer.save_pretrained(out)
        _strip_names(out / "tokenizer_config.json")
    else:
        _copy_tokenizer(source, out)
    if generation_config.pad_token_id is None:
        generation_config.pad_token_id = text.tokenizer.pad_token_id
    generation_config.eos_token_id = text.stop_ids
    model.generation_config = generation_config
    model.save_pretrained(out, max_shard_size="1TB")
    _strip_names(out / "config.json")
    for path in out.iterdir():
        # The weights' writer makes files that only their owner may read; whoever serves the store may be somebody else.
        path.chmod(0o755 if path.is_dir() else 0o644)


def _read_generation_config(folder: Path) -> GenerationConfig:
    if (folder / "generation_config.json").is_file():
        config: GenerationConfig = GenerationConfig.from_pretrained(folder)
        return config
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))


def _copy_tokenizer(source: Path, out: Path) -> None:
    for path in sorted(source.iterdir()):
        known = path.suffix in _TOKENIZER_SUFFIXES and path.name not in _NOT_TOKENIZER_FILES
        if path.is_file() and known and not path.name.endswith(".index.json"):
            shutil.copyfile(path, out / path.name)


def _strip_names(config_path: Path) -> None:
    """Removes what names the place a model came from; everything else keeps its order."""
    config: dict[str, Any] = json.loads(config_path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key not in _NAME_KEYS}
    config_path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
