"""transformers' `generate`, one token, over a model that says what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from benchmarks.conformance.engines.adapter import Adapter, Seeds, known, rows_of

FLOATS = ("temperature", "top_p", "min_p", "repetition_penalty")
FIELDS = (*FLOATS, "top_k", "logit_bias")


class Fixture(PreTrainedModel, GenerationMixin):
    """A model whose next logits are those of `row`."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"
    row: Tensor

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.unused = torch.nn.Parameter(torch.zeros(1))  # generate asks where the parameters are

    def forward(self, input_ids: Tensor, **_: Any) -> CausalLMOutput:
        """The same logits whatever is read."""
        return CausalLMOutput(logits=self.row.expand(len(input_ids), 1, -1).clone())

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        """Only the tokens."""
        return {"input_ids": input_ids}


class TransformersGenerate(Adapter):
    """Prompt and output are `input_ids`; the seed of the first row seeds the global generator, as there is no other."""

    name = "transformers generate"
    version = transformers.__version__
    dialect = "transformers"
    through = (
        "GenerationMixin.generate(do_sample=True, max_new_tokens=1) with its own processors; logit_bias is `sequence_bias`; "
        "a batch has one generator, torch's global one, seeded with the first row's seed"
    )

    def __init__(self) -> None:
        self.model = Fixture(PretrainedConfig(vocab_size=16))
        self.model.eval()

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Seeds,
    ) -> list[int]:
        """One `generate` of a batch."""
        fields = known(params, FIELDS)
        fields |= {
            name: float(fields[name]) for name in FLOATS if name in fields
        }  # generate refuses an integer
        bias = fields.pop("logit_bias", {})
        if bias:
            fields["sequence_bias"] = {(int(token),): float(value) for token, value in bias.items()}
        past = [*prompt_ids, *output_ids]
        if not past and "repetition_penalty" in fields:
            raise ValueError("generate wants a prompt, and would count it")
        self.model.row = rows_of(logits, 1)[:, None]
        if seeds[0] is not None:
            torch.manual_seed(seeds[0])
        input_ids = torch.tensor([past or [0]]).repeat(len(seeds), 1)
        tokens = self.model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            do_sample=True,
            max_new_tokens=1,
            use_cache=False,
            **{"top_k": 0, **fields},
        )
        return tokens[:, -1].tolist()
