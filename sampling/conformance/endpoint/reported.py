"""Checks of the log probabilities that an endpoint reports. They look at values, and draw nothing to speak of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.lab import EndpointLab, Run
from sampling.conformance.endpoint.reply import SENTINEL, Entry, Position, unlikely, values_of
from sampling.conformance.endpoint.survey import FORCE, LISTED
from sampling.conformance.endpoint.trouble import Malformed, Missing, Refused
from sampling.conformance.oracle import logprobs
from sampling.conformance.question import Question
from sampling.conformance.verdict import Finding, Verdict, certain
from sampling.dialects import MODES
from sampling.errors import shown

TRIED, REPEATED = 12, 8  # tokens that are forced until one is listed behind itself, and how often each
CLOSE = 2e-3  # nats; more where the endpoint does not repeat itself
WANTED: dict[str, Any] = {"logprobs": True, "top_logprobs": LISTED}
EXACT = "values, not draws: any difference above the tolerance shows"

found = partial(certain, detects=EXACT)


def distribution(lab: EndpointLab) -> Finding:
    """Compare the values at T = 1 and T = 0.5."""
    return by_mode(lab, {"temperature": 0.5})


def zero_temperature(lab: EndpointLab) -> Finding:
    """Look at the values at temperature 0."""
    return by_mode(lab, {"temperature": 0})


def truncation(lab: EndpointLab) -> Finding:
    """Look at the values when top_p keeps a single token."""
    return by_mode(lab, {"top_p": 1e-3})


def penalties_and_bias(lab: EndpointLab) -> Finding:
    """Look at the values when a listed token is biased, and when the first token of two is penalised."""
    listed = list(lab.survey.listed())
    known = [text for text in listed if text in lab.survey.texts()]
    if not known:
        raise NotTestable("no token with a known id is among the 20 most likely")
    token = listed.index(known[-1])
    biased = by_mode(lab, {"logit_bias": {token: 1.5}})
    if biased.verdict is not Verdict.CONFORMS:
        return biased
    try:
        penal = penalised(lab)
    except NotTestable as untold:
        return replace(biased, evidence=f"{biased.evidence}; {untold}")
    return replace(penal, evidence=f"{biased.evidence}; {penal.evidence}")


def penalised(lab: EndpointLab) -> Finding:
    """Force a token until it is listed behind itself, and see which modes give the values there under a presence penalty.

    Raises:
        NotTestable: The dialect has no such penalty, or none of the tokens is listed behind itself.
    """
    if "presence_penalty" not in lab.semantics.stages:
        raise NotTestable(f"the dialect {lab.semantics.name!r} has no presence_penalty")
    for text in islice(lab.survey.texts(), TRIED):
        behind = repeated(lab, text, 0.0)
        place = next((i for i, values in enumerate(behind) if text in values and len(values) >= 3), None)
        if place is not None:
            plain, told = behind[place], repeated(lab, text, 2.0)
            row = np.array([*plain.values()], dtype=np.float32)
            question = Question(row, {"presence_penalty": 2.0}, output_ids=([*plain].index(text),))
            where = f"behind {text!r} with a presence penalty of 2"
            return by_fit(lab, where, question, plain, told[place] if place < len(told) else {})
    raise NotTestable("no token with a known id is listed behind itself, where penalties would show")


def repeated(lab: EndpointLab, text: str, penalty: float) -> list[dict[str, float]]:
    """The values behind a token, behind two of it, and so on; none if it can not be forced."""
    bias = {str(lab.survey.texts()[text]): FORCE}
    reply = lab.ask(max_tokens=REPEATED, presence_penalty=penalty, logit_bias=bias, **WANTED)
    positions = reply.choices[0].positions
    forced = all(position.token == text for position in positions)
    return [values_of(position) for position in positions[1:]] if forced else []


def by_mode(lab: EndpointLab, params: Mapping[str, Any]) -> Finding:
    """Ask under some parameters, and see which of the three modes gives the values that come.

    Args:
        lab: The lab.
        params: With ids of `logit_bias` that count in the list of the plain request.
    """
    plain, told = lab.survey.listed(), told_under(lab, params)
    words = ", ".join(f"{name} {value}" for name, value in params.items() if name != "logit_bias")
    question = Question(np.array([*plain.values()], dtype=np.float32), params)
    return by_fit(lab, f"at {words or 'a bias of 1.5'}", question, plain, told)


def by_fit(
    lab: EndpointLab,
    where: str,
    question: Question,
    plain: Mapping[str, float],
    told: Mapping[str, float],
) -> Finding:
    """The finding from values: the dialect's mode is among those that give them, or it is not.

    Args:
        lab: The lab.
        where: Under which parameters, in words.
        question: What the modes are asked: the values without the parameters, and these.
        plain: The same values by text.
        told: What came.
    """
    fitting, own = fitting_modes(lab, question, plain, told), lab.semantics.logprob_mode
    if own in fitting:
        return found(Verdict.CONFORMS, f"{where} the values are those of {' or '.join(fitting)}")
    if fitting:
        words = f"{where} the values are those of {' or '.join(fitting)}, not of {own}"
        return found(Verdict.DEVIATES, words)
    return found(Verdict.DEVIATES, f"{where} the values fit no mode: {slope_words(plain, told)}")


def modes_that_fit(lab: EndpointLab, params: Mapping[str, Any]) -> list[str]:
    """The modes that give the values which come under some parameters."""
    plain = lab.survey.listed()
    question = Question(np.array([*plain.values()], dtype=np.float32), params)
    return fitting_modes(lab, question, plain, told_under(lab, params))


def fitting_modes(
    lab: EndpointLab, question: Question, plain: Mapping[str, float], told: Mapping[str, float]
) -> list[str]:
    """The modes of a question that give some values, as closely as the endpoint repeats itself."""
    close = max(CLOSE, 4 * noise(lab))
    rows = {mode: logprobs(question, lab.semantics, mode) for mode in MODES}
    return [mode for mode, row in rows.items() if fits(dict(zip(plain, row, strict=True)), told, close)]


def told_under(lab: EndpointLab, params: Mapping[str, Any]) -> dict[str, float]:
    """The values that come under some parameters."""
    texts, ids, fields = [*lab.survey.listed()], lab.survey.texts, dict(params)
    if "logit_bias" in params:
        fields["logit_bias"] = {
            str(ids()[texts[token]]): bias for token, bias in params["logit_bias"].items()
        }
    return values_of(lab.ask(**WANTED, **fields).choices[0].positions[0])


def noise(lab: EndpointLab) -> float:
    """By how much the values of the plain request differ when they are asked for again."""
    plain, position = lab.survey.listed(), lab.ask(**WANTED).choices[0].positions[0]
    wrong = unlikely(position)
    if wrong:
        raise Malformed(wrong)
    if len(plain) < 3:
        raise Missing("top_logprobs lists fewer than three tokens that have a log probability")
    again = values_of(position)
    return max((abs(again[text] - value) for text, value in plain.items() if text in again), default=0.0)


def fits(expected: Mapping[str, float], told: Mapping[str, float], close: float) -> bool:
    """Whether values are as expected up to a constant; what has no probability has to be missing, or a value for none."""
    cut = [text for text, value in expected.items() if value == -math.inf]
    left = {text: value for text, value in expected.items() if value > -math.inf}
    both = [text for text in left if text in told]
    if any(text in told and told[text] > min(told.values()) - 1e-9 and len(told) > len(left) for text in cut):
        return False
    if len(both) < min(len(left), max(len(told) - 1, 1)) or any(text in told for text in cut):
        return False
    shift = float(np.median([told[text] - left[text] for text in both]))
    return all(abs(told[text] - left[text] - shift) <= close for text in both)


def slope_words(plain: Mapping[str, float], told: Mapping[str, float]) -> str:
    """How differences of values relate to those of the plain request."""
    both = [text for text in plain if text in told]
    if len(both) < 3:
        return f"{len(both)} tokens are listed in both answers"
    slope, shift = np.polyfit([plain[text] for text in both], [told[text] for text in both], 1)
    return f"a slope of {slope:.3f} and a shift of {shift:.3f} against temperature 1"


def seen(lab: EndpointLab, **fields: Any) -> list[Position]:
    """Positions of all choices of a request."""
    reply = lab.ask(n=lab.survey.per_request(), **WANTED, **lab.seeds(), **fields)
    return [position for choice in reply.choices for position in choice.positions]


def mass(lab: EndpointLab) -> Finding:
    """Add the listed probabilities up."""
    positions = [p for t in (0.5, 1.0, 2.0) for p in seen(lab, temperature=t, max_tokens=4)]
    wrong = next((words for words in map(unlikely, positions) if words), "")
    if wrong:
        return found(Verdict.DEVIATES, wrong, len(positions))
    sums = [sum(math.exp(entry.logprob) for entry in p.top_logprobs) for p in positions]
    largest = max(entry.logprob for p in positions for entry in [p, *p.top_logprobs])
    words = f"in {len(sums)} lists the largest sum is {max(sums):.6f}, the largest value {largest:.6f}"
    return found(Verdict.CONFORMS, words, len(positions))


def chosen_is_listed(lab: EndpointLab) -> Finding:
    """Compare each sampled token's value with that of its entry in the list."""
    positions = seen(lab, max_tokens=4)
    pairs = [(p, e) for p in positions for e in p.top_logprobs if (e.token, e.bytes) == (p.token, p.bytes)]
    if not pairs:
        raise NotTestable("no sampled token was among the listed ones")
    wrong = [(p, e) for p, e in pairs if not same(p.logprob, e.logprob)]
    if wrong:
        own, listed = wrong[0]
        words = f"{shown(own.token)} has {own.logprob} in its entry and {listed.logprob} in the list"
        return found(Verdict.DEVIATES, words, len(positions))
    words = f"{len(pairs)} of {len(positions)} sampled tokens are listed, each with its own value"
    return found(Verdict.CONFORMS, words, len(positions))


