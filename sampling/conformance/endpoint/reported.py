"""Checks of the log probabilities that an endpoint reports. They look at values, and draw nothing to speak of."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run
from sampling.conformance.endpoint.profile import CANDIDATES, FORCE, LISTED, tellable
from sampling.conformance.endpoint.reply import (
    SENTINEL,
    Choice,
    Entry,
    Reply,
    looks_like,
    unlikely,
    values_of,
)
from sampling.conformance.endpoint.trouble import Malformed, Missing, Refused
from sampling.conformance.oracle import logprobs
from sampling.conformance.proof import kept_in
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.verdict import Finding, Verdict, certain
from sampling.core.errors import InvalidArgument, shown
from sampling.dialects import MODES

TRIED, REPEATED = 12, 8  # tokens that are forced until one is listed behind itself, and how often each
CLOSE = 2e-3  # nats; more where the endpoint does not repeat itself
WANTED: dict[str, Any] = {"logprobs": True, "top_logprobs": LISTED}
EXACT = "values, not draws: any difference above the tolerance shows"

found = partial(certain, detects=EXACT)


def distribution(context: EndpointContext) -> Finding:
    """Compare the values at T = 1 and T = 0.5."""
    return by_mode(context, {"temperature": 0.5})


def zero_temperature(context: EndpointContext) -> Finding:
    """Look at the values at temperature 0."""
    return by_mode(context, {"temperature": 0})


def truncation(context: EndpointContext) -> Finding:
    """Look at the values when top_p keeps a single token."""
    return by_mode(context, {"top_p": 1e-3})


def penalties_and_bias(context: EndpointContext) -> Finding:
    """Look at the values when a listed token is biased, and when the first token of two is penalised."""
    listed = list(context.profile.listed())
    known = [text for text in listed if text in context.profile.texts()]
    if not known:
        raise NotTestable("no token with a known id is among the 20 most likely")
    token = listed.index(known[-1])
    biased = by_mode(context, {"logit_bias": {token: 1.5}})
    if biased.verdict is not Verdict.CONFORMS:
        return biased
    try:
        penal = penalised(context)
    except NotTestable as untold:
        return replace(biased, evidence=f"{biased.evidence}; {untold}")
    return replace(penal, evidence=f"{biased.evidence}; {penal.evidence}")


def penalised(context: EndpointContext) -> Finding:
    """Force a token until it is listed behind itself, and see which modes give the values there under a presence penalty.

    Raises:
        NotTestable: The dialect has no such penalty, or none of the tokens is listed behind itself.
    """
    if "presence_penalty" not in context.semantics.stages:
        raise NotTestable(f"the dialect {context.semantics.name!r} has no presence_penalty")
    for text in islice(context.profile.texts(), TRIED):
        behind = repeated(context, text, 0.0)
        place = next((i for i, values in enumerate(behind) if text in values and len(values) >= 3), None)
        if place is not None:
            plain, told = behind[place], repeated(context, text, 2.0)
            row = np.array([*plain.values()], dtype=np.float32)
            question = SamplingCase(row, {"presence_penalty": 2.0}, output_ids=([*plain].index(text),))
            where = f"behind {text!r} with a presence penalty of 2"
            return by_fit(context, where, question, plain, told[place] if place < len(told) else {})
    raise NotTestable("no token with a known id is listed behind itself, where penalties would show")


def repeated(context: EndpointContext, text: str, penalty: float) -> list[dict[str, float]]:
    """Return the values behind a token, behind two of it, and so on; none if it cannot be forced."""
    bias = {str(context.profile.texts()[text]): FORCE}
    reply = context.ask(max_tokens=REPEATED, presence_penalty=penalty, logit_bias=bias, **WANTED)
    positions = reply.choices[0].positions
    forced = all(position.token == text for position in positions)
    return [values_of(position) for position in positions[1:]] if forced else []


def by_mode(context: EndpointContext, params: Mapping[str, Any]) -> Finding:
    """Ask under some parameters, and see which of the three modes gives the values that come.

    Ids of `logit_bias` count in the list of the plain request.
    """
    plain, told = context.profile.listed(), told_under(context, params)
    words = ", ".join(f"{name} {value}" for name, value in params.items() if name != "logit_bias")
    question = SamplingCase(np.array([*plain.values()], dtype=np.float32), params)
    return by_fit(context, f"at {words or 'a bias of 1.5'}", question, plain, told)


def by_fit(
    context: EndpointContext,
    where: str,
    question: SamplingCase,
    plain: Mapping[str, float],
    told: Mapping[str, float],
) -> Finding:
    """Find from values: the dialect's mode is among those that give them, or it is not.

    The question is of the values without the parameters, which `plain` has by text; `told` is what came with them.
    """
    fitting, own = fitting_modes(context, question, plain, told), context.semantics.logprob_mode
    if own in fitting:
        return found(Verdict.CONFORMS, f"{where} the values are those of {' or '.join(fitting)}")
    if fitting:
        words = f"{where} the values are those of {' or '.join(fitting)}, not of {own}"
        return found(Verdict.DEVIATES, words)
    return found(Verdict.DEVIATES, f"{where} the values fit no mode: {slope_words(plain, told)}")


def modes_that_fit(context: EndpointContext, params: Mapping[str, Any]) -> list[str]:
    """Return the modes that give the values which come under some parameters."""
    plain = context.profile.listed()
    question = SamplingCase(np.array([*plain.values()], dtype=np.float32), params)
    return fitting_modes(context, question, plain, told_under(context, params))


def fitting_modes(
    context: EndpointContext, question: SamplingCase, plain: Mapping[str, float], told: Mapping[str, float]
) -> list[str]:
    """Return the modes of a question that give some values, as closely as the endpoint repeats itself."""
    close = max(CLOSE, 4 * noise(context))
    rows = {mode: logprobs(question, context.semantics, mode) for mode in MODES}
    return [mode for mode, row in rows.items() if fits(dict(zip(plain, row, strict=True)), told, close)]


def told_under(context: EndpointContext, params: Mapping[str, Any]) -> dict[str, float]:
    """Return the values that come under some parameters."""
    texts, ids, fields = [*context.profile.listed()], context.profile.texts, dict(params)
    if "logit_bias" in params:
        biases = params["logit_bias"].items()
        fields["logit_bias"] = {str(ids()[texts[token]]): bias for token, bias in biases}
    return values_of(context.profile.next_position(**fields))


def noise(context: EndpointContext) -> float:
    """By how much the values of the plain request differ when they are asked for again."""
    plain, position = context.profile.listed(), context.profile.next_position()
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


def choices_of_some(context: EndpointContext, **fields: Any) -> list[Choice]:
    """Return the choices of a request for a few tokens, but for those that are empty and say nothing.

    Raises:
        Missing: None says anything.
    """
    reply = context.ask(n=context.profile.per_request(), max_tokens=4, **WANTED, **context.seeds(), **fields)
    told = [choice for choice in reply.choices if choice.entered] or [c for c in reply.choices if c.text]
    if not told:
        raise Missing("all messages are empty")
    return told


def mass(context: EndpointContext) -> Finding:
    """Add the listed probabilities up."""
    choices = [choice for t in (0.5, 1.0, 2.0) for choice in choices_of_some(context, temperature=t)]
    positions = [position for choice in choices for position in choice.positions]
    wrong = next((words for words in map(unlikely, positions) if words), "")
    if wrong:
        return found(Verdict.DEVIATES, wrong, len(positions))
    sums = [sum(math.exp(entry.logprob) for entry in p.top_logprobs) for p in positions]
    largest = max(entry.logprob for p in positions for entry in [p, *p.top_logprobs])
    words = f"in {len(sums)} lists the largest sum is {max(sums):.6f}, the largest value {largest:.6f}"
    return found(Verdict.CONFORMS, words, len(positions))


def chosen_is_listed(context: EndpointContext) -> Finding:
    """Compare each sampled token's value with that of its entry in the list, and the first one's text with the message's."""
    requests = -(-BEGINNINGS // context.profile.per_request())
    choices = [choice for _ in range(requests) for choice in choices_of_some(context)]
    positions = [position for choice in choices for position in choice.positions]
    pairs = [(p, alike) for p in positions if (alike := [e for e in p.top_logprobs if looks_like(p, e)])]
    if not pairs:
        raise NotTestable("no sampled token was among the listed ones")
    other = next((words for words in map(begun_otherwise, choices) if words), "")
    if other:
        return found(Verdict.DEVIATES, other, len(positions))
    wrong = [(p, alike) for p, alike in pairs if not any(same(p.logprob, e.logprob) for e in alike)]
    if wrong:
        own, alike = wrong[0]
        listed = " or ".join(str(e.logprob) for e in alike)
        words = f"{shown(own.token)} has {own.logprob} in its entry and {listed} in the list"
        return found(Verdict.DEVIATES, words, len(positions))
    words = f"{len(pairs)} of {len(positions)} sampled tokens are listed, each with its own value"
    return found(Verdict.CONFORMS, words, len(positions))


BEGINNINGS = 8  # messages whose first entry is compared with what they begin with


def begun_otherwise(choice: Choice) -> str:
    """Return what a message begins with, where that is a token beside the one whose entry is the first; nothing otherwise.

    Blanks are left out: they are written in many ways.
    """
    first, text = choice.positions[0], choice.text.strip()
    own, listed = first.token.strip(), [entry.token.strip() for entry in first.top_logprobs]
    if not tellable(own) or not text or text.startswith(own):
        return ""
    others = [token for token in listed if tellable(token) and text.startswith(token)]
    return (
        f"a message begins with {shown(others[0])}, and its first entry is of {shown(own)}" if others else ""
    )


def same(one: float, other: float) -> bool:
    """Whether two values are equal but for rounding; all that are not numbers are the same."""
    return one == other or abs(one - other) <= 1e-6 or (math.isnan(one) and math.isnan(other))


def count(context: EndpointContext) -> Finding:
    """Ask for 0, 3 and 20 alternatives, or as many as may be asked for, and force a token that is not among the 20."""
    context.profile.listed()  # finds how many may be
    most = context.profile.manners.listed
    told = {asked: listed_when(context, asked) for asked in sorted({0, min(3, most), most})}
    if not any(lengths - {NONE, FORMLESS} for lengths in told.values()):
        context.profile.next_position()  # says what is wrong with them
    extra = 0 if context.semantics.at_most_k else 1
    wrong = {k: lengths for k, lengths in told.items() if not lengths <= set(range(k, k + extra + 1))}
    named = {k: " or ".join(LENGTHS.get(n, str(n)) for n in sorted(lengths)) for k, lengths in told.items()}
    words = ", ".join(f"{k} asked: {lengths}" for k, lengths in named.items())
    unlisted, meant = sentinel(context) if most == LISTED else (None, False)
    good = not wrong and (unlisted is None or (unlisted.logprob <= SENTINEL if meant else unlisted.possible))
    if unlisted is not None:
        words += f"; a token behind the first {LISTED} is reported as {unlisted.logprob:g}"
    return found(Verdict.CONFORMS if good else Verdict.DEVIATES, words)


NONE = -1  # the length of a list that is not there, nor anything else about the token
FORMLESS = -2  # that of one beside an entry without the fields of an entry
LENGTHS = {NONE: "no log probabilities at all", FORMLESS: "an entry without `token` and `logprob`"}


def listed_when(context: EndpointContext, asked: int) -> set[int]:
    """How many alternatives are listed when so many are asked for."""
    n = context.profile.per_request()
    lengths: set[int] = set()
    for choice in context.ask(logprobs=True, top_logprobs=asked, n=n, **context.seeds()).choices:
        try:
            lengths.add(len(choice.positions[0].top_logprobs))
        except Missing:
            lengths.add(NONE)
        except Malformed:
            lengths.add(FORMLESS)
    return lengths


def sentinel(context: EndpointContext) -> tuple[Entry | None, bool]:
    """Return the entry of a forced token that is not listed, and whether it should be one that stands for none.

    None where no token can be forced, or none of those has an entry.
    """
    listed = context.profile.listed()
    meant = context.semantics.logprob_mode == "raw" and context.semantics.max_reported_rank is not None
    try:
        texts = context.profile.texts()
    except NotTestable:
        return None, meant
    unlisted = [token for text, token in texts.items() if text not in listed]
    others = (token for token in chain(*CANDIDATES) if token not in texts.values())
    for token in islice(chain(unlisted, others), TRIED):
        try:
            entry = context.ask(logit_bias={str(token): FORCE}, **WANTED).choices[0].positions[0]
        except Missing:
            continue
        if entry.token not in listed:
            return entry, meant
    return None, meant


def joined_bytes(context: EndpointContext) -> Finding:
    """Join the tokens' bytes and compare them with the message, in long and in broken text."""
    n = context.profile.per_request()
    replies = [context.ask(n=n, max_tokens=16, temperature=t, **WANTED, **context.seeds()) for t in (1, 2)]
    choices = [choice for reply in (*replies, *broken(context)) for choice in reply.choices]
    told = [choice for choice in choices if choice.entered]
    untold = sum(bool(choice.text) for choice in choices if not choice.entered)
    tokens = sum(len(choice.positions) for choice in told or choices[:1])
    for choice in told:
        if choice.text and all(position.bytes is None for position in choice.positions):
            raise Missing("no entry has `bytes`")
        wrong = difference(choice, lost=context.semantics.whole_characters)
        if wrong:
            return found(Verdict.DEVIATES, wrong, tokens)
    left = f"; {untold} messages have no entries, and were not judged" if untold else ""
    words = f"{tokens} tokens' bytes give the messages that they are of{left}"
    return found(Verdict.CONFORMS, words, tokens)


def difference(choice: Choice, *, lost: bool) -> str:
    """Where a message is not what the bytes of its tokens say; nothing if it is.

    The entry of a token that ends a message may have bytes that are not in it, and so may a character that is not finished;
    where those are `lost`, their parts are shown without bytes.
    """
    parts = [bytes(position.bytes or ()) for position in choice.positions]
    text = choice.text.replace(BROKEN, "") if lost and b"" in parts else choice.text
    ended = choice.finish_reason == "stop"
    words = [parting(b"".join(kept), text) for kept in (parts, parts[:-1])[: 2 if ended else 1]]
    return "" if "" in words else words[0]


def parting(raw: bytes, text: str) -> str:
    """Where bytes and a text differ, in words; nothing if they do not."""
    told, said = (RUN_OF_BROKEN.sub(BROKEN, one) for one in (raw.decode(errors="replace"), text))
    if BROKEN.encode() in raw:
        return f"the bytes have U+FFFD itself where the message {shown(text)} has a part of a character"
    if told in (said, said + BROKEN):
        return ""
    pairs = zip(told, said, strict=False)
    place = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(told), len(said)))
    more, rest = (shown(one[place : place + CUT]) for one in (told, said))
    return f"behind {place} characters the bytes go on with {more}, and the message with {rest}"


