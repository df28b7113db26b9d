# SPDX-License-Identifier: Apache-2.0
"""Fronts: the ways in which an admitted request reaches its upstream."""
