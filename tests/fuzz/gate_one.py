# SPDX-License-Identifier: Apache-2.0
"""One process of atheris around a target: ``python -m fuzz.gate_one TARGET [libFuzzer's options]``.

Only what is imported in here is watched for coverage, so it imports as little as it can.
"""

import sys

import atheris

with atheris.instrument_imports(include=["pypow", "pypow_server"]):
    from fuzz import gate_targets

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    # When it merges, libFuzzer starts itself again by a shell, with the name it was called by.
    itself = f"{sys.executable} -m fuzz.gate_one {name}"
    atheris.Setup([itself, *options], gate_targets.TARGETS[name])
    atheris.Fuzz()
