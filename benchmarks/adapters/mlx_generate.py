"""The adapter of mlx-lm in its own `generate_step`: the exact draw as a processor and as a sampler, for 2,000 steps.

    python -m benchmarks.adapters.mlx_generate [--steps N]

Writes benchmarks/results/adapters-mlx.json. Ends with 1 where a token differs.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from mlx_lm.generate import generate_step
from mlx_lm.models import llama
from torch import Tensor

from benchmarks.adapters.recorded import counted, own_tokens, store
from benchmarks.harness.timing import origin
from sampling import FrequencyPenalty, History, RepetitionPenalty, Scope, Temperature, TopK, TopP, chain
from sampling.adapters.mlx import ReferenceDraw, as_logits_processor, as_sampler

PROMPT = [5, 6, 7, 8, 6]
STAGES = chain(
    RepetitionPenalty(1.2, scope=Scope(prompt=True, last=64)),
    FrequencyPenalty(0.3),
    Temperature(0.9),
    TopP(0.95),
)
PLAIN = chain(Temperature(0.8), TopK(40))


def model() -> Any:
    """A small random Llama."""
    mx.random.seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96, "num_attention_heads": 4}
    return llama.Model(
        llama.ModelArgs(model_type="llama", rms_norm_eps=1e-5, num_key_value_heads=2, vocab_size=512, **shape)
    )


def on_host(array: Any) -> Tensor:
    """A row of mlx as torch has it."""
    return torch.from_numpy(np.array(array.astype(mx.float32)))[0]


class Watch:
    """Keeps what it is given, and hands it on."""

    def __init__(self, after: Any) -> None:
        self.after, self.rows = after, []

    def __call__(self, *given: Any) -> Any:
        """Call what comes after."""
        self.rows.append(on_host(given[-1]))
        return self.after(*given)


def tokens_of(host: Any, steps: int, **options: Any) -> list[int]:
    """What mlx-lm generates."""
    return [int(token) for token, _ in generate_step(mx.array(PROMPT), host, max_tokens=steps, **options)]


def processed(host: Any, steps: int) -> dict[str, Any]:
    """Rows that a processor leaves beside those of our own loop, along the host's tokens."""
    given, left = Watch(lambda _, logits: logits), Watch(lambda _, logits: logits)
    found = tokens_of(host, steps, logits_processors=[given, as_logits_processor(STAGES, PROMPT), left])
    history, equal = History.start([PROMPT]), 0
    for token, before, after in zip(found, given.rows, left.rows, strict=False):
        equal += torch.equal(STAGES(before[None], history)[0], after)
        history.accept(torch.tensor([token]))
    return {
        "what": "as_logits_processor: rows of logits",
        "tokens": steps,
        "equal": equal,
        "different": steps - equal,
    }


def main() -> int:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    steps, host = parser.parse_args().steps, model()
    watch = Watch(lambda _, logits: logits)
    exact = ReferenceDraw(STAGES, PROMPT, seed=2**63 + 5, choice=1)
    found = tokens_of(host, steps, logits_processors=[watch, exact])
    own = own_tokens(watch.rows[:steps], PROMPT, STAGES, seed=2**63 + 5, choice=1)
    sampler = Watch(as_sampler(PLAIN, seed=-7))
    sampled = tokens_of(host, steps, sampler=sampler)
    cases = [
        {"what": "ReferenceDraw"} | counted(own, found),
        {"what": "as_sampler"} | counted(own_tokens(sampler.rows[:steps], PROMPT, PLAIN, seed=-7), sampled),
        processed(host, steps // 4),
    ]
    return store("mlx", cases, origin("adapters.mlx_generate", "mlx", "mlx-lm", "torch"))


if __name__ == "__main__":
    sys.exit(main())
