"""Adapters, validation, published weights, and the losses and parameters of each trainer, as specs may hold them."""

from __future__ import annotations

import math

import pytest
from server_harness import training
from test_server_validation import REF, request

from sgpo_worker.gen import worker_pb2 as pb
from sgpo_worker.losses import OPTIONAL_PARAMETERS, TRAINERS
from sgpo_worker.server.errors import InvalidRequestError
from sgpo_worker.server.mapping import read_start
from sgpo_worker.specs import ChildTask, DpoSpec, LoraParameters, SftSpec, TaskSpec, ValidationParameters

LORA = {"rank": 8, "alpha": 16.0, "dropout": 0.05}
VALIDATION = {"share": 0.1, "every_steps": 5, "measure": "loss"}
VALUES = {"label_smoothing": 0.1, "discopop_tau": 0.05}


def read(kind: str, **changes: object) -> TaskSpec:
    return read_start(request(kind, **changes), min_lease_seconds=5).spec


def refusal(kind: str, **changes: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        read(kind, **changes)
    return str(caught.value)


def trained(**changes: object) -> pb.TrainingParameters:
    return training(
        lora=pb.LoraParameters(**(LORA | {"target_modules": ["q_proj", "v_proj"]})),
        validation=pb.ValidationParameters(**VALIDATION),
        **changes,
    )


def test_all_of_it_reaches_the_child_and_survives_its_line(tmp_path):
    parameters = trained(publish=pb.PUBLISHED_WEIGHTS_BOTH)
    sft = read("sft", training=parameters, chat_template="auto")
    dpo = read(
        "dpo", training=parameters, loss_types=["sigmoid", "sft"], loss_weights=[0.8, 0.2], ld_alpha=0.0, label_smoothing=0.0
    )
    assert isinstance(sft, SftSpec)
    assert isinstance(dpo, DpoSpec)
    assert sft.chat_template == "auto"
    assert sft.training.lora == LoraParameters(**LORA, target_modules=["q_proj", "v_proj"])
    assert sft.training.validation == ValidationParameters(**VALIDATION)
    assert (sft.training.publish, dpo.loss_weights, dpo.ld_alpha, dpo.simpo_gamma) == ("both", [0.8, 0.2], 0.0, None)
    for spec in (sft, dpo, read("sft")):
        task = ChildTask(task_id="t", attempt=1, store=tmp_path, work_dir=tmp_path, spec=spec)
        assert ChildTask.from_json(task.to_json()) == task


def test_what_is_left_out_is_not_there():
    spec = read("sft")
    assert isinstance(spec, SftSpec)
    assert (spec.training.lora, spec.training.validation, spec.training.publish, spec.chat_template) == (None, None, "last", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank", 0),
        ("rank", 5000),
        ("alpha", 0.0),
        ("alpha", math.nan),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("target_modules", [""]),
        ("target_modules", ["q_proj", "q_proj"]),
        ("target_modules", ["../../etc"]),
        ("target_modules", [".*\n"]),
    ],
)
def test_a_bad_adapter_is_named(field: str, value: object):
    lora = pb.LoraParameters(**(LORA | {field: value}))
    assert f"sft.training.lora.{field}: " in refusal("sft", training=training(lora=lora))


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("sft", "share", 0.0),
        ("sft", "share", 0.51),
        ("sft", "share", math.nan),
        ("sft", "every_steps", 0),
        ("sft", "measure", ""),
        ("sft", "measure", "eval_loss"),
        ("sft", "measure", "rewards/margins"),
        ("dpo", "measure", "accuracy"),
    ],
)
def test_a_bad_validation_is_named(kind: str, field: str, value: object):
    validation = pb.ValidationParameters(**(VALIDATION | {field: value}))
    assert f"{kind}.training.validation.{field}: {value!r}: " in refusal(kind, training=training(validation=validation))


