"""vLLM: pipelines and the exact draw as a logits processor of its model runner V2, and of V1 under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor

from sampling.adapters.hosts import check_host
from sampling.adapters.vllm_request import Asked, Text
from sampling.core.errors import InvalidArgument

if TYPE_CHECKING:
    from torch import Tensor

    from sampling.adapters.vllm_v1 import ReferenceDrawV1

__all__ = ["ReferenceDraw", "ReferenceDrawV1"]


class ReferenceDraw(LogitsProcessor):
    """The exact draw in vLLM's model runner V2: `--logits-processors sampling.adapters.vllm:ReferenceDraw`.

    A request asks for it by `vllm_xargs` (`extra_args` in Python) whose names begin with `sampling_`: parameters,
    `sampling_dialect`, and `sampling_draw` 0 for a pipeline without a draw. The seed is the request's own; vLLM gives
    the choice i of a request the seed + i. Requests without such names are vLLM's alone.

    Args:
        vllm_config: Of the engine.
        req_states: The tokens of its slots.

    Raises:
        InvalidArgument: vLLM is of an untested version, or drafts tokens.
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        check_vllm(vllm_config)
        self._states = req_states
        self._asked: dict[int, Asked | None] = {}
        self._texts: dict[int, Text] = {}

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request that asks for what is not there."""
        Asked.of(sampling_params)

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Put a request into a slot; return whether it asks anything of us."""
        self._asked[req_idx] = Asked.of(sampling_params)
        self._texts.pop(req_idx, None)
        return self._asked[req_idx] is not None

    def apply(self, logits: Tensor, ctx: Any) -> Tensor:
        """Process the rows of requests that ask for it, in place."""
        for row, (slot, last) in enumerate(
            zip(ctx.expanded_idx_mapping.tolist(), ctx.pos.tolist(), strict=True)
        ):
            asked, prompt = self._asked.get(slot), int(self._states.prompt_len.np[slot])
            if asked is None or last + 1 < prompt:  # of a prompt that is not through, nothing is sampled
                continue
            ids = self._states.all_token_ids.gpu[slot, : last + 1].tolist()
            text = self._texts.setdefault(slot, Text(asked, ids[:prompt]))
            logits[row : row + 1] = text.next(ids[prompt:], logits[row : row + 1])
        return logits


def check_vllm(vllm_config: Any) -> None:
    """Refuse an engine in which the tokens would not be these draws.

    Raises:
        InvalidArgument: It is of an untested version, or drafts tokens.
    """
    check_host("vllm")
    if vllm_config.speculative_config is not None:
        raise InvalidArgument("speculative_config", "drafts", "left out: a draft is not drawn")


def __getattr__(name: str) -> Any:
    """Import the class for V1 when it is asked for: its interface brings the whole of vLLM's sampler."""
    if name == "ReferenceDrawV1":
        from sampling.adapters.vllm_v1 import ReferenceDrawV1

        return ReferenceDrawV1
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
