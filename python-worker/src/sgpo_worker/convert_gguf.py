"""Turns one GGUF file into a Hugging Face folder: `python -m sgpo_worker.convert_gguf GGUF OUT --dtype float32`.

Quantised weights become plain `float32` or `bfloat16` safetensors. The tokenizer, its chat template and every end-of-sequence id
come along; files hold no path and no date, so equal inputs give equal folders.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sgpo_worker.specs import Dtype


def convert(gguf: Path, out: Path, dtype: Dtype) -> None:
    """Writes the model folder `out` (created; must be empty or absent).

    Raises `FileNotFoundError` for an absent `gguf` and `FileExistsError` for an `out` that already holds something.
    """
    if not gguf.is_file():
        raise FileNotFoundError(f"GGUF {str(gguf)!r} is not a file: give the path of a .gguf file")
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"OUT {str(out)!r} is not empty: give a new folder")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from sgpo_worker.child.model_folder import TextSide, save_model_folder

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        trust_remote_code=False,
    )
    # The loader leaves its quantiser on the model, and saving would then write a quantised config for plain weights.
    model.hf_quantizer = None
    model.is_quantized = False
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, name):
            delattr(model.config, name)
    text = TextSide(tokenizer=tokenizer, stop_ids=[tokenizer.eos_token_id], template="own")
    save_model_folder(model, text, out, dtype)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sgpo_worker.convert_gguf", description=__doc__)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    try:
        convert(arguments.gguf, arguments.out, arguments.dtype)
    except (FileNotFoundError, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
