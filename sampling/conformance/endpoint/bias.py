"""Checks of what biases do."""

from __future__ import annotations

import math

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run
from sampling.conformance.endpoint.trouble import Unfenced
from sampling.conformance.statistics.planning import detectable_mass, draws_to_exclude
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.errors import shown

BAN, FORCE = -100, 100
TRIED = 6  # ids that are forced
MOST = 640  # draws from the model's own distribution
LEAST_MASS = 0.02


def force(context: EndpointContext) -> Finding:
    """Force ids, one at a time, at the highest temperature."""
    try:
        known = context.profile.texts()
    except Unfenced as end:
        return Finding(Verdict.UNSUPPORTED if end.refusal else Verdict.IGNORED, str(end))
    n, drawn = context.profile.per_request(), 0
    for text, token in [*known.items()][:TRIED]:
        reply = context.ask(n=n, temperature=2, logit_bias={str(token): FORCE}, **context.seeds())
        drawn += len(reply.choices)
        others = [choice.text for choice in reply.choices if choice.text != text]
        if others:
            words = (
                f"id {token} said {text!r} once, and then under the same bias of {FORCE} {shown(others[0])}"
            )
            return Finding(Verdict.DEVIATES, words, drawn, false_alarm=0.0)
    detects = f"other tokens of a probability of {detectable_mass(drawn):.2g}"
    words = f"{min(TRIED, len(known))} ids, each said one text of its own in {drawn} draws at temperature 2"
    return Finding(Verdict.CONFORMS, words, drawn, detects)


def ban(context: EndpointContext) -> Finding:
    """Ban likely tokens in the model's own distribution."""
    try:
        known = context.profile.texts()
    except Unfenced as end:
        if end.refusal:
            return Finding(Verdict.UNSUPPORTED, str(end))
        raise
    listed = context.profile.listed()
    banned = {text: math.exp(value) for text, value in listed.items() if text in known}
    least = max(banned.values(), default=0.0)
    if least < LEAST_MASS:
        raise NotTestable("no token with a known id is likely enough in the model's own distribution")
    text = max(banned, key=banned.__getitem__)
    n, drawn = context.profile.per_request(), 0
    while drawn < min(draws_to_exclude(least), MOST):
        reply = context.ask(n=n, logit_bias={str(known[text]): BAN}, **context.seeds())
        drawn += len(reply.choices)
        if any(choice.text == text for choice in reply.choices):
            words = f"{text!r} was sampled under a bias of {BAN}, after {drawn} draws"
            return Finding(Verdict.DEVIATES, words, drawn, false_alarm=0.0)
    if drawn < draws_to_exclude(least):
        raise CheckEnded(f"{drawn} draws are too few for a token of probability {least:.2g}")
    words = f"{text!r}, of probability {least:.2g}, was not sampled in {drawn} draws"
    return Finding(
        Verdict.CONFORMS,
        words,
        drawn,
        f"the token, unless it has become {13.8 / drawn / least:.2g} as likely",
    )


RUNS: dict[str, Run] = {"bias.force": force, "bias.ban": ban}
