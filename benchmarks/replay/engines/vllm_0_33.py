"""vLLM 0.33's own draws, its Triton kernels in Triton's interpreter.

python vllm_0_33.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stand_ins
import torch
import triton
import triton.language as tl

torch.set_num_threads(1)
no = lambda: False  # noqa: E731
stand_ins.stand_in("vllm.triton_utils", tl=tl, triton=triton, HAS_TRITON=True)
platform = types.SimpleNamespace(is_cuda=no, is_cuda_alike=no, is_cpu=no, is_xpu=no)
stand_ins.stand_in("vllm.platforms", current_platform=platform, CpuArchEnum=None)
stand_ins.use("vllm")

from vllm.v1.engine.parallel_sampling import ParentRequest  # noqa: E402
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch  # noqa: E402
from vllm.v1.worker.gpu.sample.gumbel import gumbel_sample  # noqa: E402


def child_seed(seed: int, choice: int) -> int:
    """The seed that the engine gives to a choice."""
    asked = types.SimpleNamespace(n=choice + 1, seed=seed, output_kind=None)
    request = types.SimpleNamespace(request_id="r", external_req_id="r", params=asked)
    return ParentRequest(request).get_child_info(choice)[1].seed


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch."""
    logits, rows = case["logits"].clone(), len(case["seed"])
    k, p = (None if case[name] is None else torch.full((rows,), case[name]) for name in ("top_k", "top_p"))
    if k is not None or p is not None:
        logits = apply_top_k_top_p_pytorch(logits, k, p)
    seeds = torch.tensor([child_seed(*one) for one in zip(case["seed"], case["choice"], strict=True)])
    drawn = gumbel_sample(
        logits.clone(),
        torch.arange(rows, dtype=torch.int32),
        torch.ones(rows),
        seeds,
        torch.tensor(case["position"]),
        apply_temperature=False,
        is_drafting=False,
        use_fp64=case["rule"] == "vllm-0.33-fp64",
    )
    return drawn, logits


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
