"""SGLang 0.5.23's own draws, as with --enable-deterministic-inference.

    python sglang_0_5_23.py CASES.pt TOKENS.pt

Its sampler and batch info are plain PyTorch; the hash runs in Triton's interpreter, where the branch to a compiled hash for
CPUs is closed.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

sys.path.insert(0, str(Path(__file__).parent))
import stand_ins
import torch
import triton

torch.set_num_threads(1)
server = MagicMock()
server.kernel.sampling_backend = "pytorch"
server.deterministic.enable_deterministic_inference = True  # what the flag sets
server.features.enable_custom_logit_processor = server.features.enable_watermark = False
stand_ins.stand_in("sglang.srt.runtime_context", get_exec=lambda: server)
stand_ins.stand_in("sglang.srt.sampling.sampling_params", TOP_K_ALL=1 << 30)
stand_ins.stand_in("sglang.srt.managers.schedule_batch", ScheduleBatch=type("ScheduleBatch", (), {}))
stand_ins.use("sglang")

from sglang.kernels.ops.sampling import murmur_hash  # noqa: E402
from sglang.srt.layers import sampler  # noqa: E402
from sglang.srt.sampling.sampling_batch_info import SamplingBatchInfo  # noqa: E402


def hashed(seed: torch.Tensor, positions: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """`murmur_hash32` on its way to a GPU."""
    n, m = len(seed), len(columns)
    out = torch.empty((n, m), dtype=torch.uint32)
    kernel = murmur_hash.murmur_hash32_kernel
    kernel[(n, triton.cdiv(m, 1024))](seed, positions, columns, out, n, m, BLOCK_SIZE=1024)
    return out


sampler.murmur_hash32 = hashed


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch."""
    asked = {
        "temperature": 1.0,
        "top_p": 1.0 if case["top_p"] is None else case["top_p"],
        "top_k": 1 << 30 if case["top_k"] is None else case["top_k"],
        "min_p": 0.0,
        "logit_bias": None,
    }
    requests = [
        types.SimpleNamespace(
            sampling_params=types.SimpleNamespace(**asked, sampling_seed=seed),
            return_sampling_mask=False,
            sampling_logprobs_mode=None,
            custom_logit_processor=None,
        )
        for seed in case["seed"]
    ]
    batch = types.SimpleNamespace(reqs=requests, device="cpu")
    info = SamplingBatchInfo.from_schedule_batch(batch, case["logits"].shape[1])
    info.sampling_mask_batch_indices = None
    simple = not (info.need_top_p_sampling or info.need_top_k_sampling or info.need_min_p_sampling)
    probs, positions = case["logits"].softmax(-1), torch.tensor(case["position"])
    drawn = sampler.Sampler._sample_from_probs(MagicMock(), probs.clone(), info, positions, simple)[0].long()
    if simple:
        return drawn, case["logits"]
    _, kept, ids, _ = sampler.top_k_top_p_min_p_sampling_from_probs_torch(
        probs.clone(),
        info.top_ks,
        info.top_ps,
        info.min_ps,
        False,
        info.sampling_seed,
        positions,
        return_filtered_probs=True,
    )
    mask = torch.zeros_like(probs).scatter(1, ids.long(), kept) > 0
    return drawn, case["logits"].masked_fill(~mask, -torch.inf)


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
