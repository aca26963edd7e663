"""Findings by proof: what tokens say whose rule of the draw is known, and what sets say that an engine kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from sampling.conformance.endings import NotTestable
from sampling.conformance.statistics.binomial import tail
from sampling.conformance.trace.logits import LogitsOf
from sampling.conformance.trace.record import Record
from sampling.conformance.trace.replay import Difference, RuleReplay, params_of, replay_trace
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict, certain
from sampling.core.errors import InvalidArgument
from sampling.dialects import DialectName, get_dialect
from sampling.sampler.rules import RULES, Rule
from sampling.scoring.compare import KeptComparison, compare_kept
from sampling.scoring.kept import Kept
from sampling.scoring.token_logprobs import token_logprobs

DETECTS = "a token that is not the rule's, in any draw"
ROUNDED = 0.25  # of a margin, where logits are a model's: the engine may have computed its own in bfloat16
ROUNDED_SHARE = 0.05  # of the tokens: more than such logits change
EXACT = 1e-5  # of a margin between processed logits: below this a boundary may be rounding


def replay_of(
    records: Sequence[Record], logits_of: LogitsOf, rule: Rule | None, dialect: str, logit_error: float
) -> RuleReplay | None:
    """Replay records by a rule; without one, by those of a dialect's engine, of which the one that fits is returned, if any.

    Raises:
        InvalidArgument: Logits do not fit, or the trace lacks what the rule needs.
    """
    rules: list[Rule] = [one for one in RULES if RULES[one].dialect == dialect] if rule is None else [rule]  # type: ignore[misc]
    if not rules:
        return None
    best = replay_trace(records, logits_of, rules, logit_error=logit_error).best
    return best if best.fits or rule is not None else None


def by_replay(
    one: RuleReplay | None, places: tuple[str, str] = ("record", "position"), *, of_model: bool = False
) -> Finding | None:
    """Return what a replay proves; None where no rule is known, or nothing was decided.

    Args:
        one: The replay.
        places: What its numbers of records and of positions count.
        of_model: Whether the logits are a model's and not the engine's own, so that few differences decide nothing.
    """
    if one is None or one.untried or not (one.differing or one.fits):
        return None
    words = (
        f"by replay: {one.as_said} of {one.tokens} tokens as {one.rule} says, e-value "
        f"10^{one.log_e_value / math.log(10):.1f}"
    )
    words += f", {one.within_margin} too close to tell" if one.within_margin else ""
    words += f"; {len(one.left_out)} records without a seed are left out" if one.left_out else ""
    if one.first is not None and of_model and few(one):
        told = f"{words}; {first(one.first, places)}; rounded logits may do that"
        return certain(Verdict.INCONCLUSIVE, told, one.tokens, detects=DETECTS)
    if one.first is not None:
        return certain(Verdict.DEVIATES, f"{words}; {first(one.first, places)}", one.tokens, detects=DETECTS)
    return certain(Verdict.CONFORMS, words, one.tokens, detects=DETECTS)


def few(one: RuleReplay) -> bool:
    """Return whether no more tokens differ than rounded logits may change, though the rule holds."""
    expected = one.differing <= ROUNDED_SHARE * one.tokens
    return one.alive and (expected or tail(one.differing, one.tokens, ROUNDED_SHARE) >= FALSE_ALARM)


def first(one: Difference, places: tuple[str, str]) -> str:
    """Return the first token that differs, in words."""
    kept = "" if one.kept else ", which the parameters do not even keep"
    where = f"{places[0]} {one.record}, {places[1]} {one.position}"
    return f"the first that differs is {one.recorded}{kept}, for {one.drawn} ({where})"


def kept_finding(compared: Iterable[tuple[str, KeptComparison]], tolerance: float = EXACT) -> Finding:
    """Return what sets that an engine kept say beside those of its rules.

    Args:
        compared: Where some sets are from, in words, and the comparison of them.
        tolerance: A token whose processed logit is closer than this to the boundary decides nothing.

    Raises:
        NotTestable: There are none.
    """
    sets, close, wrong = 0, 0, list[str]()
    for where, one in compared:
        sets += len(one.kept_counts)
        columns = (one.rows, one.token_ids, one.in_engine, one.margins, one.probs)
        for row, token, engine, margin, prob in zip(*(column.tolist() for column in columns), strict=True):
            if margin <= tolerance:
                close += 1
                continue
            whose = "keeps it alone" if engine else "does not keep it"
            wrong.append(
                f"{where}, set {row}, token {token}: the engine {whose}; margin {margin:.3g}, probability {prob:.3g}"
            )
    if not sets:
        raise NotTestable("nothing tells the sets of tokens that the engine kept")
    words = f"; {close} tokens are too close to the boundary to tell" if close else ""
    detects = "a token too many or too few in any set"
    if wrong:
        told = f"{len(wrong)} tokens of {sets} sets differ, the first: {wrong[0]}{words}"
        return certain(Verdict.DEVIATES, told, sets, detects=detects)
    return certain(Verdict.CONFORMS, f"{sets} sets are those of the dialect{words}", sets, detects=detects)


def kept_in(
    records: Sequence[Record],
    logits_of: LogitsOf,
    kept_of: Callable[[Record, int], Kept | None] | None,
    dialect: str,
) -> Finding:
    """Compare the sets that records tell with those of a dialect.

    Args:
        records: The trace.
        logits_of: Gives the logits of a record.
        kept_of: Gives its sets; those that it has itself when left out, of logits that a model computes.
        dialect: The name.

    Raises:
        NotTestable: No record tells any.
        InvalidArgument: Sets or logits do not fit.
    """
    chosen = get_dialect(cast("DialectName", dialect))

    def compared() -> Iterator[tuple[str, KeptComparison]]:
        for number, record in enumerate(records, start=1):
            kept = record.kept if kept_of is None else kept_of(record, number)
            if kept is None or not record.token_ids:
                continue
            tokens = record.token_ids
            given: dict[str, Any] = {
                "prompt_ids": None if record.prompt_ids is None else [record.prompt_ids] * len(tokens),
                "output_ids": [tokens[:place] for place in range(len(tokens))],
            }
            try:
                logits, params = logits_of(record, number), params_of(record, chosen)
                # the sampled token has to be in its set: `token_logprobs` says so where it is not
                token_logprobs(logits, tokens, params, dialect=chosen, kept=cast("Kept", kept), **given)
                yield (
                    f"record {number}",
                    compare_kept(logits, cast("Kept", kept), params, dialect=chosen, **given),
                )
            except InvalidArgument as error:
                where = (
                    error.param
                    if error.param.startswith("trace")
                    else f"trace, record {number}.{error.param}"
                )
                raise InvalidArgument(where, error.value, error.allowed) from None

    return kept_finding(compared(), EXACT if kept_of else ROUNDED)
