"""Adapters: trained, merged into a whole model, saved beside it, and resumed to equal bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.failures import find_error
from sgpo_worker.child.preference.run import run_preference
from sgpo_worker.child.sft import run_sft
from sgpo_worker.losses import TRAINERS
from sgpo_worker.specs import LoraParameters

from . import tiny
from .conftest import Bench
from .test_preference import spec_of
from .test_training import ANSWERS, PAIRS, dpo_spec, metrics_of, sft_spec, stop_at_step, weights

MakeBench = Callable[..., Bench]


def lora(**changes: Any) -> LoraParameters:
    values: dict[str, Any] = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": []}
    return LoraParameters(**{**values, **changes})


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([[5, 6, 7, 8]])).logits


def test_an_adapted_model_is_a_plain_folder_with_its_adapter_inside(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), lora=lora(), epochs=4.0)
    here = bench(spec)
    finished = run_sft(here.session, spec)
    folder, source = open_artifact(store, finished.output or ""), open_artifact(store, model)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {path.name for path in source.iterdir()} | {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "training_statistics.json",
    }
    merged = AutoModelForCausalLM.from_pretrained(folder)
    assert not torch.equal(weights(folder), weights(source))
    assert merged.state_dict().keys() == AutoModelForCausalLM.from_pretrained(source).state_dict().keys()
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(source), folder / "adapter")
    assert torch.allclose(logits(merged), logits(adapted.eval()), atol=1e-5)
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == model
    assert config["target_modules"] == sorted(config["target_modules"])
    assert "lm_head" not in config["target_modules"]
    assert str(store).encode() not in b"".join(path.read_bytes() for path in folder.rglob("*.json"))
    curve = metrics_of(here)
    assert curve[-1].values["loss"] < curve[0].values["loss"]
    assert finished.provenance["lora"] == "rank 4, alpha 8, dropout 0, all-linear"
    counts = json.loads((folder / "training_statistics.json").read_text())["parameters"]
    assert counts["total"] == sum(parameter.numel() for parameter in merged.parameters())
    assert 0 < counts["trained"] < counts["total"] / 2


def test_a_merged_model_is_the_next_training_s_start(bench: MakeBench, store: Path, model: str) -> None:
    first = sft_spec(model, tiny.publish_sft(store, ANSWERS), lora=lora(), epochs=2.0)
    policy = run_sft(bench(first).session, first).output or ""
    spec = dpo_spec(policy, tiny.publish_pairs(store, PAIRS), lora=lora(), epochs=1.0)
    here = bench(spec)
    finished = run_preference(here.session, spec)
    zero = metrics_of(here)[0].values
    assert (zero["rewards/margins"], zero["loss"]) == (0.0, pytest.approx(math.log(2), abs=1e-6))
    config = json.loads((open_artifact(store, finished.output or "") / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == policy


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_trainer_trains_an_adapter(bench: MakeBench, store: Path, model: str, trainer: str, dtype: str) -> None:
    name = next(iter(TRAINERS[trainer].losses))
    parameters = tiny.parameters(lora=lora(dropout=0.2), dtype=dtype)
    spec = spec_of(trainer, name, model, tiny.publish_pairs(store, PAIRS), training=parameters)
    here = bench(spec)
    finished = run_preference(here.session, spec)
    if TRAINERS[trainer].reference:
        assert metrics_of(here)[0].values["rewards/margins"] == 0.0, "a new adapter changes nothing, whatever its dropout"
    assert not torch.equal(weights(open_artifact(store, finished.output or "")), weights(open_artifact(store, model)))


def test_the_reference_is_the_given_model_and_not_the_policy_without_its_adapter(
    bench: MakeBench, store: Path, model: str
) -> None:
    other = tiny.publish_model(store, seed=5)
    pairs = tiny.publish_pairs(store, PAIRS)
    margins = []
    for adapter in (None, lora()):
        spec = dpo_spec(model, pairs, reference=other, epochs=1.0, lora=adapter)
        here = bench(spec)
        run_preference(here.session, spec)
        margins.append(metrics_of(here)[0].values["rewards/margins"])
    assert margins[0] != 0.0
    assert margins[0] == margins[1]


def test_an_adapter_s_dropout_is_used(bench: MakeBench, store: Path, model: str) -> None:
    pairs = tiny.publish_pairs(store, PAIRS)
    outputs = []
    for dropout in (0.0, 0.5):
        spec = dpo_spec(model, pairs, lora=lora(dropout=dropout))
        outputs.append(run_preference(bench(spec).session, spec).output)
    assert outputs[0] != outputs[1]


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_an_adapter_goes_on_to_equal_bytes(bench: MakeBench, store: Path, model: str, kind: str) -> None:
    run: Callable[..., Any]
    if kind == "sft":
        run, spec = run_sft, sft_spec(model, tiny.publish_sft(store, ANSWERS), lora=lora(dropout=0.3))
    else:
        run, spec = run_preference, dpo_spec(model, tiny.publish_pairs(store, PAIRS), lora=lora(dropout=0.3))  # type: ignore[assignment]
    straight = run(bench(spec).session, spec).output
    assert run(bench(spec).session, spec).output == straight, "equal inputs, equal bytes"
    here = bench(spec)
    stop_at_step(here, 2)
    assert run(here.session, spec).outcome == "checkpointed"
    again = bench(spec)
    assert run(again.session, spec).output == straight
    assert metrics_of(again)[0].step == 3


def test_gradient_checkpointing_trains_the_same_adapter(bench: MakeBench, store: Path, model: str) -> None:
    table = tiny.publish_sft(store, ANSWERS)
    outputs = []
    for setting in (False, True):
        spec = sft_spec(model, table, lora=lora(), gradient_checkpointing=setting)
        outputs.append(weights(open_artifact(store, run_sft(bench(spec).session, spec).output or "")))
    assert torch.allclose(*outputs, atol=1e-6)


def test_only_the_named_modules_are_trained(bench: MakeBench, store: Path, model: str) -> None:
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), lora=lora(target_modules=["q_proj", "mlp.up_proj"]))
    folder = open_artifact(store, run_sft(bench(spec).session, spec).output or "")
    before = AutoModelForCausalLM.from_pretrained(open_artifact(store, model)).state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"q_proj", "up_proj"}


@pytest.mark.parametrize(
    "targets", [["nowhere"], ["q_proj", "nowhere"], ["lm_head"], ["q_proj", "embed_tokens"], ["input_layernorm"]]
)
@pytest.mark.parametrize("trainer", ["sft", "dpo", "cpo"])
def test_modules_that_cannot_be_adapted_are_refused(
    bench: MakeBench, store: Path, model: str, trainer: str, targets: list[str]
) -> None:
    training = tiny.parameters(lora=lora(target_modules=targets))
    if trainer == "sft":
        run: Callable[..., Any] = run_sft
        spec: Any = replace(sft_spec(model, tiny.publish_sft(store, ANSWERS)), training=training)
    else:
        run, spec = run_preference, spec_of(trainer, "sigmoid", model, tiny.publish_pairs(store, PAIRS), training=training)
    with pytest.raises(Exception) as raised:  # the library's own exception is looked up
        run(bench(spec).session, spec)
    error = find_error(raised.value)
    assert (error.code, error.failure_class) == ("SPEC.CONFLICT", "invalid"), error.message
    assert "target_modules" in error.remedy
