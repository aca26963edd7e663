"""The exponential race of torch.multinomial, on streams of torch's own generator: vLLM's V1 and transformers.

Source: aten/src/ATen/native/Distributions.cpp (multinomial_out); vllm 0.33.0, vllm/v1/sample/ops/topk_topp_sampler.py
(random_sample); transformers 5.23, generation/utils.py (_sample).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.sampler.rules.keys import RngKeys
from sampling.sampler.rules.noisy_arg_max import margin_of_scores
from sampling.sampler.rules.rule import DrawRule, Margin, choice_adds_to_seed
from sampling.sampler.rules.torch_stream import exponentials


@dataclass(frozen=True, kw_only=True)
class ExponentialRace(DrawRule):
    """The arg max of probability / exponential variate, V variates of a row's stream for each draw."""

    def of_full_rows(self, rows: WeightedLogits, keys: RngKeys) -> Tensor:
        """Return token ids, int64 [B]."""
        return self._quotients(rows.logits, keys).argmax(-1)

    def of_candidates(self, candidates: Candidates, keys: RngKeys) -> tuple[Tensor, Tensor]:
        """Return certain tokens of no row: the softmax of a part is not bit for bit that of the whole."""
        nothing = torch.zeros_like(keys.seed)
        return nothing, nothing > 0

    def margin(self, rows: WeightedLogits, keys: RngKeys) -> Margin:
        """Return the distance of the two best, as the logarithm of their quotient."""
        score = self._quotients(rows.logits, keys).double().log()
        return margin_of_scores(score, score.argmax(-1, keepdim=True), torch.full_like(score[:, 0], 2.0**-20))

    def _quotients(self, logits: Tensor, keys: RngKeys) -> Tensor:
        v = logits.shape[1]
        starts = zip(keys.seed.tolist(), keys.position.tolist(), strict=True)
        variates = torch.empty_like(logits, dtype=torch.float32, device="cpu")
        for row, (seed, position) in zip(variates, starts, strict=True):
            row.copy_(exponentials(seed, position * v, v))
        return logits.softmax(-1) / variates.to(logits.device)


def one_call_for_all_rows(position: Tensor) -> Tensor:
    """Return how many rows a stream has served before each row of a batch, int64 [B]."""
    rows = position.shape[0]
    return position * rows + torch.arange(rows, device=position.device)


TRANSFORMERS = ExponentialRace(
    name="transformers",
    source="transformers 5.23.0, generation/utils.py (_sample); torch 2.13, multinomial on a CPU",
    dialect="transformers",
    on_host=True,
    stream=one_call_for_all_rows,
)
VLLM_V1 = ExponentialRace(
    name="vllm-v1",
    source="vllm 0.33.0, vllm/v1/sample/ops/topk_topp_sampler.py (forward_native) on a CPU",
    dialect="vllm-v1",
    keyed=choice_adds_to_seed,
    no_seeds=(-1,),
    on_host=True,
)
