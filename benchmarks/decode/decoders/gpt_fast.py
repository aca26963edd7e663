"""gpt-fast: named, so that nobody wonders why it is missing."""

from __future__ import annotations

from benchmarks.decode.job import DecodeEngine, DecodeJob, Generate
from benchmarks.harness.outcome import NotAvailable
from sampling.model import Llama


def build(model: Llama, job: DecodeJob) -> Generate:  # noqa: ARG001 (what all engines take)
    """Refuse."""
    raise NotAvailable(
        "gpt-fast is a repository of scripts, not a package (PyPI's gptfast is another project)"
    )


ENGINE = DecodeEngine(build, "gpt-fast's loop", "everything")
