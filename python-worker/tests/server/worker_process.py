"""A whole worker in a process of its own whose children are scripted: `python worker_process.py`, configured as the real one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sgpo_worker.server.config import read_config
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.main import serve
from sgpo_worker.server.server import WorkerServer

CHILD = (sys.executable, str(Path(__file__).with_name("scripted_child.py")))


async def run() -> None:
    log = EventLog(sys.stdout)
    config = read_config(os.environ)
    await serve(WorkerServer(config, env=os.environ, log=log, child_command=CHILD), config, log)
    forbidden = sorted({"torch", "transformers", "trl", "vllm"} & set(sys.modules))
    log.info("modules", forbidden=forbidden)


if __name__ == "__main__":
    asyncio.run(run())
