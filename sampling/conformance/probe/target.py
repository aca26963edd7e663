"""An engine that has loaded a probe, as a target."""

from __future__ import annotations

from sampling.conformance.probe.engine import Engine
from sampling.probe import Probe


class ProbeTarget:
    """An engine and the probe that it has loaded.

    Args:
        engine: The engine.
        probe: The probe.
    """

    kind = "probe"
    batched = False
    reports = False

    def __init__(self, engine: Engine, probe: Probe) -> None:
        self.engine, self.probe = engine, probe

    @property
    def name(self) -> str:
        """The engine's name."""
        return self.engine.name

    @property
    def version(self) -> str:
        """The engine's version."""
        return self.engine.version

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()
