# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: no stopwatch on generated examples, and long proofs only on demand."""

import pytest
from hypothesis import settings

# A shared machine may pause at any example; slowness is for the benchmarks to find.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked ``deep`` out unless they are asked for with ``-m``."""
    if config.option.markexpr:
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    config.hook.pytest_deselected(items=deep)
    items[:] = [item for item in items if item not in deep]
