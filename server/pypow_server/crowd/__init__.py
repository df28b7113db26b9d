# SPDX-License-Identifier: Apache-2.0
"""When more call than the upstream serves: how crowded it is, and whose call begins next."""
