"""Draws of transformers' `generate` over a model that says what it is told.

python transformers_generate.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import torch
from streams import steps_of
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class Fixture(PreTrainedModel, GenerationMixin):
    """A model whose next logits are those of the next step."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"
    steps: list[torch.Tensor]

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.unused = torch.nn.Parameter(torch.zeros(1))  # generate asks where the parameters are

    def forward(self, input_ids: torch.Tensor, **_: Any) -> CausalLMOutput:
        """The logits of the step, whatever is read."""
        return CausalLMOutput(logits=self.steps[input_ids.shape[1] - 1][:, None].clone())

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        """Only the tokens."""
        return {"input_ids": input_ids}


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch, one `generate`."""
    model = Fixture(PretrainedConfig(vocab_size=case["logits"].shape[1]))
    model.eval()
    model.steps = [logits for logits, _, _ in steps_of(case)]
    torch.manual_seed(case["seed"][0])
    start = torch.zeros(case["rows"], 1, dtype=torch.long)
    got = model.generate(
        start,
        attention_mask=torch.ones_like(start),
        do_sample=True,
        max_new_tokens=len(model.steps),
        use_cache=False,
        top_k=case["top_k"] or 0,
        top_p=case["top_p"] or 1.0,
        output_scores=True,
        return_dict_in_generate=True,
    )
    return got.sequences[:, 1:].T.reshape(-1), torch.cat(got.scores)


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