def same(one: float, other: float) -> bool:
    """Whether two values are equal but for rounding; all that are not numbers are the same."""
    return one == other or abs(one - other) <= 1e-6 or (math.isnan(one) and math.isnan(other))


def count(lab: EndpointLab) -> Finding:
    """Ask for 0, 3 and 20 alternatives, and force a token that is not among the 20."""
    told: dict[int, set[int]] = {}
    for asked in (0, 3, LISTED):
        positions = lab.ask(
            logprobs=True, top_logprobs=asked, n=lab.survey.per_request(), **lab.seeds()
        ).choices
        told[asked] = {len(choice.positions[0].top_logprobs) for choice in positions}
    extra = 0 if lab.semantics.at_most_k else 1
    wrong = {k: lengths for k, lengths in told.items() if not lengths <= set(range(k, k + extra + 1))}
    words = ", ".join(f"{k} asked: {' or '.join(map(str, sorted(n)))}" for k, n in told.items())
    unlisted, meant = sentinel(lab)
    good = not wrong and (unlisted is None or (unlisted.logprob <= SENTINEL if meant else unlisted.possible))
    value = (
        "" if unlisted is None else f"; a token behind the first {LISTED} is reported as {unlisted.logprob:g}"
    )
    return found(Verdict.CONFORMS if good else Verdict.DEVIATES, words + value)


