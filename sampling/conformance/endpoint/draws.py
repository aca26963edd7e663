"""Draws from the cases of an endpoint; checks share those of the same case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.endpoint_context import EndpointContext, choices_of, reply_of
from sampling.conformance.endpoint.ground import EndpointCase
from sampling.conformance.endpoint.prompts import Messages
from sampling.conformance.endpoint.reply import Reply
from sampling.core.errors import shown


def draws(context: EndpointContext, case: EndpointCase, count: int = 1) -> NDArray[np.int64]:
    """Draws of some requests, as places of the case's tokens.

    Raises:
        CheckEnded: A token from outside of the biased ones was drawn.
    """
    return np.concatenate([tokens for _, tokens in islice(batches(context, [case], count), count)])


def per_request(context: EndpointContext, case: EndpointCase) -> int:
    """How many draws one request gives: n, but 1 at temperature 0 where the endpoint refuses more."""
    return context.profile.per_request(case.fields)


def request(context: EndpointContext, case: EndpointCase, number: int) -> tuple[Messages, dict[str, Any]]:
    """Return a case's request of some number; its seed is fixed, whatever else is asked before."""
    return case.messages, {
        "n": per_request(context, case),
        **case.fields,
        **context.seed_of(repr(case), number),
    }


def drawn(context: EndpointContext, case: EndpointCase, reply: Reply) -> NDArray[np.int64]:
    """Return the draws of one response.

    Raises:
        CheckEnded: A token from outside of the biased ones was drawn, or there are fewer choices than were asked for.
    """
    choices = choices_of(reply, per_request(context, case)).choices
    found = [case.place(choice) for choice in choices]
    for choice, place in zip(choices, found, strict=True):
        if place is None:
            words = f"{shown(choice.text)} was sampled though biases make it less likely than e^-20 (see bias.force)"
            raise CheckEnded(words)
    return np.array(found, dtype=np.int64)


def batches(
    context: EndpointContext, cases: Sequence[EndpointCase], needed: int = 0
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Draws from the cases in turns, without end; what another check has drawn from the same one comes first.

    Requests go out together, and their answers are taken in order: what is decided does not depend on how many at a time.
    """
    pools = [context.pools.setdefault(repr(case), []) for case in cases]
    for number in count():
        turn, which = divmod(number, len(cases))
        if turn == len(pools[which]):
            ahead = needed - number if needed > number else context.client.parallel
            fill(context, cases, number, min(ahead, context.client.parallel))
        yield which, drawn(context, cases[which], pools[which][turn])


def fill(context: EndpointContext, cases: Sequence[EndpointCase], number: int, most: int) -> None:
    """Ask what is not known of some requests, in turns.

    Raises:
        CheckEnded: The first request has no response; where a later one has none, those before it are kept.
    """
    turns = [divmod(each, len(cases)) for each in range(number, number + most)]
    pools = [context.pools[repr(case)] for case in cases]
    missing = [(turn, which) for turn, which in turns if turn >= len(pools[which])]
    replies = context.profile.ask_all([request(context, cases[which], turn) for turn, which in missing])
    reply_of(replies[0])
    for (_, which), reply in zip(missing, replies, strict=True):
        if isinstance(reply, CheckEnded):
            break
        pools[which].append(reply)
