"""Our own sampler as an engine."""

from __future__ import annotations

from benchmarks.sampler.engine import Engine, Job, Step
from sampling import Sampler

STEPS = 4096  # the most calls of a compiled sampler, whose shapes are fixed


def build(job: Job, *, compiled: bool) -> Step:
    """A sampler in the middle of its requests; every call is one real step, so the history grows by a token."""
    sampler = Sampler(
        job.each_row(),
        vocab_size=job.vocabulary,
        prompt_ids=job.tokens(job.prompt).tolist(),
        device=job.device,
        dialect=job.dialect,
        logprob_modes=None if job.params.logprobs else (),
        max_history=job.prompt + job.sampled + STEPS if compiled else None,
        compile=compiled,
    )
    for tokens in job.history().T:
        sampler.history.accept(tokens)
    return sampler.step


OURS = {
    "eager": Engine(lambda job: build(job, compiled=False), "Sampler.step", "nothing"),
    "compiled": Engine(lambda job: build(job, compiled=True), "Sampler.step with compile=True", "nothing"),
}
