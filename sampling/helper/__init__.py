"""Processes for work that might take for ever, or all memory, and that can be ended."""

from __future__ import annotations

from sampling.helper.process import BoundExceeded, Helper

__all__ = ["BoundExceeded", "Helper"]
