"""The weights a training changes: gathered from it, kept when they are the best so far, and made into a model folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from peft import get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Trainer

from sgpo_worker.artifacts import sync_tree
from sgpo_worker.child.lora import ADAPTER_FOLDER, lora_config, save_adapter
from sgpo_worker.child.model_folder import TORCH_DTYPES, TextSide, load_model, save_model_folder
from sgpo_worker.specs import TrainingParameters

Weights = dict[str, torch.Tensor]
# Put into names by activation checkpointing over several devices.
_WRAPPER = "_checkpoint_wrapped_module."


def trained_weights(trainer: Trainer, devices: int) -> Weights:
    """The trained parameters by name, on the CPU: every weight, or the adapter's. Only the first rank's are sure to be whole.

    A collective call: every rank must make it. On one CPU the tensors are the model's own, so training on changes them.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    names = {name.replace(_WRAPPER, "") for name, parameter in model.named_parameters() if parameter.requires_grad}
    state = trainer.accelerator.get_state_dict(trainer.model) if devices > 1 else model.state_dict()
    found = {name.replace(_WRAPPER, ""): tensor for name, tensor in state.items()}
    return {name: found[name].detach().cpu() for name in sorted(names & found.keys())}


def write_model(weights: Weights, out: Path, *, source: Path, text: TextSide, parameters: TrainingParameters) -> int:
    """Writes the model of `source` with the trained `weights` into `out`, and an adapter also into `adapter/`.

    Returns the number of the model's parameters.
    """
    model = load_model(source, "float32")
    out.mkdir(exist_ok=True)
    if parameters.lora is None:
        _load(model, weights)
    else:
        adapted = get_peft_model(model, lora_config(parameters.lora))
        _load(adapted, weights)
        save_adapter(adapted, out / ADAPTER_FOLDER, TORCH_DTYPES[parameters.save_dtype], base=source.name)
        model = adapted.merge_and_unload()
    save_model_folder(model, text, out, parameters.save_dtype, source=source)
    return sum(parameter.numel() for parameter in model.parameters())


def _load(model: torch.nn.Module, weights: Weights) -> None:
    expected = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if expected != weights.keys():
        raise RuntimeError(f"trained weights and model differ in {sorted(expected ^ weights.keys())[:3]}")
    model.load_state_dict(weights, strict=False)


class BestWeights:
    """Files `best-<step>.safetensors` in the folder of a task's checkpoints.

    The best weights at the newest checkpoint stay until the next one is complete: a training that goes on from there needs them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, weights: Weights) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / "best.tmp"
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, unfinished)
        unfinished.replace(self._path(step))
        sync_tree(self._folder)

    def load(self, step: int) -> Weights:
        weights: Weights = load_file(self._path(step))
        return weights

    def keep(self, steps: Collection[int | None]) -> None:
        """Removes those of all other steps."""
        kept = {self._path(step) for step in steps if step is not None}
        for path in self._folder.glob("best-*.safetensors"):
            if path not in kept:
                path.unlink()

    def _path(self, step: int) -> Path:
        return self._folder / f"best-{step}.safetensors"
