"""Draws of vLLM's V1 sampler on a CPU, by the installed package.

python vllm_cpu_0_32.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
sys.path.insert(0, str(Path(__file__).parent))
import torch
from streams import steps_of
from vllm.platforms import current_platform

current_platform.import_kernels()
from vllm.v1.sample.ops import topk_topp_sampler  # noqa: E402


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch of streams."""
    sampler = topk_topp_sampler.TopKTopPSampler("processed_logits")
    assert sampler.forward == sampler.forward_cpu
    generators = {row: torch.Generator().manual_seed(case["seed"][row]) for row in range(case["rows"])}
    got = [sampler.forward(logits, generators, k, p) for logits, k, p in steps_of(case)]
    return torch.cat([tokens for tokens, _ in got]).long(), torch.cat([logits for _, logits in got])


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
