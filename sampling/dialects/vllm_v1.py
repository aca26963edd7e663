"""vLLM's V1 model runner: without Triton, as on CPUs, or where the V2 runner lacks something."""

from __future__ import annotations

from dataclasses import replace

from sampling.dialects.vllm import VLLM

VLLM_V1 = replace(
    VLLM,
    name="vllm-v1",
    source="vLLM 0.32, vllm/v1/sample/sampler.py and ops/topk_topp_sampler.py, apply_top_k_top_p_pytorch; else as vllm",
    versions="0.32 and 0.33 with their V1 runner",
    seen="run",
    top_k_ties="all",
    top_p_ties="arbitrary",
    defects=(
        "choices of neighbouring seeds are the same: choice i of seed s is choice 0 of seed s + i",
        "a CPU's generator takes the lower 32 bits of a seed",
    ),
)