def test_the_best_weights_need_a_measure():
    for wanted in (pb.PUBLISHED_WEIGHTS_BEST, pb.PUBLISHED_WEIGHTS_BOTH):
        assert "sft.training.publish: " in refusal("sft", training=training(publish=wanted))
    bad = training()
    bad.publish = 9
    assert "sft.training.publish: 9: " in refusal("sft", training=bad)


def preference(trainer: str, loss: str, **changes: object) -> dict[str, object]:
    """A spec that holds what this loss needs and nothing else."""
    found = TRAINERS[trainer].losses[loss]
    needed = dict.fromkeys(found.needs, 1e-3)
    reference = {} if TRAINERS[trainer].reference else {"reference": None}
    return {"trainer": trainer, "loss_types": [loss], **reference, **needed, **changes}


LOSSES = [(trainer, loss) for trainer, found in TRAINERS.items() for loss in found.losses]


@pytest.mark.parametrize(("trainer", "loss"), LOSSES)
def test_every_loss_takes_what_it_reads_and_refuses_the_rest(trainer: str, loss: str):
    assert isinstance(read("dpo", **preference(trainer, loss)), DpoSpec)
    for name in OPTIONAL_PARAMETERS:
        changes = preference(trainer, loss, **{name: VALUES.get(name, 1.0)})
        if name in TRAINERS[trainer].losses[loss].reads:
            spec = read("dpo", **changes)
            assert getattr(spec, name) == VALUES.get(name, 1.0)
        else:
            assert f"dpo.{name}: " in refusal("dpo", **changes)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_reference_is_where_it_is_compared_with(trainer: str):
    loss = next(iter(TRAINERS[trainer].losses))
    wrong = None if TRAINERS[trainer].reference else REF
    assert "dpo.reference: " in refusal("dpo", **preference(trainer, loss, reference=wrong))


@pytest.mark.parametrize("trainer", ["cpo", "orpo", "kto"])
def test_only_dpo_sums_losses(trainer: str):
    names = list(TRAINERS[trainer].losses)
    assert "dpo.loss_types: " in refusal("dpo", **preference(trainer, names[0], loss_types=[names[0], names[-1]]))
    assert "dpo.loss_weights: " in refusal("dpo", **preference(trainer, names[0], loss_weights=[1.0]))


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.inf]])
def test_weights_are_one_a_loss_and_positive(weights: list[float]):
    assert "dpo.loss_weights: " in refusal("dpo", loss_types=["sigmoid", "sft"], loss_weights=weights)


@pytest.mark.parametrize(
    ("trainer", "loss", "changes"),
    [
        ("dpo", "sigmoid", {"ld_alpha": 1.5}),
        ("dpo", "exo_pair", {"label_smoothing": 0.0}),
        ("dpo", "discopop", {"discopop_tau": 0.0}),
        ("cpo", "simpo", {"simpo_gamma": -1.0}),
        ("cpo", "sigmoid", {"cpo_alpha": math.nan}),
        ("kto", "kto", {"desirable_weight": -1.0}),
        ("kto", "kto", {"desirable_weight": 0.0, "undesirable_weight": 0.0}),
    ],
)
def test_a_value_out_of_range_is_named(trainer: str, loss: str, changes: dict[str, float]):
    assert f"dpo.{list(changes)[-1]}: " in refusal("dpo", **preference(trainer, loss, **changes))


@pytest.mark.parametrize(("trainer", "loss"), [("kto", "kto"), ("dpo", "aot"), ("dpo", "aot_unpaired")])
def test_losses_that_compare_pairs_need_two_of_them(trainer: str, loss: str):
    alone = training(micro_batch_size=1)
    assert "dpo.training.micro_batch_size: 1: give at least 2" in refusal("dpo", **preference(trainer, loss, training=alone))


def test_kto_measures_no_accuracies():
    validation = pb.ValidationParameters(**(VALIDATION | {"measure": "rewards/accuracies"}))
    parameters = training(validation=validation)
    assert read("dpo", training=parameters)
    assert "measure: 'rewards/accuracies': use one of loss, rewards/margins" in refusal(
        "dpo", **preference("kto", "kto", training=parameters)
    )
