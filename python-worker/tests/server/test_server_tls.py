"""Mutual TLS with a CA of the test's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from server_harness import Caller, Place

OPENSSL = shutil.which("openssl") or ""
pytestmark = pytest.mark.skipif(not OPENSSL, reason="needs the openssl command")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run([OPENSSL, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CAs, a server certificate and a client certificate of the first, a client certificate of the second."""
    folder = tmp_path_factory.mktemp("pki")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca in ("ca", "other-ca"):
        openssl(folder, "req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other-ca")):
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


def call(pki: Path, address: str, client: str | None) -> Caller:
    pair = (
        {}
        if client is None
        else {
            "private_key": (pki / f"{client}.key").read_bytes(),
            "certificate_chain": (pki / f"{client}.pem").read_bytes(),
        }
    )
    credentials = grpc.ssl_channel_credentials(root_certificates=(pki / "ca.pem").read_bytes(), **pair)
    return Caller(grpc.aio.secure_channel(address, credentials))


def tls(pki: Path) -> dict[str, str]:
    files = {"SGPO_TLS_CERT": "server.pem", "SGPO_TLS_KEY": "server.key", "SGPO_TLS_CLIENT_CA": "ca.pem"}
    return {name: str(pki / file) for name, file in files.items()}


async def test_only_clients_of_our_ca_are_served(spawn_worker, place: Place, pki: Path):
    address = spawn_worker(**tls(pki)).address
    known = call(pki, address, "client")
    await known.start("t-1", place.generate(["finish", "succeeded", place.output]))
    await known.finished("t-1")
    await known.channel.close()
    for client in ("stranger", None):
        caller = call(pki, address, client)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.worker()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        await caller.channel.close()


async def test_plain_text_is_refused(spawn_worker, connect, pki: Path):
    caller = connect(spawn_worker(**tls(pki)).address)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.worker()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_an_open_address_without_tls_is_told_once(spawn_worker):
    warnings = [line for line in spawn_worker(SGPO_WORKER_LISTEN="0.0.0.0:0").lines if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "SGPO_TLS_CERT" in warnings[0]["event"]
