# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: no stopwatch on examples, no log kept, long proofs on demand."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A shared machine may pause at any example; slowness is for the benchmarks to find.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """A gate that was started in this process must not have all later tests keep its log."""
    logger = logging.getLogger("pypow_server")
    before = logger.level
    yield
    assert logger.level == before


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked ``deep`` out unless they are asked for with ``-m``."""
    if config.option.markexpr:
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    config.hook.pytest_deselected(items=deep)
    items[:] = [item for item in items if item not in deep]
