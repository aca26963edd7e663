"""Reported values: what log probabilities are of, and whether what is listed agrees with itself. They look at values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from sampling.conformance.answers import Entry, content_of, entries_of
from sampling.conformance.check_context import CheckContext
from sampling.conformance.endings import CouldNotRun, NotTestable, Refused
from sampling.conformance.fixtures import RANKED, spaced
from sampling.conformance.oracle import Row, logprobs
from sampling.conformance.proof import kept_finding
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.token_names import TokenNames, only
from sampling.conformance.verdict import Finding, Verdict, certain
from sampling.core.errors import InvalidArgument
from sampling.core.params import SamplingParams
from sampling.dialects import MODES, DialectName, get_dialect
from sampling.scoring.compare import KeptComparison, compare_kept

SENTINEL = -9999.0
CLOSE = 1e-3  # nats
WIDE = (0.07 * (np.arange(32, dtype=np.float32) * 7 % 32)).astype(np.float32)  # 32 tokens, all of them likely
WANTED: Mapping[str, Any] = {"logprobs": True, "max_tokens": 1}
LARGEST = 20
REPORTS = 40
CUTS: Sequence[Mapping[str, Any]] = (
    *({"top_k": 5}, {"top_p": 0.7}, {"min_p": 0.3}),
    *({"top_p": 0.8, "temperature": 2.0}, {"top_k": 3, "top_p": 0.9}),
)
REPORTED_SETS = 4  # of each
MESSAGES = 20  # of several tokens
DETECTS = f"a difference of {CLOSE:g} nats in any value that was looked at"

found = partial(certain, detects=DETECTS)


def distribution(context: CheckContext) -> Finding:
    """Ask for the values at temperatures below and above 1, and with a nucleus."""
    context.need(["temperature"])
    return by_mode(context, [{"temperature": 2.0}, {"temperature": 0.5}, {"temperature": 2.0, "top_p": 0.8}])


def zero_temperature(context: CheckContext) -> Finding:
    """Ask for the values at temperature 0."""
    if not context.semantics.zero_temperature:
        raise NotTestable(f"the dialect {context.semantics.name!r} does not take temperature 0")
    return by_mode(context, [{"temperature": 0}])


def truncation(context: CheckContext) -> Finding:
    """Ask for the values when tokens are cut off."""
    cuts = {"top_p": 0.7, "top_k": 5, "min_p": 0.3}
    return by_mode(context, [{name: value} for name, value in cuts.items()])


def penalties_and_bias(context: CheckContext) -> Finding:
    """Ask for the values of tokens that have a bias or were sampled before."""
    values = {
        "logit_bias": {RANKED[1]: 2.0, RANKED[2]: -2.0},
        "presence_penalty": 1.0,
        "frequency_penalty": 1.0,
        "repetition_penalty": 2.0,
    }
    return by_mode(context, [{name: value} for name, value in values.items()])


def by_mode(context: CheckContext, settings: Sequence[Mapping[str, Any]]) -> Finding:
    """Compare all values with those of each mode; that they show nothing of what has no effect says nothing.

    Raises:
        NotTestable: Of no setting all parameters act by themselves.
        Refused: Nor are they all taken.
    """
    logits = spaced(offset=2.0)
    names = TokenNames.learnt(context, len(logits))
    acting = [params for params in settings if len(context.acting(list(params))) == len(params)]
    if not acting:
        context.need_acting(
            *dict.fromkeys(name for params in settings for name in context.having(list(params)))
        )
    wrong: list[str] = []
    for params in acting:
        asked = {**params, **WANTED, "top_logprobs": len(logits)}
        case = SamplingCase(logits, asked, output_ids=(RANKED[0], RANKED[0]))
        told = told_values(names, only(context.report(case)))
        differs = difference(told, logprobs(case, context.semantics))
        if differs > CLOSE:
            words = ", ".join(f"{name} {value}" for name, value in params.items())
            wrong.append(f"at {words} {fitting(context, case, told)} (off by {differs:.2g} nats)")
    if wrong:
        return found(
            Verdict.DEVIATES,
            f"not the mode {context.semantics.logprob_mode!r}: {'; '.join(wrong)}",
            len(acting),
        )
    return found(Verdict.CONFORMS, f"the values of the mode {context.semantics.logprob_mode!r}", len(acting))


def told_values(names: TokenNames, entry: Entry) -> dict[int, float]:
    """Return the reported log probabilities by token id."""
    if not entry.alternatives:
        raise Refused("top_logprobs gives an empty list")
    told = {names.id_of(one): one.logprob for one in entry.alternatives}
    told.setdefault(names.id_of(entry), entry.logprob)
    return told


def difference(told: Mapping[int, float], row: Row) -> float:
    """Return the largest difference; a value that stands for none differs from every number."""
    worst = 0.0
    for token, value in told.items():
        none, expected = value <= SENTINEL, float(row[token])
        if none != (expected == -math.inf):
            return math.inf
        worst = worst if none else max(worst, abs(value - expected))
    return worst


def fitting(context: CheckContext, case: SamplingCase, told: Mapping[int, float]) -> str:
    """Which mode's values these are, in words."""
    rows = {mode: logprobs(case, context.semantics, mode) for mode in MODES}
    fits = [repr(mode) for mode, row in rows.items() if difference(told, row) <= CLOSE]
    return f"those of the mode {' or '.join(fits)}" if fits else "those of no mode"


