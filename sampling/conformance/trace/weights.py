"""The leg that compares a trace's log probabilities with those of weights at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from sampling.conformance.endpoint.weights import ReferenceWeights, closeness
from sampling.conformance.trace.record import Record

MOST = 64  # completions that are compared, each with all its prompt: weights at hand may be slow


def against_weights(records: Sequence[Record], reference: ReferenceWeights) -> str:
    """How far the log probabilities of a trace are from the reference's, in words."""
    comparable = [record for record in records if record.prompt_ids and record.logprob_mode == "raw"]
    if not comparable:
        return "the model's identity could not be tested: the trace has no raw log probabilities behind prompts of known ids"
    foreign = next(
        (token for record in comparable for token in ids_of(record) if token >= reference.width), None
    )
    if foreign is not None:
        return f"another model: token {foreign} is none of the reference's {reference.width}"
    distinct = {(*(record.prompt_ids or ()), -1, *record.token_ids): record for record in comparable}
    gaps = [gap for record in islice(distinct.values(), MOST) for gap in gaps_of(record, reference)]
    if not gaps:
        return "the model's identity could not be tested: the trace lists no log probabilities"
    return closeness(gaps)


def ids_of(record: Record) -> Iterator[int]:
    """All ids that a record names."""
    yield from record.prompt_ids or ()
    yield from record.token_ids
    yield from (entry.id for listed in record.top_logprobs for entry in listed)


def gaps_of(record: Record, reference: ReferenceWeights) -> list[float]:
    """By how much the listed log probabilities differ from the reference's."""
    prompt = record.prompt_ids or []
    rows = reference.rows([*prompt, *record.token_ids[:-1]])[len(prompt) - 1 :]
    return [
        abs(float(row[entry.id]) - entry.logprob)
        for row, listed in zip(rows, record.top_logprobs, strict=False)
        for entry in listed
    ]
