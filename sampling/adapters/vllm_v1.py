"""The exact draw as a logits processor of vLLM's V1 runner, which CPUs have."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from sampling.adapters.vllm import check_vllm
from sampling.adapters.vllm_request import Asked, Text
from sampling.core.errors import InvalidArgument


class ReferenceDrawV1(LogitsProcessor):
    """The same as `ReferenceDraw` for vLLM's V1 runner: `--logits-processors sampling.adapters.vllm:ReferenceDrawV1`.

    Args:
        vllm_config: Of the engine.
        device: Where the logits are.
        is_pin_memory: As vLLM has it.

    Raises:
        InvalidArgument: vLLM is of an untested version, or drafts tokens.
    """

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        check_vllm(vllm_config)
        # By row: its text, and the list in which vLLM keeps what was sampled.
        self.texts: dict[int, tuple[Text, list[int]]] = {}

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request that asks for what is not there."""
        Asked.of(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """Return False: greedy requests are drawn, too."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow requests that come, go and change places."""
        process_dict_updates(self.texts, batch_update, new_text)

    def apply(self, logits: Tensor) -> Tensor:
        """Process the rows of requests that ask for it, in place."""
        for row, (text, sampled) in self.texts.items():
            logits[row : row + 1] = text.next(sampled, logits[row : row + 1])
        return logits


def new_text(params: Any, prompt: list[int] | None, sampled: list[int]) -> tuple[Text, list[int]] | None:
    """Return the text of a request that asks for something.

    Raises:
        InvalidArgument: Its prompt is no token ids.
    """
    asked = Asked.of(params)
    if asked is None:
        return None
    if prompt is None:
        raise InvalidArgument("prompt_token_ids", None, "token ids, which the history holds")
    return Text(asked, prompt), sampled
