"""Output: where the text ends, what it is made of, and what becomes of every parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sampling.conformance.answers import content_of, entries_of
from sampling.conformance.apart import SAME
from sampling.conformance.case_context import SEEDS
from sampling.conformance.check_context import CheckContext
from sampling.conformance.endings import CheckEnded, CouldNotRun, NotTestable, Refused
from sampling.conformance.fixtures import RANKED, STRONG, after_past, spaced
from sampling.conformance.oracle import Row
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.sequential_test import Alternative, SequentialTest, distinct, planned_draws
from sampling.conformance.target import Tokens
from sampling.conformance.token_names import SURE, TokenNames, only
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict, certain

LENGTH = 4
DETECTS = "any difference in the messages that were looked at"
JSON = {"type": "json_object"}
BEGINNINGS, WHITE_SPACE = (b"{", b'{"'), b" \t\n\r"

ASKED = 500
# Values that the page does not allow.
WRONG: Sequence[tuple[str, Any]] = (
    ("temperature", 2.5),
    ("top_p", 1.5),
    ("frequency_penalty", 3.0),
    ("presence_penalty", -3.0),
    ("logit_bias", {RANKED[0]: -101}),
)
FATES = ("honoured", "refused", "ignored", "not answered")
FATE_DETECTS = f"a parameter without effect on {ASKED} draws"
NUCLEUS = 0.95

found = partial(certain, detects=DETECTS)

Look = Callable[[], bool]
Choice = Mapping[str, Any]
Kept = NDArray[np.bool_]
Logits = NDArray[np.float32]


class Writing:
    """A message of four different letters, always the same.

    Args:
        context: The context.
    """

    def __init__(self, context: CheckContext) -> None:
        names = TokenNames.learnt(context, len(RANKED))
        plain = [token for token, (text, _) in enumerate(names.keys) if len(text) == 1 and text.isalnum()]
        if len(plain) < LENGTH:
            raise NotTestable(f"of {len(names.keys)} tokens only {len(plain)} are single letters")
        self._context, self._ids = context, plain[:LENGTH]
        self.letters = "".join(names.keys[token][0] for token in self._ids)

    def choice(self, **fields: Any) -> dict[str, Any]:
        """Ask for the message, with further fields."""
        return self._context.report(replace(self.case, params={**self.case.params, **fields}))

    @property
    def case(self) -> SamplingCase:
        """Logits that are written one after another: a penalty takes out each as soon as it is."""
        logits = np.full(len(RANKED), -100, dtype=np.float32)
        params: dict[str, Any] = {"max_tokens": LENGTH, "logprobs": True}
        if self._context.semantics.zero_temperature and "presence_penalty" in self._context.semantics.stages:
            logits[self._ids] = 10 - 0.4 * np.arange(LENGTH)
            params |= {"temperature": 0, "presence_penalty": 2}
        else:
            logits[self._ids] = 200 - 40 * np.arange(LENGTH)
            params["repetition_penalty"] = 1000
        return SamplingCase(logits, params)


def stop_left_out(context: CheckContext) -> Finding:
    """Stop strings of one token, across two, and two at a time."""
    writing = Writing(context)
    whole = content_of(writing.choice())
    if whole != writing.letters:
        raise CouldNotRun(f"without stop strings the message is {whole!r}, not {writing.letters!r}")
    stops = [[whole[2]], [whole[1:3]], [whole[3], whole[1]], ["~"]]
    ends = [2, 1, 1, LENGTH]
    wrong: list[str] = []
    ignored = 0
    for stop, end in zip(stops, ends, strict=True):
        content = content_of(writing.choice(stop=stop))
        if content != whole[:end]:
            ignored += content == whole
            wrong.append(f"stop {stop} gives {content!r}, not {whole[:end]!r}")
    if wrong:
        verdict = Verdict.IGNORED if ignored == len(stops) - 1 else Verdict.DEVIATES
        return found(verdict, "; ".join(wrong), len(stops))
    return found(Verdict.CONFORMS, f"{len(stops)} stops end {whole!r} where they should", len(stops))


def finish_reason(context: CheckContext) -> Finding:
    """Ask for a message that is cut by max_tokens, and one that a stop string ends."""
    writing = Writing(context)
    reasons = {
        "length": writing.choice().get("finish_reason"),
        "stop": writing.choice(stop=[writing.letters[2]]).get("finish_reason"),
    }
    wrong = [f"{got!r} where {right!r} is right" for right, got in reasons.items() if got != right]
    if wrong:
        return found(Verdict.DEVIATES, "; ".join(wrong), 2)
    return found(Verdict.CONFORMS, "'length' at max_tokens, 'stop' at a stop string", 2)


def constrained(context: CheckContext) -> Finding:
    """Ask for the first token of a JSON object, with a nucleus that keeps unlikely legal tokens and would not in the whole."""
    names = TokenNames.learnt(context, len(RANKED))
    raw = [bytes(raw or ()) for _, raw in names.keys]
    legal = np.array([text in BEGINNINGS for text in raw])
    if legal.sum() < 2:
        raise NotTestable("fewer than two tokens begin a JSON object")
    spaces = np.array([bool(text) and not text.strip(WHITE_SPACE) for text in raw])
    logits = np.where(legal, 0, 1).astype(np.float32)
    logits[np.flatnonzero(legal)[0]] = 2
    nuclei = dict.fromkeys(context.acting(["top_p"]), NUCLEUS)

    def drawn(first: Kept, last: Kept, values: Logits = logits) -> list[Row]:
        nucleus = context.expected(SamplingCase(np.where(first, values, -np.inf).astype(np.float32), nuclei))
        return [np.where(last, nucleus, 0.0) / nucleus[last].sum()]

    every = np.ones_like(legal)
    nucleus = drawn(legal, every)
    own = {"the legal tokens, and of these the nucleus": nucleus}
    others = [
        Alternative("any token: the format has no effect", Verdict.IGNORED, drawn(every, every)),
        Alternative("legal tokens alike", Verdict.DEVIATES, drawn(legal, legal, logits * 0)),
        Alternative("illegal tokens taken out last", Verdict.DEVIATES, drawn(every, legal)),
        Alternative("white space may come first", Verdict.AMBIGUOUS, drawn(legal | spaces, every)),
    ]
    others = distinct(own, others, SAME)
    planned = planned_draws(nucleus, others)
    test = SequentialTest(own, others, planned=planned)
    params = {"response_format": JSON, "max_tokens": 1, "logprobs": True, **nuclei}
    for _ in range(planned):
        test.add(0, np.array([names.id_of(only(context.report(SamplingCase(logits, params))))]))
    return test.finding()


def parameters(context: CheckContext) -> Finding:
    """Every parameter by itself: does it change what is sampled as it should, and are values that are not allowed refused?"""
    plain = context.draws(after_past(), ASKED)
    looks: dict[str, Look] = {name: partial(changes, context, plain, name) for name in STRONG}
    looks["seed"] = partial(seed_decides, context)
    if context.target.reports:
        names = TokenNames.learnt(context, len(RANKED))
        looks |= {name: partial(shows, context, names, name) for name in SHOWN}
        looks["n"] = partial(gives_choices, context)
    fates = {name: fate_of(look) for name, look in looks.items()}
    groups = {fate: [name for name, one in fates.items() if one == fate] for fate in FATES}
    taken = [
        f"{name} {value}"
        for name, value in WRONG
        if fate_of(partial(takes, context, name, value)) != "refused"
    ]
    words = [f"{fate}: {', '.join(names)}" for fate, names in groups.items() if names]
    words += [f"not allowed, but taken: {', '.join(taken)}"] if taken else []
    draws = ASKED * (len(STRONG) + 1)
    return Finding(fates_verdict(context, groups, taken), "; ".join(words), draws, FATE_DETECTS)


def fates_verdict(
    context: CheckContext, groups: Mapping[str, Sequence[str]], taken: Sequence[str]
) -> Verdict:
    """Return the verdict on what becomes of parameters; those that the dialect does not have count for nothing."""
    ours = {
        fate: [n for n in names if n not in STRONG or n in context.semantics.stages]
        for fate, names in groups.items()
    }
    if ours["ignored"]:
        return Verdict.IGNORED
    if taken and context.semantics.silent_verdict("ranges") is Verdict.DEVIATES:
        return Verdict.DEVIATES
    if ours["not answered"]:
        return Verdict.INCONCLUSIVE
    return Verdict.UNSUPPORTED if ours["refused"] else Verdict.CONFORMS


def fate_of(look: Look) -> str:
    """Return what becomes of a parameter."""
    try:
        return "honoured" if look() else "ignored"
    except Refused:
        return "refused"
    except CheckEnded:
        return "not answered"


def changes(context: CheckContext, plain: Tokens, name: str) -> bool:
    """Whether a parameter changes what is drawn, and towards what the dialect expects of it."""
    asked = after_past(**{name: STRONG[name]})
    without, under = (
        np.bincount(tokens, minlength=len(RANKED)) for tokens in (plain, context.draws(asked, ASKED))
    )
    drawn = without + under > 0
    if drawn.sum() < 2 or contingency([without[drawn], under[drawn]]) >= FALSE_ALARM:
        return False
    if name not in context.semantics.stages:
        return True  # the dialect does not say what to expect
    wanted, unchanged = context.expected(asked), context.expected(after_past())
    return distance(under, wanted) < distance(under, unchanged)


def contingency(table: Sequence[NDArray[np.int64]]) -> float:
    """Return the p-value of the hypothesis that the rows of a table of counts are of one distribution."""
    result: Any = stats.chi2_contingency(np.array(table), correction=False)  # scipy's types do not say what
    return float(result.pvalue)


def distance(counts: NDArray[np.int64], p: Row) -> float:
    """Return the total variation distance between counts and probabilities."""
    return float(np.abs(counts / counts.sum() - p).sum()) / 2


def takes(context: CheckContext, name: str, value: object) -> bool:
    """Whether a value of a parameter is answered with a token."""
    return len(context.draws(after_past(**{name: value}), 1)) == 1


def seed_decides(context: CheckContext) -> bool:
    """Whether the same seeds give the same tokens again, and others not all the same one."""
    seeds = [int(seed) for seed in context.rng.integers(SEEDS, size=32)]
    first, again = (context.target.draw(SamplingCase(spaced(0.1)), seeds) for _ in range(2))
    return bool((first == again).all() and (first != first[0]).any())


def shows(context: CheckContext, names: TokenNames, name: str) -> bool:
    """Whether a field shows in the answer of a sampler that writes one letter again and again."""
    letter = next(token for token, (text, _) in enumerate(names.keys) if len(text) == 1 and text.isalnum())
    logits = np.zeros(len(RANKED), dtype=np.float32)
    logits[letter] = SURE
    written = names.keys[letter][0]
    fields, shown = SHOWN[name]
    given = {key: [written] if value is WRITTEN else value for key, value in fields.items()}
    return shown(context.report(SamplingCase(logits, given)))


def gives_choices(context: CheckContext) -> bool:
    """Whether n 2 gives two choices."""
    return len(context.choices(SamplingCase(spaced(), {"n": 2}))) == 2


def alternatives_of(choice: Choice) -> int:
    """How many alternatives the first entry has."""
    return len(entries_of(choice)[0].alternatives)


WRITTEN = object()  # stands for the letter that is written
SHOWN: Mapping[str, tuple[Mapping[str, Any], Callable[[Choice], bool]]] = {
    "logprobs": ({"logprobs": True}, lambda choice: bool(entries_of(choice))),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 3}, lambda choice: alternatives_of(choice) in (3, 4)),
    "max_tokens": ({"max_tokens": 3}, lambda choice: len(content_of(choice)) == 3),
    "stop": ({"max_tokens": 2, "stop": WRITTEN}, lambda choice: content_of(choice) == ""),
    "response_format": ({"response_format": JSON}, lambda choice: content_of(choice).lstrip()[:1] == "{"),
}

RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
    "output.stop-left-out": stop_left_out,
    "output.finish-reason": finish_reason,
    "output.constrained": constrained,
    "output.parameters": parameters,
}
