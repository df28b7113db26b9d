# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: one pair of Lightning nodes."""

from collections.abc import Iterator

import pytest

from support.lightning import LightningPair, lightning


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LightningPair]:
    with lightning(tmp_path_factory.mktemp("lightning")) as pair:
        yield pair
