"""What made an output: software versions, device and text side, as flat text for `Finished.provenance`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("torch", "transformers", "trl", "tokenizers", "vllm")


def software_versions(packages: tuple[str, ...] = _PACKAGES) -> dict[str, str]:
    """Versions of Python and of those of `packages` that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_run(*, engine: str, device: str, dtype: str, batch_rule: str, text_side: dict[str, str]) -> dict[str, str]:
    """The whole provenance. `text_side`: `describe_tokenizer` of the model that read the rows."""
    return {"engine": engine, "device": device, "dtype": dtype, "batch_rule": batch_rule, **software_versions(), **text_side}