def reports(context: CheckContext, case: SamplingCase) -> list[Entry]:
    """Return the entry of the one token of each of several reports."""
    return [only(context.report(case)) for _ in range(REPORTS)]


def mass(context: CheckContext) -> Finding:
    """Ask for the sum of the listed probabilities, of a part of the tokens and of all."""
    settings: list[Mapping[str, Any]] = [{}, {"temperature": 0.5}, {"temperature": 2.0}]
    largest, whole = 0.0, 0.0
    for params in settings:
        for count in (5, len(RANKED)):
            entry = only(context.report(SamplingCase(spaced(), {**params, **WANTED, "top_logprobs": count})))
            values = [one.logprob for one in entry.alternatives]
            if not values:
                raise Refused(f"top_logprobs {count} gives an empty list")
            sum_ = sum(math.exp(min(value, 100.0)) for value in values)
            largest = max(largest, sum_)
            whole = max(whole, abs(sum_ - 1)) if len(values) >= len(RANKED) else whole
    words = f"the largest sum is {largest:.6f}; that of all tokens is off 1 by {whole:.1g}"
    verdict = Verdict.CONFORMS if largest <= 1 + CLOSE and whole <= CLOSE else Verdict.DEVIATES
    return found(verdict, words, 2 * len(settings), detects=f"a mass of {CLOSE:g}")


def chosen_is_listed(context: CheckContext) -> Finding:
    """Ask for the value in a token's entry and that in the list."""
    case = SamplingCase(spaced(0.1), {**WANTED, "top_logprobs": len(RANKED), "temperature": 1.5})
    listed = 0
    for entry in reports(context, case):
        for one in entry.alternatives:
            if one.key == entry.key:
                listed += 1
                if abs(one.logprob - entry.logprob) > CLOSE:
                    words = f"{entry.token!r} has {entry.logprob:.6f} in its entry and {one.logprob:.6f} in the list"
                    return found(Verdict.DEVIATES, words, REPORTS)
    if not listed:
        words = f"none of {REPORTS} sampled tokens is in the list of all {len(RANKED)}"
        return found(Verdict.DEVIATES, words, REPORTS)
    return found(
        Verdict.CONFORMS, f"{listed} of {REPORTS} sampled tokens are listed, with one value", REPORTS
    )


def count(context: CheckContext) -> Finding:
    """How many alternatives there are, which, in which order, and what stands for ranks that are not listed."""
    names = TokenNames.learnt(context, len(WIDE))
    unlisted: set[float] = set()
    lengths: dict[int, set[int]] = {}
    for asked in (0, 1, 5, LARGEST):
        case = SamplingCase(WIDE, {**WANTED, "top_logprobs": asked})
        row = logprobs(case, context.semantics)
        for entry in reports(context, case):
            sampled = names.id_of(entry)
            ids = [names.id_of(one) for one in entry.alternatives]
            lengths.setdefault(asked, set()).add(len(ids))
            wrong = misplaced(context, row, sampled, asked, ids) or misvalued(
                context, row, sampled, entry.logprob
            )
            if wrong:
                return found(Verdict.DEVIATES, f"top_logprobs {asked}: {wrong}", REPORTS)
            if hidden(context, row, sampled):
                unlisted.add(entry.logprob)
    words = ", ".join(f"{asked} asked: {' or '.join(map(str, sorted(n)))}" for asked, n in lengths.items())
    value = (
        f"; a rank behind {context.semantics.max_reported_rank} is reported as {min(unlisted):g}"
        if unlisted
        else ""
    )
    return found(
        Verdict.CONFORMS, words + value, 4 * REPORTS, detects="a token too many or too few in any list"
    )


