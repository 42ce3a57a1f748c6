"""Configuration of a worker, read from the environment once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

Engine = Literal["transformers", "vllm"]

_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WORKER_NAMES = (
    "SGPO_WORKER_LISTEN",
    "SGPO_WORKER_DATA",
    "SGPO_WORKER_ID",
    "SGPO_WORKER_SLOTS",
    "SGPO_WORKER_ENGINE",
    "SGPO_WORKER_STANDBY",
    "SGPO_WORKER_IDLE_SECONDS",
    "SGPO_WORKER_GRACE_SECONDS",
)
_TLS_NAMES = ("SGPO_TLS_CERT", "SGPO_TLS_KEY", "SGPO_TLS_CLIENT_CA")


class ConfigError(Exception):
    """A variable that cannot be used; the text names it, its value and the fix."""

    def __init__(self, name: str, value: str | None, fix: str) -> None:
        super().__init__(f"{name}: {'not set' if value is None else repr(value)}: {fix}")


@dataclass(frozen=True, kw_only=True)
class Tls:
    """PEM bytes of mutual TLS: who we are, and whose clients we accept."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    host: str
    port: int
    """0 takes any free port."""
    data: Path
    """Journals, checkpoints, logs, worker id. One server at a time."""
    store: Path
    """The artifact store that both sides share."""
    worker_id: str | None
    """None: kept in the data folder."""
    slots: int
    engine: Engine | None
    """None: vllm where it can run, else transformers."""
    standby: int
    """Children started ahead, so that imports are done before a task comes."""
    idle_seconds: float
    """A child that holds weights and has nothing to do is ended after this."""
    grace_seconds: float
    """What trainings get at shutdown to save a checkpoint."""
    tls: Tls | None
    parent_pid: int | None
    """The worker leaves when this process is gone."""

    @property
    def listen(self) -> str:
        return join_address(self.host, self.port)

    @property
    def loopback(self) -> bool:
        """Whether nobody outside this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_config(env: Mapping[str, str]) -> WorkerConfig:
    """Parses the `SGPO_*` variables. Raises ConfigError for the first that is missing or wrong; creates the data folder."""
    for name, value in env.items():
        if name.startswith("SGPO_WORKER_") and name not in _WORKER_NAMES:
            raise ConfigError(name, value, f"is not known: use one of {', '.join(_WORKER_NAMES)}")
    host, port = _read_listen(env)
    worker_id = env.get("SGPO_WORKER_ID") or None
    if worker_id is not None and not _ID.fullmatch(worker_id):
        raise ConfigError("SGPO_WORKER_ID", worker_id, "use 1 to 64 letters, digits, '_', '-' or '.'")
    return WorkerConfig(
        host=host,
        port=port,
        data=_read_data(env),
        store=_read_store(env),
        worker_id=worker_id,
        slots=_read_int(env, "SGPO_WORKER_SLOTS", 1, low=1, high=64),
        engine=_read_engine(env),
        standby=_read_int(env, "SGPO_WORKER_STANDBY", 1, low=0, high=16),
        idle_seconds=_read_int(env, "SGPO_WORKER_IDLE_SECONDS", 300, low=0, high=86_400),
        grace_seconds=_read_int(env, "SGPO_WORKER_GRACE_SECONDS", 25, low=0, high=3_600),
        tls=_read_tls(env),
        parent_pid=_read_int(env, "SGPO_PARENT_PID", 0, low=1, high=2**31) if env.get("SGPO_PARENT_PID") else None,
    )


def _read_int(env: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = env.get(name) or str(default)
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(name, text, f"give a whole number from {low} to {high}") from None
    if not low <= value <= high:
        raise ConfigError(name, text, f"give a whole number from {low} to {high}")
    return value


def _read_listen(env: Mapping[str, str]) -> tuple[str, int]:
    text = env.get("SGPO_WORKER_LISTEN") or "127.0.0.1:50051"
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65_535:
        raise ConfigError(
            "SGPO_WORKER_LISTEN", text, "give host:port, as 127.0.0.1:50051 or [::1]:50051; port 0 takes a free one"
        )
    return match[1] or match[2], int(match[3])


def _read_data(env: Mapping[str, str]) -> Path:
    text = env.get("SGPO_WORKER_DATA")
    if not text:
        raise ConfigError("SGPO_WORKER_DATA", None, "name a folder that the worker may write, one for each worker")
    path = Path(text).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "SGPO_WORKER_DATA", text, f"cannot be created ({error.strerror}): name a folder that the worker may write"
        ) from error
    return path


def _read_store(env: Mapping[str, str]) -> Path:
    text = env.get("SGPO_STORE")
    if not text:
        raise ConfigError("SGPO_STORE", None, "name the artifact store's folder")
    path = Path(text).absolute()
    if not path.is_dir():
        raise ConfigError("SGPO_STORE", text, "is not a folder: name the artifact store's folder, or mount it first")
    return path


def _read_engine(env: Mapping[str, str]) -> Engine | None:
    text = env.get("SGPO_WORKER_ENGINE")
    if not text:
        return None
    if text not in ("transformers", "vllm"):
        raise ConfigError("SGPO_WORKER_ENGINE", text, "use transformers or vllm, or leave it out")
    return cast(Engine, text)


def _read_tls(env: Mapping[str, str]) -> Tls | None:
    given = {name: env[name] for name in _TLS_NAMES if env.get(name)}
    if not given:
        return None
    for name in _TLS_NAMES:
        if name not in given:
            raise ConfigError(
                name, None, f"{', '.join(given)} is set: mutual TLS needs all of {', '.join(_TLS_NAMES)}; set all or none"
            )
    certificate, key, client_ca = (_read_pem(name, given[name]) for name in _TLS_NAMES)
    return Tls(certificate=certificate, key=key, client_ca=client_ca)


def _read_pem(name: str, text: str) -> bytes:
    try:
        content = Path(text).read_bytes()
    except OSError as error:
        raise ConfigError(name, text, f"cannot be read ({error.strerror}): name a PEM file") from error
    if b"-----BEGIN " not in content:
        raise ConfigError(name, text, "holds no PEM block: name a PEM file")
    return content
