"""A whole worker server: its parts put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Mapping, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from sgpo_worker.gen import worker_pb2, worker_pb2_grpc
from sgpo_worker.server.children import Child, ChildCommand, build_child_env, start_child
from sgpo_worker.server.config import ConfigError, WorkerConfig, join_address
from sgpo_worker.server.device import choose_engine, detect_hardware, read_versions
from sgpo_worker.server.journal import JournalFolder
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.pool import ChildPool
from sgpo_worker.server.recovery import close_open_journals, kill_orphans, lock_data, read_worker_id, remove_old_history
from sgpo_worker.server.servicer import WorkerIdentity, WorkerServicer
from sgpo_worker.server.supervisor import Supervisor

CHILD_COMMAND = (sys.executable, "-m", "sgpo_worker.child")
_MIN_LEASE_SECONDS = 5
_MESSAGE_BYTES = 16 * 1024 * 1024
_STREAM_GRACE_SECONDS = 3.0
_OPTIONS = (
    # Two workers must never share a port and split the calls between them.
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    # Orchestrators ping through quiet hours to notice a dead network.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class WorkerServer:
    """Made anew for each start. `child_command` and `min_lease_seconds` differ from their defaults in tests only."""

    def __init__(
        self,
        config: WorkerConfig,
        *,
        env: Mapping[str, str],
        log: EventLog,
        child_command: Sequence[str] = CHILD_COMMAND,
        min_lease_seconds: int = _MIN_LEASE_SECONDS,
    ) -> None:
        """Detects the hardware. Raises ConfigError for an engine that is not installed."""
        self._config = config
        self._log = log
        self._min_lease_seconds = min_lease_seconds
        hardware = detect_hardware(env)
        engine = choose_engine(config.engine, hardware)
        self._child_command = ChildCommand(
            command=child_command, env=build_child_env(env, engine=engine, data=config.data), data=config.data
        )
        self._identity_parts = (hardware, engine)
        self._health = health.HealthServicer()
        self._lock: int | None = None
        self._server: grpc.aio.Server | None = None
        self._supervisor: Supervisor | None = None
        self.hurry = asyncio.Event()
        """Set it to cut the grace of `stop` short."""

    async def start(self) -> str:
        """Cleans up after an earlier life, then listens. Returns the address. Raises ConfigError."""
        config = self._config
        self._lock = lock_data(config.data)
        orphans = await asyncio.to_thread(kill_orphans, config.data)
        if orphans:
            self._log.warning("orphans of an earlier worker were killed", processes=orphans)
        journals = JournalFolder(config.data / "journals")
        close_open_journals(journals, self._log)
        remove_old_history(config.data)

        pool = ChildPool(start=self._start_child, standby=config.standby, idle_seconds=config.idle_seconds, log=self._log)
        self._supervisor = Supervisor(
            data=config.data, store=config.store, slots=config.slots, journals=journals, pool=pool, log=self._log
        )
        hardware, engine = self._identity_parts
        identity = WorkerIdentity(
            worker_id=read_worker_id(config.data, config.worker_id),
            instance_id=uuid.uuid4().hex,
            versions=read_versions(),
            hardware=hardware,
            engine=engine,
        )
        servicer = WorkerServicer(
            identity=identity,
            supervisor=self._supervisor,
            pool=pool,
            min_lease_seconds=self._min_lease_seconds,
            on_drain=self._stop_serving,
            log=self._log,
        )
        self._server = grpc.aio.server(options=_OPTIONS)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        address = self._listen(self._server)
        await self._server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        pool.fill()
        self._log.info(
            "listening", address=address, workerId=identity.worker_id, engine=engine, devices=hardware.devices, pid=os.getpid()
        )
        return address

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new tasks, ends the running ones (trainings with a checkpoint), and lets streams run out."""
        await self._stop_serving()
        if self._supervisor is not None:
            await self._supervisor.shut_down(grace_seconds, self.hurry)
        if self._server is not None:
            await self._server.stop(_STREAM_GRACE_SECONDS)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._log.info("worker has left")

    async def _start_child(self) -> Child:
        return await start_child(self._child_command)

    def _listen(self, server: grpc.aio.Server) -> str:
        config = self._config
        try:
            if config.tls is None:
                port = server.add_insecure_port(config.listen)
            else:
                credentials = grpc.ssl_server_credentials(
                    [(config.tls.key, config.tls.certificate)], root_certificates=config.tls.client_ca, require_client_auth=True
                )
                port = server.add_secure_port(config.listen, credentials)
        except RuntimeError as error:
            raise ConfigError(
                "SGPO_WORKER_LISTEN", config.listen, "cannot be listened on: free the port or choose another"
            ) from error
        if config.tls is None and not config.loopback:
            self._log.warning(
                "anybody who reaches this address can start tasks: set SGPO_TLS_CERT, SGPO_TLS_KEY and SGPO_TLS_CLIENT_CA"
            )
        return join_address(config.host, port)

    async def _stop_serving(self) -> None:
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", worker_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name):
            await self._health.set(service, status)
