# SPDX-License-Identifier: Apache-2.0
"""Servers that many tests of this folder share; each test has a deployment of its own."""

from collections.abc import Iterator

import pytest

from support.redis_server import DURABLE, RedisServer, redis_binary, running, valkey_binary


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that everybody may use and nobody may stop."""
    with running(tmp_path_factory.mktemp("redis"), *DURABLE, binary=redis_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Valkey that everybody may use and nobody may stop."""
    with running(tmp_path_factory.mktemp("valkey"), *DURABLE, binary=valkey_binary()) as server:
        yield server
