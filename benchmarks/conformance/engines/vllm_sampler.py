"""vLLM's PyTorch sampler (v1), without its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessors
from vllm.v1.sample.logits_processor.builtin import LogitBiasLogitsProcessor, MinPLogitsProcessor
from vllm.v1.sample.logits_processor.interface import BatchUpdate
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.sampler import Sampler
from vllm.version import __version__

from benchmarks.conformance.engines.adapter import Adapter, Seeds, biases, known, rows_of

GREEDY_BELOW = 1e-5  # vllm.v1.sample.sampler._SAMPLING_EPS


class VllmSampler(Adapter):
    """`SamplingParams` checks the request; `Sampler.forward` answers it."""

    name = "vLLM sampler"
    version = __version__
    dialect = "vllm-pytorch"
    through = (
        "SamplingParams, the built-in logits processors and vllm.v1.sample.sampler.Sampler.forward with its PyTorch-native "
        "top_k, top_p and draw; the adapter lays out SamplingMetadata as the GPU model runner does, one generator per row"
    )

    def __init__(self) -> None:
        self.sampler = Sampler()

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Seeds,
    ) -> list[int]:
        """One step of a batch."""
        wanted = SamplingParams(**{**known(params), "logit_bias": biases(params) or None})
        rows = rows_of(logits, len(seeds))
        state = metadata(wanted, rows, prompt_ids, output_ids, generators(rows, output_ids, seeds))
        return self.sampler(rows, state).sampled_token_ids[:, 0].tolist()


def generators(rows: Tensor, output_ids: Sequence[int], seeds: Seeds) -> dict[int, torch.Generator]:
    """A generator for each row that has a seed, after as many steps as there are sampled tokens."""
    made: dict[int, torch.Generator] = {}
    for row, seed in enumerate(seeds):
        if seed is not None:
            made[row] = torch.Generator().manual_seed(seed)
            for _ in output_ids:
                torch.empty_like(rows[0]).exponential_(generator=made[row])
    return made


def metadata(
    params: SamplingParams,
    rows: Tensor,
    prompt_ids: Sequence[int],
    output_ids: Sequence[int],
    seeded: dict[int, torch.Generator],
) -> SamplingMetadata:
    """What the model runner hands to the sampler for a batch of equal requests."""
    count, width = rows.shape
    greedy = params.temperature < GREEDY_BELOW

    def column(value: float) -> Tensor:
        return torch.full((count,), value)

    return SamplingMetadata(
        temperature=None if greedy else column(params.temperature),
        all_greedy=greedy,
        all_random=not greedy,
        top_p=column(params.top_p) if params.top_p < 1 else None,
        top_k=torch.full((count,), params.top_k) if 0 < params.top_k < width else None,
        generators=seeded,
        max_num_logprobs=None,
        no_penalties=(params.presence_penalty, params.frequency_penalty, params.repetition_penalty)
        == (0, 0, 1),
        prompt_token_ids=torch.tensor([list(prompt_ids)], dtype=torch.int64).repeat(count, 1),
        frequency_penalties=column(params.frequency_penalty),
        presence_penalties=column(params.presence_penalty),
        repetition_penalties=column(params.repetition_penalty),
        output_token_ids=[list(output_ids)] * count,
        allowed_token_ids_mask=None,
        bad_words_token_ids={},
        logitsprocs=processors(params, count),
    )


def processors(params: SamplingParams, count: int) -> LogitsProcessors:
    """The built-in logits processors that know such a batch."""
    device = torch.device("cpu")
    config: Any = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=count))
    made = [MinPLogitsProcessor(config, device, False), LogitBiasLogitsProcessor(config, device, False)]
    added = [(row, params, None, []) for row in range(count)]
    for processor in made:
        processor.update_state(BatchUpdate(count, removed=[], added=added, moved=[]))
    return LogitsProcessors(made)
