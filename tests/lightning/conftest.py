# SPDX-License-Identifier: Apache-2.0
"""One LNbits for all tests that ask for it."""

from collections.abc import Iterator

import pytest

from support.lnbits_server import LnbitsServer, lnbits


@pytest.fixture(scope="session")
def lnbits_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LnbitsServer]:
    with lnbits(tmp_path_factory.mktemp("lnbits")) as server:
        yield server
