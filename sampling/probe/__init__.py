"""Probe checkpoints: Llama checkpoints whose logits are chosen numbers."""

from __future__ import annotations

from sampling.probe.probe import Probe, State
from sampling.probe.rows import Row

__all__ = ["Probe", "Row", "State"]