def sentinel(lab: EndpointLab) -> tuple[Entry | None, bool]:
    """The entry of a forced token that is not listed, and whether it should be one that stands for none."""
    listed = lab.survey.listed()
    for text, token in lab.survey.texts().items():
        if text not in listed:
            reply = lab.ask(logit_bias={str(token): 100}, **WANTED)
            raw = lab.semantics.logprob_mode == "raw"
            return reply.choices[0].positions[0], raw and lab.semantics.listed_ranks is not None
    return None, False


def joined_bytes(lab: EndpointLab) -> Finding:
    """Join the tokens' bytes and compare them with the message, in long and in broken text."""
    replies = [
        lab.ask(n=lab.survey.per_request(), max_tokens=16, temperature=t, **WANTED, **lab.seeds())
        for t in (1, 2)
    ]
    replies += [
        lab.ask(logit_bias={str(token): 100}, **WANTED) for token in FRAGMENTS if not refused(lab, token)
    ]
    tokens = 0
    for choice in (choice for reply in replies for choice in reply.choices):
        positions = choice.positions
        tokens += len(positions)
        if all(position.bytes is None for position in positions) and choice.text:
            raise Missing("no entry has `bytes`")
        joined = b"".join(bytes(position.bytes or ()) for position in positions)
        if joined.decode(errors="replace") != choice.text or b"\xef\xbf\xbd" in joined:
            words = f"the bytes {joined[:40]!r} are not the message {choice.text[:40]!r}"
            return found(Verdict.DEVIATES, words, tokens)
    return found(Verdict.CONFORMS, f"{tokens} tokens' bytes give the messages that they are of", tokens)


FRAGMENTS = (98, 120, 150, 200, 230)  # parts of characters in byte-level vocabularies


def refused(lab: EndpointLab, token: int) -> bool:
    """Whether a token can not be forced, or ends the message."""
    try:
        return not lab.ask(logit_bias={str(token): 100}).choices[0].text
    except Refused:
        return True


RUNS: dict[str, Run] = {
    "reported.distribution": distribution,
    "reported.zero-temperature": zero_temperature,
    "reported.truncation": truncation,
    "reported.penalties-and-bias": penalties_and_bias,
    "reported.mass": mass,
    "reported.chosen-is-listed": chosen_is_listed,
    "reported.count": count,
    "reported.bytes": joined_bytes,
}
