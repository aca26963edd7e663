"""SGLang's sampler with its PyTorch backend, without its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import sglang.srt.layers.sampler as engine
import torch
from numpy.typing import NDArray
from sglang.srt.layers.logits_processor import LogitsProcessorOutput
from sglang.srt.runtime_context import get_context
from sglang.srt.sampling.sampling_batch_info import SamplingBatchInfo
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang.version import __version__

from benchmarks.conformance.engines.adapter import Adapter, Seeds, biases, known, rows_of


class Batch:
    """As much of a ScheduleBatch as SamplingBatchInfo reads."""

    device = "cpu"

    def __init__(self, params: SamplingParams, count: int) -> None:
        request = SimpleNamespace(
            sampling_params=params,
            return_sampling_mask=False,
            sampling_logprobs_mode=None,
            custom_logit_processor=None,
        )
        self.reqs = [request] * count


class SglangSampler(Adapter):
    """`SamplingParams` checks the request, `SamplingBatchInfo` penalises and biases, `Sampler.forward` draws."""

    name = "SGLang sampler"
    version = __version__
    dialect = "sglang"
    through = (
        "SamplingParams, SamplingBatchInfo with its penalizers, and sglang.srt.layers.sampler.Sampler.forward with the backend "
        "'pytorch'; seeds need a Triton kernel (murmur_hash32) and so a GPU: seeded requests are refused here. torchvision, "
        "which it imports for pictures, is an empty stand-in"
    )

    def __init__(self) -> None:
        get_context().override_server_args(sampling_backend="pytorch").install()
        self.sampler = engine.Sampler.__new__(engine.Sampler)
        torch.nn.Module.__init__(self.sampler)
        self.sampler.rl_on_policy_target = None
        self.sampler.enable_deterministic = False
        self.sampler.use_log_softmax_logprob = False
        self.sampler.use_ascend_backend = False

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Seeds,
    ) -> list[int]:
        """One step of a batch."""
        if any(seed is not None for seed in seeds):
            raise ValueError("seed: murmur_hash32 is a Triton kernel and wants a GPU")
        fields: dict[str, Any] = known(params)
        if biases(params):
            fields["logit_bias"] = {str(token): value for token, value in biases(params).items()}
        wanted = SamplingParams(**fields)
        wanted.verify(len(logits))
        batch = Batch(wanted, len(seeds))
        info = SamplingBatchInfo.from_schedule_batch(batch, len(logits))
        for token in output_ids:
            info.penalizer_orchestrator.cumulate_output_tokens(torch.full((len(seeds),), token))
        rows = rows_of(logits, len(seeds))
        info.apply_logits_bias(rows)
        output = LogitsProcessorOutput(next_token_logits=rows)
        positions = torch.full((len(seeds),), len(prompt_ids) + len(output_ids))
        nothing = [0] * len(seeds)
        return self.sampler(output, info, False, nothing, [None] * len(seeds), positions).tolist()
