"""Checks of the message: stop strings, reasons to finish, constrained output, and what becomes of each parameter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sampling.conformance.endings import CheckEnded, NotTestable
from sampling.conformance.endpoint.defaults import defaults_of
from sampling.conformance.endpoint.endpoint_context import EndpointContext, Run
from sampling.conformance.endpoint.prompts import QUESTION
from sampling.conformance.endpoint.ranges import (
    CLAMPED,
    HONOURED,
    LONG,
    UNSEEN,
    WITHOUT,
    fate,
    leaves_one,
    raw,
)
from sampling.conformance.endpoint.reply import Choice, Reply
from sampling.conformance.verdict import Finding, Verdict, certain
from sampling.core.errors import shown

JSON_TOKENS = 256
JSON_FORMAT = {"type": "json_object"}

# Fields of the page: a value that is allowed, and values that are not.
FIELDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "frequency_penalty": (0.5, (2.5, "high")),
    "presence_penalty": (0.5, (-2.5,)),
    "logit_bias": ({"1": 1}, ({"1": 101}, 3)),
    "logprobs": (True, ("yes",)),
    "max_tokens": (2, (0, 1.5)),
    "n": (2, (0,)),
    "response_format": ({"type": "text"}, ({"type": "haiku"},)),
    "seed": (7, ("seven",)),
    "stop": (["zzz"], ([""], ["a", "b", "c", "d", "e"])),
    "temperature": (0.5, (2.5, -1)),
    "top_p": (0.5, (1.5, -0.1)),
    "no_such_field": (None, (1,)),
}
# Fields that a dialect may have besides.
FURTHER: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "repetition_penalty": (1.2, (-1,)),
    "top_k": (4, (1.5,)),
    "min_p": (0.1, (1.5,)),
}
# Values of those that leave one token, whatever the logits.
ONE_LEFT: dict[str, Any] = {"top_k": 1, "min_p": 0.99}


finding = partial(certain, detects="messages, not draws: any difference shows")


def answer(context: EndpointContext, **fields: Any) -> Choice:
    """Return the most likely answer to a question."""
    return context.ask(QUESTION, **{"max_tokens": LONG, **context.profile.greedy(), **fields}).choices[0]


def stop_left_out(context: EndpointContext) -> Finding:
    """Stop at a piece of the answer that is known to come."""
    whole = answer(context).text
    stop, before = stop_in(whole)
    cut = answer(context, stop=[stop]).text
    if cut == before:
        return finding(
            Verdict.CONFORMS, f"with the stop string {stop!r} the text ends before it: {cut[-20:]!r}"
        )
    if cut == whole:
        return finding(Verdict.IGNORED, f"the text goes on after the stop string {stop!r}")
    if cut.startswith(before + stop) or stop in cut:
        return finding(Verdict.DEVIATES, f"the stop string {stop!r} is in the text: {cut[-20:]!r}")
    if whole.startswith(cut):
        return finding(
            Verdict.DEVIATES, f"the text ends too early: {cut[-20:]!r} before the stop string {stop!r}"
        )
    if answer(context).text == whole and answer(context, stop=[stop]).text == cut:
        words = f"each time: {cut[-20:]!r}, and not {before[-20:]!r}, before the stop string {stop!r}"
        return finding(Verdict.DEVIATES, f"the text before it is another one {words}")
    raise CheckEnded("two requests for the most likely answer gave different texts")


def stop_in(text: str) -> tuple[str, str]:
    """Return a stop string of three characters in a text, and what is before it: where one is, its beginning, too."""
    starts = range(len(text) // 3, len(text) - 3)
    found = [at for at in starts if (stop := text[at : at + 3]).isalpha() and text.index(stop) == at]
    if not found:
        raise NotTestable(f"the answer {text[:40]!r} has no word in its middle to stop at")
    start = max(found, key=lambda at: begun_before(text, at))
    return text[start : start + 3], text[:start]


def begun_before(text: str, at: int) -> int:
    """How many characters of the stop string at a place stand before it without the rest, at most two."""
    return next((size for size in (2, 1) if text[at : at + size] in text[: at - size + 1]), 0)


def finish_reason(context: EndpointContext) -> Finding:
    """End by length, by a stop string and, if the answer is short, by itself; then the same in a stream."""
    whole = answer(context)
    stop, _ = stop_in(whole.text)
    usage = context.ask(QUESTION, max_tokens=LONG, **context.profile.greedy()).counts
    short, text = max(2, context.profile.manners.least), ""
    told = {"a stop string": (answer(context, stop=[stop]).finish_reason, "stop")}
    if usage is not None and usage.completion_tokens < LONG:
        told["its own end"] = (whole.finish_reason, "stop")
    if usage is None or usage.completion_tokens > short:
        told["max_tokens"] = (answer(context, max_tokens=short).finish_reason, "length")
        text, reason = streamed(context, max_tokens=short)
        told["max_tokens in a stream"] = (reason, "length")
    wrong = [f"{shown(got)} at {what}" for what, (got, wanted) in told.items() if got != wanted]
    if wrong:
        return finding(Verdict.DEVIATES, "; ".join(wrong))
    if not whole.text.startswith(text):
        raise CheckEnded(
            f"the stream gives {shown(text)}, and the whole answer begins with {whole.text[:20]!r}"
        )
    return finding(Verdict.CONFORMS, "; ".join(f"{got!r} at {what}" for what, (got, _) in told.items()))


def streamed(context: EndpointContext, **fields: Any) -> tuple[str, object]:
    """Text and reason to finish of the most likely answer, streamed."""
    asked = {"messages": list(QUESTION), **context.profile.greedy(), **fields}
    chunks = [chunk.choices[0] for chunk in context.profile.manners.ask_stream(asked) if chunk.choices]
    reasons = [choice.finish_reason for choice in chunks if choice.finish_reason is not None]
    return "".join(choice.delta.content or "" for choice in chunks), reasons[-1] if reasons else None


def constrained(context: EndpointContext) -> Finding:
    """Ask for JSON, plainly and with biases that would force letters."""
    plain = context.ask(
        QUESTION, max_tokens=JSON_TOKENS, response_format=JSON_FORMAT, **context.profile.greedy()
    ).choices[0]
    tokens = context.profile.support().tokens
    biases = {str(token.id): 60 for token in tokens}
    forced = context.ask(QUESTION, max_tokens=8, response_format=JSON_FORMAT, logit_bias=biases).choices[0]
    texts = (plain.text, forced.text)
    if not all(text.lstrip()[:1] in ("{", "") for text in texts):
        begun = next(text for text in texts if text.lstrip()[:1] not in ("{", ""))
        same = plain.text == answer(context, max_tokens=JSON_TOKENS).text
        return finding(
            Verdict.IGNORED if same else Verdict.DEVIATES,
            f"a JSON object was asked for, and {begun[:30]!r} came",
        )
    if plain.finish_reason != "stop":
        raise CheckEnded(f"the JSON is not complete after {JSON_TOKENS} tokens")
    try:
        value = json.loads(plain.text)
    except RecursionError:
        raise CheckEnded("the message is nested too deeply to be read") from None
    except ValueError:
        return finding(Verdict.DEVIATES, f"the message is no JSON: {plain.text[:40]!r}")
    if not isinstance(value, dict):
        return finding(Verdict.DEVIATES, f"the message is no JSON object: {plain.text[:40]!r}")
    words = "the message is a JSON object, and begins as one though biases of 60 speak for letters"
    return finding(Verdict.CONFORMS, f"{words}; shares within the legal set were not measured")


def parameters(context: EndpointContext) -> Finding:
    """For every field of the page and the dialect: is an allowed value taken and honoured, and are others refused?"""
    context.profile.plain()  # where not even this is answered, nothing was refused
    fields = {
        **FIELDS,
        **{name: values for name, values in FURTHER.items() if name in context.semantics.stages},
    }
    fields["max_tokens"] = (max(2, context.profile.manners.least), fields["max_tokens"][1])
    refused = [
        name for name, (good, _) in fields.items() if good is not None and not taken(context, name, good)
    ]
    found: dict[str, list[str]] = {HONOURED: [], CLAMPED: [], WITHOUT: [], UNSEEN: []}
    for name, (_, others) in fields.items():
        for bad in others:
            if name not in refused and not context.refuses(**{name: bad}):
                found[fate(context, name, bad)].append(f"{name} {json.dumps(bad)}")
    without = unheeded(context, refused)
    words = [f"refused: {', '.join(refused)}"] if refused else []
    words += [f"without effect: {', '.join(without)}"] if without else []
    fates = [f"{', '.join(what)} ({how})" for how, what in found.items() if what]
    words += [f"taken though out of range or unknown: {'; '.join(fates)}"] if fates else []
    context.defaults = context.defaults or (defaults_of(context),)
    return finding(verdict_on(context, refused, without, found), "; ".join(words) or all_good(fields))


def verdict_on(
    context: EndpointContext, refused: list[str], without: list[str], found: Mapping[str, list[str]]
) -> Verdict:
    """Return the verdict on what was refused, had no effect, or was taken though it should not be."""
    if without or found[WITHOUT]:
        return Verdict.IGNORED
    if any(found.values()):
        return Verdict.AMBIGUOUS if "ranges" in context.semantics.silent else Verdict.DEVIATES
    return Verdict.UNSUPPORTED if refused else Verdict.CONFORMS


def all_good(fields: Mapping[str, Any]) -> str:
    """Words for fields of which none is taken wrongly."""
    names = ", ".join(name for name in fields if name != "no_such_field")
    return f"taken, honoured where one request shows it, and refused out of range: {names}"


def taken(context: EndpointContext, name: str, value: Any) -> bool:
    """Whether an allowed value is taken, biases at least as numbers with a fraction."""
    refusal = context.refuses(**{name: value})
    if refusal and name == "logit_bias":
        broken = {token: float(bias) for token, bias in value.items()}
        if not context.refuses(logit_bias=broken):
            context.profile.manners.note(
                "whole numbers in logit_bias", refusal, "they were sent as 1.0 is written"
            )
            return True
    return not refusal


def unheeded(context: EndpointContext, refused: list[str]) -> list[str]:
    """Fields that one request shows to have no effect."""
    most = max(2, context.profile.manners.least)
    seen = {
        "n": lambda: len(context.ask(n=2).choices) == 2,
        "logprobs": lambda: raw(context, logprobs=True).choices[0].logprobs is not None,
        "max_tokens": lambda: used(raw(context, max_tokens=most)) <= most,
        **{
            name: partial(leaves_one, context, {name: value})
            for name, value in ONE_LEFT.items()
            if name in context.semantics.stages
        },
    }
    return [name for name, heeded in seen.items() if name not in refused and can_tell(heeded)]


def can_tell(heeded: Callable[[], bool]) -> bool:
    """Whether something is seen to have no effect; where biases are needed and do not act, nothing is seen."""
    try:
        return not heeded()
    except NotTestable:
        return False


def used(reply: Reply) -> int:
    """Tokens of a completion; 0 if the answer does not say."""
    return reply.counts.completion_tokens if reply.counts else 0


RUNS: dict[str, Run] = {
    "output.stop-left-out": stop_left_out,
    "output.finish-reason": finish_reason,
    "output.constrained": constrained,
    "output.parameters": parameters,
}
