"""Specs that cannot be run are refused at the door, with field, value and fix."""

from __future__ import annotations

import math

import grpc
import pytest
from server_harness import Place, Worker, training

from sgpo_worker.gen import worker_pb2 as pb
from sgpo_worker.server.errors import InvalidRequestError
from sgpo_worker.server.mapping import read_start
from sgpo_worker.specs import DpoSpec, GenerateSpec, ScoreSpec, SftSpec

DIGEST = "ab" * 32
REF = pb.ArtifactRef(digest=DIGEST)
GENERATE = {
    "model": REF,
    "input": REF,
    "temperature": 0.7,
    "top_p": 0.9,
    "max_new_tokens": 8,
    "max_length": 64,
    "seed": 2**64 - 1,
    "block_rows": 4,
    "dtype": pb.DTYPE_FLOAT32,
}
SCORE = {"model": REF, "input": REF, "max_length": 64, "block_rows": 4, "dtype": pb.DTYPE_BFLOAT16, "measure_chrf": True}
SFT = {"model": REF, "dataset": REF, "training": training()}
DPO = {
    "policy": REF,
    "reference": REF,
    "dataset": REF,
    "training": training(),
    "trainer": "dpo",
    "loss_types": ["sigmoid"],
    "beta": 0.01,
}
MESSAGES = {
    "generate": (pb.GenerateSpec, GENERATE),
    "score": (pb.ScoreSpec, SCORE),
    "sft": (pb.SftSpec, SFT),
    "dpo": (pb.DpoSpec, DPO),
}


def request(kind: str, **changes: object) -> pb.StartTaskRequest:
    message, values = MESSAGES[kind]
    spec = message(**(values | changes))
    return pb.StartTaskRequest(task_id="t-1", attempt=1, fence=1, lease_seconds=30, **{kind: spec})


@pytest.mark.parametrize(
    ("kind", "expected"), [("generate", GenerateSpec), ("score", ScoreSpec), ("sft", SftSpec), ("dpo", DpoSpec)]
)
def test_good_specs_pass_whole(kind: str, expected: type):
    spec = read_start(request(kind), min_lease_seconds=5).spec
    assert isinstance(spec, expected)
    assert spec.kind == kind


def test_every_number_arrives():
    spec = read_start(request("generate", temperature=0, sample_index=3), min_lease_seconds=5).spec
    assert isinstance(spec, GenerateSpec)
    assert (spec.temperature, spec.seed, spec.sample_index, spec.dtype) == (0, 2**64 - 1, 3, "float32")
    trained = read_start(request("dpo", loss_types=["robust"], label_smoothing=0.1), min_lease_seconds=5).spec
    assert isinstance(trained, DpoSpec)
    assert (trained.training.learning_rate, trained.training.save_dtype, trained.label_smoothing) == (5e-7, "bfloat16", 0.1)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("generate", "temperature", -0.1),
        ("generate", "temperature", math.nan),
        ("generate", "temperature", math.inf),
        ("generate", "top_p", 0),
        ("generate", "top_p", 1.01),
        ("generate", "top_p", math.nan),
        ("generate", "max_new_tokens", 0),
        ("generate", "max_length", 8),
        ("generate", "max_length", 0),
        ("generate", "block_rows", 0),
        ("generate", "dtype", 0),
        ("generate", "dtype", 9),
        ("generate", "model", None),
        ("generate", "input", pb.ArtifactRef(digest="../../etc")),
        ("generate", "input", pb.ArtifactRef(digest=DIGEST.upper())),
        ("generate", "input", pb.ArtifactRef(digest=DIGEST + "\n")),
        ("score", "max_length", 1),
        ("score", "block_rows", 0),
        ("score", "dtype", 0),
        ("score", "model", None),
        ("sft", "dataset", None),
        ("sft", "model", None),
        ("sft", "chat_template", "chatlm"),
        ("dpo", "policy", None),
        ("dpo", "reference", None),
        ("dpo", "dataset", None),
        ("dpo", "trainer", ""),
        ("dpo", "trainer", "dqo"),
        ("dpo", "loss_types", []),
        ("dpo", "loss_types", [""]),
        ("dpo", "loss_types", ["sigmoidal"]),
        ("dpo", "loss_types", ["simpo"]),
        ("dpo", "loss_types", ["sigmoid", "sigmoid"]),
        ("dpo", "beta", 0),
        ("dpo", "beta", math.nan),
        ("dpo", "label_smoothing", 0.5),
        ("dpo", "label_smoothing", -0.1),
    ],
)
def test_a_bad_field_is_named(kind: str, field: str, value: object):
    with pytest.raises(InvalidRequestError) as caught:
        read_start(request(kind, **{field: value}), min_lease_seconds=5)
    assert str(caught.value).startswith(f"{kind}.{field}: ")
    assert str(caught.value).count(": ") >= 2


@pytest.mark.parametrize("kind", ["sft", "dpo"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0.0),
        ("epochs", math.nan),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-6),
        ("learning_rate", 2.0),
        ("batch_size", 0),
        ("micro_batch_size", 0),
        ("micro_batch_size", 3),
        ("micro_batch_size", 16),
        ("max_length", 0),
        ("warmup_ratio", 1.0),
        ("warmup_ratio", -0.1),
        ("scheduler", ""),
        ("scheduler", "cosinus"),
        ("weight_decay", -1.0),
        ("max_grad_norm", 0.0),
        ("dtype", 0),
        ("save_dtype", 0),
    ],
)
def test_a_bad_training_parameter_is_named(kind: str, field: str, value: object):
    with pytest.raises(InvalidRequestError) as caught:
        read_start(request(kind, training=training(**{field: value})), min_lease_seconds=5)
    assert f"{kind}.training.{field}: {value!r}: " in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("task_id", "../x"), ("task_id", ""), ("attempt", 0), ("fence", 0), ("lease_seconds", 4), ("lease_seconds", 0)],
)
def test_a_bad_claim_is_named(field: str, value: object):
    bad = request("generate")
    setattr(bad, field, value)
    with pytest.raises(InvalidRequestError, match=rf"^{field}: "):
        read_start(bad, min_lease_seconds=5)


def test_all_problems_are_told_at_once():
    with pytest.raises(InvalidRequestError) as caught:
        read_start(pb.StartTaskRequest(task_id="t-1", generate=pb.GenerateSpec()), min_lease_seconds=5)
    for field in (
        "attempt",
        "fence",
        "lease_seconds",
        "generate.model",
        "generate.top_p",
        "generate.block_rows",
        "generate.dtype",
    ):
        assert f"{field}: " in str(caught.value)


def test_a_spec_must_be_there():
    with pytest.raises(InvalidRequestError, match=r"^spec: not set"):
        read_start(pb.StartTaskRequest(task_id="t-1", attempt=1, fence=1, lease_seconds=30), min_lease_seconds=5)


async def test_over_the_wire_nothing_is_left_of_a_refused_task(worker: Worker, place: Place):
    for spec, code in (
        ({"generate": pb.GenerateSpec()}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"generate": pb.GenerateSpec(**GENERATE)}, grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await worker.caller.start("t-1", spec)
        assert caught.value.code() == code
        assert "generate.input: " in caught.value.details()
    assert not list((place.data / "journals").glob("*"))
    assert (await worker.caller.worker()).running == []