def misplaced(context: CheckContext, row: Row, sampled: int, asked: int, ids: Sequence[int]) -> str:
    """Return what is wrong with a list of alternatives; nothing if it is as the dialect has it."""
    best = [int(token) for token in np.argsort(-row, kind="stable")[:asked]]
    if context.semantics.sampled_first:
        best = [sampled, *(token for token in best if token != sampled)]
        best = best[:asked] if context.semantics.at_most_k else best
    if len(ids) != len(best):
        return f"{len(ids)} are listed, {len(best)} should be"
    return "" if list(ids) == best else f"ids {list(ids)} are listed, {best} should be"


def misvalued(context: CheckContext, row: Row, sampled: int, value: float) -> str:
    """Return what is wrong with the value of the sampled token."""
    if hidden(context, row, sampled):
        return (
            ""
            if value == SENTINEL
            else f"a rank that is not listed is reported as {value:g}, not as {SENTINEL:g}"
        )
    right = abs(value - row[sampled]) <= CLOSE
    return "" if right else f"the sampled token has {value:.4f}, not {row[sampled]:.4f}"


def hidden(context: CheckContext, row: Row, sampled: int) -> bool:
    """Whether a token's rank is one that is not reported."""
    ranks = context.semantics.max_reported_rank
    return ranks is not None and int((row > row[sampled]).sum()) >= ranks


def joined_bytes(context: CheckContext) -> Finding:
    """Ask for the bytes of all tokens of a message, next to its text; characters in pieces among them."""
    case = SamplingCase(spaced(0.05), {**WANTED, "max_tokens": 8})
    tokens = 0
    for _ in range(MESSAGES):
        choice = context.report(case)
        entries, content = entries_of(choice), content_of(choice)
        tokens += len(entries)
        if all(entry.raw is None for entry in entries):
            raise Refused("no entry has bytes")
        if any(not 0 <= byte < 256 for entry in entries for byte in entry.raw or ()):
            raise CouldNotRun("bytes that are no numbers from 0 to 255")
        joined = b"".join(bytes(entry.raw or ()) for entry in entries)
        if joined.decode(errors="replace") != content or "\ufffd".encode() in joined:
            words = f"the bytes joined are {joined!r}, the message is {content!r}"
            return found(Verdict.DEVIATES, words, tokens, detects="a byte")
    return found(
        Verdict.CONFORMS, f"the bytes of {tokens} tokens give {MESSAGES} messages", tokens, detects="a byte"
    )


def kept_set(context: CheckContext) -> Finding:
    """Ask for the sets that the truncations kept, of several truncations.

    Raises:
        NotTestable: The target does not tell them, or no truncation acts.
    """
    logits, chosen = spaced(), get_dialect(cast("DialectName", context.semantics.name))
    names, compared = TokenNames.learnt(context, len(logits)), list[tuple[str, KeptComparison]]()
    for params in CUTS:
        if len(context.acting([*params])) < len(params):
            continue
        words = ", ".join(f"{name} {value}" for name, value in params.items())
        for _ in range(REPORTED_SETS):
            choice = context.report(SamplingCase(logits, {**params, **WANTED}, (RANKED[0],)))
            sets = choice.get("sampling_mask")
            if sets is None:
                raise NotTestable("a choice has no `sampling_mask`, which would tell what was kept")
            token = names.id_of(only(choice))
            rows, asked = torch.from_numpy(logits)[None], SamplingParams(**params, ranges=chosen.ranges)
            try:
                if token not in sets[0]:
                    told = f"at {words} the sampled token, {token}, is not in the set that was kept"
                    return found(Verdict.DEVIATES, told, 1, detects="a token that no set has")
                compared.append((f"at {words}", compare_kept(rows, sets, asked, dialect=chosen)))
            except (TypeError, LookupError, InvalidArgument) as error:
                raise CouldNotRun(f"a `sampling_mask` of another form: {error}") from error
    if not compared:
        context.need_acting("top_k", "top_p")
    return kept_finding(compared)


RUNS: Mapping[str, Callable[[CheckContext], Finding]] = {
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
