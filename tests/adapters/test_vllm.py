"""What requests of vLLM may ask of our processor, and their texts; benchmarks/adapters records it in the engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sampling import (
    FrequencyPenalty,
    History,
    InvalidArgument,
    Temperature,
    TopP,
    UnsampleableRow,
    chain,
    draw,
)
from sampling.adapters.vllm_request import Asked, Text

LOGITS = torch.randn(8, 40, generator=torch.Generator().manual_seed(0)) * 3
NEUTRAL: dict[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
NEUTRAL |= {"frequency_penalty": 0.0, "presence_penalty": 0.0, "logit_bias": None, "seed": 7}


def params(extra: dict[str, Any] | None, **own: Any) -> Any:
    """The parameters that vLLM has of a request, as far as they are read."""
    named = None if extra is None else {f"sampling_{name}": value for name, value in extra.items()}
    return SimpleNamespace(**(NEUTRAL | own), extra_args=named)


def text_of(extra: dict[str, Any], **own: Any) -> Text:
    asked = Asked.of(params(extra, **own))
    assert asked is not None
    return Text(asked, [5, 6])


def test_a_request_is_drawn_as_by_our_own_loop():
    text = text_of({"temperature": 1.2, "top_p": 0.9, "frequency_penalty": 0.5}, temperature=0.3, top_k=1)
    pipeline, history, sampled = (
        chain(FrequencyPenalty(0.5), Temperature(1.2), TopP(0.9)),
        History.start([[5, 6]]),
        [],
    )
    for row in LOGITS:
        left = text.next(sampled, row[None])
        assert left.isfinite().sum() == 1
        token = draw(pipeline(row[None], history), seed=7, history=history)
        assert left.argmax(-1).tolist() == token.tolist()
        history.accept(token)
        sampled.append(token.item())


def test_a_request_that_is_processed_only():
    text = text_of({"draw": 0, "top_p": 0.8})
    assert torch.equal(text.next([], LOGITS[:1]), TopP(0.8)(LOGITS[:1]))
    assert (
        text_of({"draw": 0, "frequency_penalty": 0.5}, temperature=0.4) is not None
    )  # behind an edit vLLM's may stand


@pytest.mark.parametrize("extra", [None, {}], ids=str)
def test_others_ask_nothing(extra):
    assert Asked.of(params(extra)) is None


@pytest.mark.parametrize(
    ("extra", "own", "message"),
    [
        ({"temprature": 1.0}, {}, "sampling_temprature: got 1.0, must be one of draw, dialect, temperature"),
        ({"temperature": 5.0}, {}, "temperature: got 5.0"),
        ({"dialect": "none"}, {}, "none"),
        ({"temperature": 1.0}, {"seed": None}, "seed: got None, must be given, unless sampling_draw is 0"),
        (
            {"temperature": 1.0},
            {"frequency_penalty": 0.5},
            "frequency_penalty: got 0.5, must be left out beside",
        ),
        ({"temperature": 1.0}, {"logit_bias": {3: 1.0}}, "logit_bias: got .3: 1.0., must be left out beside"),
        (
            {"draw": 0, "top_p": 0.5},
            {"temperature": 0.5},
            "temperature: got 0.5, must be neutral with sampling_draw 0",
        ),
        ({"draw": 0, "top_p": 0.5}, {"top_k": 3}, "top_k: got 3, must be neutral with sampling_draw 0"),
    ],
)
def test_what_cannot_be_is_refused(extra, own, message):
    with pytest.raises(InvalidArgument, match=message):
        Asked.of(params(extra, **own))


def test_tokens_that_are_not_known_and_rows_without_one_are_refused():
    with pytest.raises(InvalidArgument, match="output_token_ids: got -1"):
        text_of({"temperature": 1.0}).next([-1], LOGITS[:1])
    with pytest.raises(UnsampleableRow, match="token 0 of a request cannot be sampled"):
        text_of({"temperature": 1.0}).next([], torch.full((1, 40), -torch.inf))
