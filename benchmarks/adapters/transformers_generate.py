"""The adapter of transformers in its own `generate`, for 2,000 steps: batches, left padding, several choices.

    python -m benchmarks.adapters.transformers_generate [--steps N]

Writes benchmarks/results/adapters-transformers.json. Ends with 1 where a token differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, NoRepeatNGramLogitsProcessor

from benchmarks.adapters.recorded import counted, own_tokens, store
from benchmarks.harness.timing import origin
from sampling import (
    FrequencyPenalty,
    History,
    LogitBias,
    Pipeline,
    RepetitionPenalty,
    Scope,
    Temperature,
    TopK,
    TopP,
    chain,
)
from sampling.adapters.transformers import ReferenceDraw, as_logits_processor, as_stage

V, PAD = 512, 0
PROMPTS = ([5, 6, 7, 8, 6], [9], [11, 12, 12], [40, 41])
SEEDS = (1, 2**63 + 5, -7, 0)


def model(steps: int) -> LlamaForCausalLM:
    """A small random Llama that goes on for ever."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=steps + 16,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config).eval()


def inputs() -> dict[str, Tensor]:
    """Prompts padded on the left."""
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[PAD] * (width - len(row)) + row for row in PROMPTS])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in PROMPTS])
    return {"input_ids": ids, "attention_mask": mask}


def parameters(*rows: int) -> Pipeline:
    """All kinds of stages, with one number for each prompt."""

    def of(*numbers: Any) -> list[Any]:
        return [numbers[row] for row in rows]

    return chain(
        LogitBias(of({40: 2.0}, {}, {PAD: 3.0}, {7: -5.0})),
        RepetitionPenalty(of(1.2, 1.0, 1.5, 1.1), scope=Scope(prompt=True, last=64)),
        FrequencyPenalty(of(0.3, 0.6, 0.0, 1.0)),
        Temperature(of(1.2, 0.9, 1.5, 1.0)),
        TopP(of(0.95, 0.99, 0.9, 1.0)),
    )


def with_theirs(*rows: int) -> Pipeline:
    """A stage of transformers beside ours."""
    return chain(
        as_stage(NoRepeatNGramLogitsProcessor(3)),
        Temperature([(0.8, 1.0, 1.3, 1.1)[r] for r in rows]),
        TopK(50),
    )


def exact(
    host: LlamaForCausalLM, stages: Callable[..., Pipeline], steps: int, choices: int
) -> dict[str, Any]:
    """Tokens of the exact draw beside those of our own loop."""
    rows = range(len(PROMPTS))
    out = host.generate(
        **inputs(),
        custom_generate=ReferenceDraw(stages(*rows), seed=SEEDS),
        max_new_tokens=steps,
        num_return_sequences=choices,
        **({"do_sample": True, "top_k": 0} if choices > 1 else {}),
        return_dict_in_generate=True,
        output_logits=True,
    )
    width = out.sequences.shape[1] - steps
    found: list[dict[str, int]] = []
    for row in range(len(PROMPTS) * choices):
        prompt, keys = row // choices, {"seed": SEEDS[row // choices], "choice": row % choices}
        own = own_tokens((step[row] for step in out.logits), PROMPTS[prompt], stages(prompt), **keys)
        found.append(counted(own, out.sequences[row, width:].tolist()))
    return {"what": f"ReferenceDraw, {stages.__name__}", "rows": len(found), "steps": steps} | {
        name: sum(one[name] for one in found) for name in found[0]
    }


def processed(host: LlamaForCausalLM, steps: int) -> dict[str, Any]:
    """Scores that a LogitsProcessor leaves beside those of our own loop, along the host's tokens; counted in rows of logits."""
    torch.manual_seed(1)
    processor = as_logits_processor(parameters(*range(len(PROMPTS))), **inputs())
    out = host.generate(
        **inputs(),
        logits_processor=[processor],
        do_sample=True,
        top_k=0,
        max_new_tokens=steps,
        return_dict_in_generate=True,
        output_logits=True,
        output_scores=True,
    )
    equal = 0
    for row, prompt in enumerate(PROMPTS):
        history, stages = History.start([prompt]), parameters(row)
        for step, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True)):
            equal += torch.equal(scores[row : row + 1], stages(logits[row : row + 1], history))
            history.accept(out.sequences[row, out.sequences.shape[1] - steps + step][None])
    count = steps * len(PROMPTS)
    return {"what": "as_logits_processor: rows of scores", "rows": len(PROMPTS), "steps": steps} | {
        "tokens": count,
        "equal": equal,
        "different": count - equal,
    }


def main() -> int:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="of each sequence")
    steps = parser.parse_args().steps
    host = model(steps)
    cases = [
        exact(host, parameters, steps, 1),
        exact(host, parameters, steps // 4, 2),
        exact(host, with_theirs, steps // 4, 1),
        processed(host, steps // 4),
    ]
    return store("transformers", cases, origin("adapters.transformers_generate", "torch", "transformers"))


if __name__ == "__main__":
    sys.exit(main())
