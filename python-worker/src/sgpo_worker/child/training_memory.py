"""Running out of memory: the same training again from its last checkpoint, with smaller micro-batches."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from sgpo_worker.child.failures import TaskFailure, is_out_of_memory
from sgpo_worker.child.session import Session
from sgpo_worker.events import Finished
from sgpo_worker.losses import least_pairs
from sgpo_worker.specs import DpoSpec, SftSpec


def smaller_micro_batch(batch_size: int, micro_batch_size: int, devices: int, least: int = 1) -> int | None:
    """The largest micro-batch of at most half the size that still divides the batch; none below `least`."""
    for size in range(micro_batch_size // 2, least - 1, -1):
        if batch_size % (size * devices) == 0:
            return size
    return None


def run_with_less_memory(session: Session, spec: SftSpec | DpoSpec, devices: int, run: Callable[[int], Finished]) -> Finished:
    """Calls `run(micro_batch_size)`, with half the size after each time memory runs out; the effective batch stays.

    Raises `TaskFailure` TRAIN.OUT_OF_MEMORY when the fewest rows that the training can do with do not fit.
    """
    parameters = spec.training
    least = least_pairs(spec.trainer, spec.loss_types) if isinstance(spec, DpoSpec) else 1
    size: int | None = parameters.micro_batch_size
    failed = parameters.micro_batch_size
    while size is not None:
        try:
            return run(size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: the exception's frames hold the tensors that have to go.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        failed, size = size, smaller_micro_batch(parameters.batch_size, size, devices, least)
        if size is not None:
            session.warning(f"Out of memory with micro_batch_size {failed}; going on with {size} from the last checkpoint.")
    raise TaskFailure(
        "TRAIN.OUT_OF_MEMORY",
        "resources",
        f"memory ran out with micro_batch_size {failed} and max_length {parameters.max_length}",
        "Lower max_length, set gradient_checkpointing, or run the task on devices with more memory.",
    )