BROKEN = "\ufffd"
RUN_OF_BROKEN = re.compile(f"{BROKEN}+")  # decoders do not agree on how many one broken character makes
CUT = 40  # characters that are shown
FRAGMENTS = (98, 120, 150, 200, 230)  # parts of characters in byte-level vocabularies


def broken(context: EndpointContext) -> list[Reply]:
    """Return replies to requests that force parts of characters, alone and among whole ones; none where none can be forced."""
    found: list[Reply] = []
    try:
        context.profile.texts()
        for token in FRAGMENTS:
            alone = context.ask(logit_bias={str(token): FORCE}, **WANTED)
            first = alone.choices[0]
            ended = not first.text and first.finish_reason == "stop"
            if not ended:
                found.append(alone)
            if not ended and first.text.strip(BROKEN) == "" and first.entered:
                found.append(among_whole(context, token, first.positions[0].logprob))
    except (Refused, NotTestable, Malformed):
        pass
    return found


def among_whole(context: EndpointContext, token: int, logprob: float) -> Reply:
    """Return the reply to a request for tokens of which about half are a part of a character, which no other ever finishes.

    Raises:
        CheckEnded: Biases do not single tokens out.
    """
    whole = context.profile.support().tokens[0]
    biases = {str(token): MIDDLE - logprob, str(whole.id): MIDDLE - whole.logprob}
    held = {name: min(bias, FORCE) for name, bias in biases.items()}
    return context.ask(
        n=context.profile.per_request(), max_tokens=16, temperature=2, logit_bias=held, **WANTED
    )


MIDDLE = 60.0  # how far above log probabilities


def kept_set(context: EndpointContext) -> Finding:
    """Compare the sets that whole answers tell with those of the dialect."""
    if context.logits_of is None:
        raise NotTestable("the sets that an endpoint kept need its logits: reference weights")
    try:
        return kept_in(context.answers, context.logits_of, None, context.semantics.name)
    except InvalidArgument as error:
        raise Malformed(f"sampling masks: {error}") from error


RUNS: dict[str, Run] = {
    "reported.distribution": distribution,
    "reported.zero-temperature": zero_temperature,
    "reported.truncation": truncation,
    "reported.penalties-and-bias": penalties_and_bias,
    "reported.mass": mass,
    "reported.chosen-is-listed": chosen_is_listed,
    "reported.count": count,
    "reported.bytes": joined_bytes,
    "reported.kept-set": kept_set,
}
