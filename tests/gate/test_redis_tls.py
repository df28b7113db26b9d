# SPDX-License-Identifier: Apache-2.0
"""A Redis reached over TLS, whose certificate is checked."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypow_server.stores import Spend, StoreError
from pypow_server.stores.redis_address import read_address
from support.ledger_contract import spend
from support.redis_server import running
from support.redis_stores import opened
from support.waiting import free_port

_CERTIFICATE = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    " -subj /CN=redis -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Made out to 127.0.0.1, by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        ["openssl", *_CERTIFICATE.split()], cwd=tmp_path, check=True, capture_output=True
    )
    return tmp_path / "cert.pem"


@pytest.fixture
def port(certificate: Path, tmp_path: Path) -> Iterator[int]:
    """Where a Redis speaks TLS."""
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(tmp_path / "key.pem"))
    trust = ("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")
    try:
        server = running(tmp_path / "redis", "--tls-port", str(port), *files, *trust)
        with server:
            yield port
    except AssertionError as error:
        if "Bad directive" not in str(error):
            raise
        pytest.skip("this redis-server was built without TLS")


def test_a_certificate_of_the_named_authority_is_trusted(port: int, certificate: Path) -> None:
    async def story() -> None:
        ledger = opened(read_address(f"//127.0.0.1:{port}?ca={certificate}", scheme="rediss"))
        assert await spend(ledger, epoch=await ledger.epoch()) is Spend.WON
        await ledger.aclose()

    asyncio.run(story())


def test_other_certificates_and_names_are_refused(port: int, certificate: Path) -> None:
    for rest in (f"//127.0.0.1:{port}", f"//localhost:{port}?ca={certificate}"):
        with pytest.raises(StoreError, match=r"(?i)certificate.*check that it runs"):
            opened(read_address(rest, scheme="rediss"))
    with pytest.raises(StoreError, match="check that it runs"):
        opened(read_address(f"//127.0.0.1:{port}", scheme="redis"))
