# SPDX-License-Identifier: Apache-2.0
"""`pypow doctor`: looks at a gate from all sides, and names the fix for what it finds.

Each check is one module with one function. A check never raises for what it looks at: whatever is
wrong is a `Finding`. Nothing is changed, but for one spend of a proof that the doctor has solved.
"""

from pypow.findings import Finding, Level, fail, ok, warn

__all__ = ["Finding", "Level", "fail", "ok", "warn"]
