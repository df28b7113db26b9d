# SPDX-License-Identifier: Apache-2.0
"""How a peer in Python is asked: a job on each line, answered with hashes and CPU time.

The first line it prints tells the versions. serve.mjs is the same for Node.
"""

import json
import platform
import sys
import time
from collections.abc import Callable


def serve(solve: Callable[[str, str, int], int], version: str) -> None:
    """Answer jobs until standard input ends.

    Args:
        solve: takes prefix, target (hex) and the number of hashes that find it; returns how many
            it took.
        version: of the peer.
    """
    print(json.dumps({"version": f"{version} (Python {platform.python_version()})"}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        started = time.process_time_ns()
        hashes = solve(job["prefix"], job["target"], job["hashes"])
        spent = time.process_time_ns() - started
        print(json.dumps({"hashes": hashes, "ns": spent}), flush=True)
