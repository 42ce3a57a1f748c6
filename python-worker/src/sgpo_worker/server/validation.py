"""What a spec may hold. A field left out is 0 on the wire, so that 0 is refused wherever it means nothing."""

from __future__ import annotations

import math
from pathlib import Path

from sgpo_worker.chat_templates import CHAT_TEMPLATE_CHOICES
from sgpo_worker.losses import SFT_MEASURES
from sgpo_worker.server.errors import NotFoundError
from sgpo_worker.server.exits import DIGEST, artifact_exists
from sgpo_worker.server.preference_checks import check_preference
from sgpo_worker.server.problems import Problems
from sgpo_worker.server.training_checks import check_training
from sgpo_worker.specs import DpoSpec, GenerateSpec, ScoreSpec, SftSpec, TaskSpec


def check_spec(spec: TaskSpec, problems: Problems) -> None:
    """Notes each field that cannot work; looks neither at the store nor into any artifact."""
    for field, digest in _artifacts(spec):
        problems.check(
            DIGEST.fullmatch(digest) is not None, field, digest[:80], "give an artifact's digest: 64 lower-case hex digits"
        )
    match spec:
        case GenerateSpec():
            _check_generate(spec, problems)
        case ScoreSpec():
            problems.check(
                spec.max_length >= 2, "score.max_length", spec.max_length, "give the most tokens of prompt and answer, at least 2"
            )
            problems.check(spec.block_rows >= 1, "score.block_rows", spec.block_rows, "give the rows of a batch, at least 1")
        case SftSpec():
            check_training(spec.training, "sft.training", SFT_MEASURES, problems)
            problems.check(
                spec.chat_template in CHAT_TEMPLATE_CHOICES,
                "sft.chat_template",
                spec.chat_template[:80],
                f"leave it empty for the model's own, or use one of {', '.join(CHAT_TEMPLATE_CHOICES[1:])}",
            )
        case DpoSpec():
            check_preference(spec, problems)


def check_artifacts(spec: TaskSpec, store: Path) -> None:
    """Raises NotFoundError that names every artifact of the spec that the store does not hold."""
    missing = [
        f"{field}: {digest}: is not in the artifact store: publish it, or check that worker and caller share one store"
        for field, digest in _artifacts(spec)
        if not artifact_exists(store, digest)
    ]
    if missing:
        raise NotFoundError("; ".join(missing))


def _artifacts(spec: TaskSpec) -> list[tuple[str, str]]:
    match spec:
        case GenerateSpec() | ScoreSpec():
            return [(f"{spec.kind}.model", spec.model), (f"{spec.kind}.input", spec.input)]
        case SftSpec():
            return [("sft.model", spec.model), ("sft.dataset", spec.dataset)]
        case DpoSpec():
            reference = [] if spec.reference is None else [("dpo.reference", spec.reference)]
            return [("dpo.policy", spec.policy), *reference, ("dpo.dataset", spec.dataset)]


def _check_generate(spec: GenerateSpec, problems: Problems) -> None:
    heat = spec.temperature
    problems.check(math.isfinite(heat) and heat >= 0, "generate.temperature", heat, "give 0 (greedy) or a positive number")
    problems.check(
        0 < spec.top_p <= 1, "generate.top_p", spec.top_p, "give a number above 0 and at most 1; 1 keeps the whole distribution"
    )
    problems.check(spec.max_new_tokens >= 1, "generate.max_new_tokens", spec.max_new_tokens, "give at least 1")
    problems.check(
        spec.max_length > spec.max_new_tokens,
        "generate.max_length",
        spec.max_length,
        f"give more than max_new_tokens ({spec.max_new_tokens}): the prompt needs room",
    )
    problems.check(spec.block_rows >= 1, "generate.block_rows", spec.block_rows, "give the rows of a batch, at least 1")
