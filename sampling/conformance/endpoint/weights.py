"""The leg that compares an endpoint's log probabilities with those of weights at hand."""

from __future__ import annotations

import torch

from sampling.conformance.endpoint.survey import LETTERS, Survey
from sampling.conformance.endpoint.trouble import Missing
from sampling.dialects import dialect
from sampling.loaded_model import LoadedModel
from sampling.text import encode_chat

CLOSE = 1e-3  # nats: float32 weights on another machine
QUANTISED = 0.5  # nats: the same weights in fewer bits


def against_weights(survey: Survey, reference: LoadedModel, name: str) -> str:
    """How far the listed log probabilities of the plain request are from the reference's, in words.

    Args:
        survey: The endpoint's.
        reference: Model and tokenizer.
        name: The dialect, which says how prompts are tokenised.

    Raises:
        CheckEnded: The endpoint lists no log probabilities.
    """
    listed = survey.listed()
    if not listed:
        raise Missing("the endpoint tells no log probabilities")
    told = dialect(name)
    prompt = encode_chat(
        reference.tokenizer,
        LETTERS,
        double_bos=told.double_bos,
        parse_control_tokens=told.parse_control_tokens,
    )
    row = torch.log_softmax(reference.logits(prompt)[-1].double(), dim=-1)
    own: dict[str, float] = {}
    for token in row.argsort(descending=True)[: 10 * len(listed)].tolist():
        own.setdefault(reference.vocabulary.text_of(token), float(row[token]))
    gaps = [abs(own[text] - value) for text, value in listed.items() if text in own]
    strange = len(listed) - len(gaps)
    if strange:
        return (
            f"another model: {strange} of {len(listed)} listed tokens are not likely by the reference weights"
        )
    largest = max(gaps)
    kind = (
        "the reference weights"
        if largest <= CLOSE
        else "rounded weights"
        if largest <= QUANTISED
        else "other weights"
    )
    return f"{kind}: {len(gaps)} log probabilities differ from the reference's by at most {largest:.2g} nats"
