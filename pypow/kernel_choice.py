# SPDX-License-Identifier: Apache-2.0
"""Which kernel grinds: the argument, else ``PYPOW_KERNEL``, else the best one."""

import os

from . import _bridge
from ._bridge import KernelInfo
from .errors import KernelUnavailableError, shown


def kernels() -> tuple[KernelInfo, ...]:
    """All kernels of this build, best measured first; the last one runs everywhere."""
    return _bridge.kernels()


def chosen_kernel(name: str | None = None) -> KernelInfo:
    """The kernel that `solve` would use: the argument, else ``PYPOW_KERNEL``, else the best.

    Raises:
        KernelUnavailableError: unknown here, or this CPU cannot run it.
    """
    wanted = name if name is not None else os.environ.get("PYPOW_KERNEL") or None
    known = kernels()
    for kernel in known:
        if kernel.usable and wanted in (None, kernel.name):
            return kernel
    here = any(kernel.name == wanted for kernel in known)
    raise KernelUnavailableError(
        f"kernel {shown(wanted)}{' (from PYPOW_KERNEL)' if name is None else ''} "
        f"{'cannot run on this CPU' if here else 'is unknown'}; "
        f"usable: {', '.join(kernel.name for kernel in known if kernel.usable)}"
    )
