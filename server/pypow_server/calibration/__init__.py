# SPDX-License-Identifier: Apache-2.0
"""Prices said as times follow the speed of those who call."""
