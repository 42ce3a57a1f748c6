"""`python -m sgpo_worker.child.rank MICRO_BATCH RESULT`: one process of a training over several GPUs, started by `launch.py`.

Reads the task from stdin. Rank 0 tells events and writes its Finished event to RESULT. Exit status: 0 a result was reached,
76 out of memory, 1 another failure (rank 0 then wrote it to RESULT).
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from sgpo_worker.child.session import Session, StopRequest, die_with_parent
from sgpo_worker.events import Finished, encode_event
from sgpo_worker.specs import ChildTask, DpoSpec, SftSpec


def main(micro_batch_size: int, result: Path) -> int:
    """Runs this rank to its end and returns the exit status."""
    die_with_parent(int(os.environ["SGPO_PARENT_PID"]))
    stop = StopRequest()
    stop.install()
    task = ChildTask.from_json(sys.stdin.readline())

    import torch

    from sgpo_worker.child.batches import is_first_rank
    from sgpo_worker.child.failures import find_error, is_out_of_memory
    from sgpo_worker.child.launch import EXIT_OUT_OF_MEMORY

    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    session = Session(task, int(os.environ["SGPO_EVENTS_FD"]), stop)
    status = 0
    try:
        finished = _train(session, micro_batch_size)
    except Exception as error:
        traceback.print_exc()
        if is_out_of_memory(error):
            return EXIT_OUT_OF_MEMORY
        finished, status = Finished(outcome="failed", error=find_error(error)), 1
    if is_first_rank():
        result.write_text(encode_event(finished), encoding="utf-8")
    return status


def _train(session: Session, micro_batch_size: int) -> Finished:
    spec = session.task.spec
    if isinstance(spec, SftSpec):
        from sgpo_worker.child.sft import train_sft

        return train_sft(session, spec, micro_batch_size)
    if isinstance(spec, DpoSpec):
        from sgpo_worker.child.preference.run import train_preference

        return train_preference(session, spec, micro_batch_size)
    raise TypeError(f"a rank cannot run a {spec.kind} task")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
