"""vLLM's V1 draws on a CPU, without its CPU extension.

python vllm_v1.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stand_ins
import torch
from streams import steps_of

no = lambda: False  # noqa: E731
stand_ins.stand_in("vllm.triton_utils", HAS_TRITON=False)
platform = types.SimpleNamespace(is_cuda=no, is_cuda_alike=no, is_cpu=no, is_xpu=no)
stand_ins.stand_in("vllm.platforms", current_platform=platform, CpuArchEnum=None)
stand_ins.use("vllm")

from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch, random_sample  # noqa: E402


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch of streams."""
    generators = {row: torch.Generator().manual_seed(case["seed"][row]) for row in range(case["rows"])}
    tokens, processed = [], []
    for logits, k, p in steps_of(case):
        if k is not None or p is not None:
            logits = apply_top_k_top_p_pytorch(logits, k, p)
        tokens.append(random_sample(logits.softmax(dim=-1, dtype=torch.float32), generators))
        processed.append(logits)
    return torch.cat(tokens), torch.cat(processed)


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
