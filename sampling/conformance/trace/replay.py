"""A trace replayed: which rule of the draw its tokens follow, and the first that does not.

Under the hypothesis that tokens are drawn independently of a rule's noise, from the processed distribution p, the product of
(1 - ERROR) [token = the rule's] / p(token) + ERROR over the tokens is an e-value: its expectation is 1. It grows while the rule
holds, though a token here and there were changed, and dies within some tokens where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from sampling_kernels.validity import row_validity
from torch import Tensor

from sampling.chat.request import SAMPLING_FIELDS
from sampling.conformance.trace.judged import Judged, judged, keep
from sampling.conformance.trace.logits import LogitsOf
from sampling.conformance.trace.record import Record
from sampling.conformance.trace.shard import Shard
from sampling.conformance.verdict import FALSE_ALARM
from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.logits import checked_logits
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, get_dialect
from sampling.pipeline.effective import top_k_of
from sampling.replay.greedy import greedy_tokens, is_greedy
from sampling.replay.tokens import ReplayedTokens, replay_tokens
from sampling.sampler.logprobs import checked_ids
from sampling.sampler.rules import RULES, Rule
from sampling.sampler.rules.exponential_race import one_call_for_all_rows

ERROR = 0.01
ENOUGH = -math.log(FALSE_ALARM)
ELEMENTS = 2**24  # logits that are replayed at a time
FEW = 8  # tokens of a record that come first, which a wrong rule does not survive

ALONE = Shard()


@dataclass(frozen=True)
class Difference:
    """A token that a rule cannot have drawn.

    Args:
        record: The record's number in the trace, from 1.
        position: The token's place in it, from 0.
        recorded: The token.
        drawn: What the rule draws.
        kept: Whether the recorded one is in the kept set.
        distance: How clear the draw was.
    """

    record: int
    position: int
    recorded: int
    drawn: int
    kept: bool
    distance: float


@dataclass
class RuleReplay:
    """What became of a trace under one rule.

    Args:
        rule: Its name.
        tokens: How many tokens were replayed.
        decided: Of how many the rule leaves no doubt.
        as_said: How many are the rule's.
        within_margin: How many are the runner-up of a draw that is too close to tell.
        differing: How many the rule cannot have drawn.
        log_e_value: ln of the evidence for the rule, against tokens that are drawn without it.
        greedy: How many were sampled at temperature 0, so that the arg max judges them; they are no evidence for the rule.
        left_out: The numbers of the records without a seed, of which nobody can know what the rule drew.
        first: The first that differs.
        untried: Why the trace cannot be replayed by this rule; "" if it can.
        judged: The first tokens, and more of those that are not as the rule says.
    """

    rule: Rule
    tokens: int = 0
    decided: int = 0
    as_said: int = 0
    within_margin: int = 0
    differing: int = 0
    log_e_value: float = 0.0
    greedy: int = 0
    left_out: list[int] = field(default_factory=list[int])
    first: Difference | None = None
    untried: str = ""
    judged: list[Judged] = field(default_factory=list[Judged])

    @property
    def alive(self) -> bool:
        """Return False once the evidence is against the rule, or it cannot be tried."""
        return not self.untried and self.log_e_value > -ENOUGH

    @property
    def fits(self) -> bool:
        """Return True if there is enough evidence for the rule."""
        return not self.untried and self.log_e_value >= ENOUGH

    def take(self, part: RuleReplay) -> None:
        """Take in what became of some more tokens."""
        self.tokens += part.tokens
        self.decided += part.decided
        self.as_said += part.as_said
        self.within_margin += part.within_margin
        self.differing += part.differing
        self.log_e_value += part.log_e_value
        self.greedy += part.greedy
        self.left_out += part.left_out
        self.first = self.first or part.first
        self.untried = self.untried or part.untried
        keep(self.judged, part.judged)

    @staticmethod
    def of(rule: Rule, number: int, begin: int, said: ReplayedTokens, *, greedy: bool) -> RuleReplay:
        """Return what became of tokens of a record, of which the first stands at a position."""
        told = said.decided & ~said.within_margin & (not greedy)
        gained = (1 - ERROR) * said.as_said / said.logprobs.double().exp().clamp(min=1e-300) + ERROR
        found = RuleReplay(
            rule,
            tokens=len(said.recorded),
            decided=int(said.decided.sum()),
            as_said=int(said.as_said.sum()),
            within_margin=int(said.within_margin.sum()),
            differing=int(said.differs.sum()),
            log_e_value=float(gained[told].log().sum()),
            greedy=len(said.recorded) if greedy else 0,
            judged=[*judged(said, number, begin)],
        )
        if found.differing:
            at = int(said.differs.int().argmax())
            found.first = Difference(
                record=number,
                position=begin + at,
                recorded=int(said.recorded[at]),
                drawn=int(said.drawn[at]),
                kept=bool(said.logprobs[at] > -math.inf),
                distance=float(said.margin.distance[at]),
            )
        return found


Parts = Mapping[Rule, Iterable[RuleReplay]]  # what became of a record's tokens, some at a time


@dataclass(frozen=True)
class Replay:
    """A trace under one rule or several.

    Args:
        rules: What became of it under each, by name.
        records: How many records were read.
        notes: What else is worth knowing.
    """

    rules: dict[str, RuleReplay]
    records: int
    notes: tuple[str, ...] = field(default=())

    @property
    def best(self) -> RuleReplay:
        """Return the rule with the most evidence for it."""
        tried = [one for one in self.rules.values() if not one.untried]
        return max(tried or self.rules.values(), key=lambda one: one.log_e_value)

    @property
    def exit_code(self) -> int:
        """Return 0 if a rule fits every token, 1 if one differs, and 2 if no rule is shown to fit."""
        return (1 if self.best.differing else 0) if self.best.fits else 2


def replay_trace(
    records: Iterable[Record],
    logits_of: LogitsOf,
    rules: Sequence[Rule],
    *,
    dialect: Dialect | None = None,
    logit_error: float = 0.0,
    shard: Shard = ALONE,
) -> Replay:
    """Replay a trace by each of some rules; of several, one is left alone once the evidence is against it.

    Processes that share a trace take turns at its records; each finds out what one that is alone does, to the last bit. The
    first record with tokens, which most rules do not survive, all of them replay.

    Args:
        records: The trace.
        logits_of: Gives the logits of a record, float32 [T, V].
        rules: The rules; a single one has to be possible in every record.
        dialect: How the parameters are read; each rule's own dialect when left out.
        logit_error: How far the engine's logits may be from these.
        shard: Which of several processes this one is.

    Raises:
        InvalidArgument: Logits are not there or do not fit; or the trace lacks what the only rule needs.
    """
    found: dict[Rule, RuleReplay] = {rule: RuleReplay(rule) for rule in rules}
    alone = len(found) == 1

    def parts_of(number: int, record: Record) -> dict[Rule, Iterator[RuleReplay]]:
        if not record.token_ids:
            return {}
        logits = logits_of(record, number)
        check_record(record, number, logits)
        tried: list[Rule] = [rule for rule in rules if alone or found[rule].alive]
        return {
            rule: record_parts(rule, record, number, logits, dialect, logit_error, alone=alone)
            for rule in tried
        }

    read: list[Record] = []
    numbered = enumerate(records, start=1)
    while turn := list(islice(numbered, shard.count if any(one.tokens for one in found.values()) else 1)):
        read += [record for _, record in turn]
        for parts in [parts_of(*turn[0])] if len(turn) == 1 else shared(turn, parts_of, shard):
            merge(found, parts)
    for one in found.values():
        if one.left_out and not one.tokens and not one.untried:
            one.untried = str(no_seed(one))
            if alone:
                raise no_seed(one)
    return Replay({**found}, len(read), (*told_apart(found.values()), *shared_noise(read, found.values())))


def shared(
    turn: Sequence[tuple[int, Record]], parts_of: Callable[[int, Record], Parts], shard: Shard
) -> Iterator[Parts]:
    """Yield what became of some records, of which each process replays one at most.

    Raises:
        InvalidArgument: A process could not replay its own.
    """
    own: dict[Rule, list[RuleReplay]] | InvalidArgument = {}
    try:
        for number, record in turn[shard.rank : shard.rank + 1]:
            own = {rule: list(parts) for rule, parts in parts_of(number, record).items()}
    except InvalidArgument as error:
        own = error
    for parts in shard.gather(own):
        if isinstance(parts, InvalidArgument):
            raise parts
        yield parts


def merge(found: dict[Rule, RuleReplay], parts: Parts) -> None:
    """Take in what became of a record; of several rules, not what comes after the evidence was against one."""
    for rule, some in parts.items():
        one = found[rule]
        left = iter(some)
        while (len(found) == 1 or one.alive) and (part := next(left, None)) is not None:
            one.take(part)


def no_seed(one: RuleReplay) -> InvalidArgument:
    """Return the error of a trace none of whose records can be replayed for want of a seed."""
    words = f"given: without one, what the rule {one.rule} draws cannot be known"
    return InvalidArgument(f"trace, record {one.left_out[0]}.seed", None, words)


def told_apart(replays: Iterable[RuleReplay]) -> Iterator[str]:
    """Yield what a rule that is not out does not judge: records without a seed, and greedy tokens."""
    for one in replays:
        if one.alive and one.left_out:
            yield (
                f"{one.rule}: records without a seed are left out, {len(one.left_out)} in all, the first of them "
                f"record {one.left_out[0]}: nobody can know what they drew"
            )
        if one.alive and one.greedy:
            yield f"{one.rule}: {one.greedy} tokens of temperature 0 are judged by the arg max"


def check_record(record: Record, number: int, logits: Tensor) -> None:
    """Refuse logits and tokens that no rule can be tried with.

    Raises:
        InvalidArgument: The logits have another form or type, or a row without a distribution; or a token is not one of theirs.
    """
    where = f"trace, record {number}"
    try:
        width = checked_logits(logits).shape[1]
        checked_ids(record.token_ids, len(logits), width, lowest=0)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}.{error.param}", error.value, error.allowed) from None
    highest = max(record.prompt_ids or (), default=-1)
    if highest >= width:
        raise InvalidArgument(
            f"{where}.prompt_ids", highest, f"token ids below {width}, as the logits have them"
        )
    invalid = row_validity(logits).nonzero()[:, 0].tolist()
    if invalid:
        words = "numbers that can be sampled"
        raise InvalidArgument(f"{where}.logits", f"row {invalid[0]} with NaN, +inf or nothing left", words)


def record_parts(
    name: Rule,
    record: Record,
    number: int,
    logits: Tensor,
    dialect: Dialect | None,
    logit_error: float,
    *,
    alone: bool,
) -> Iterator[RuleReplay]:
    """Replay a record by a rule, some tokens at a time."""
    rule, chosen = RULES[name], dialect or get_dialect(RULES[name].dialect)
    try:
        params = params_of(record, chosen)
        greedy = is_greedy(params, chosen)
        if not greedy and rule.unseeded is None and not rule.is_seed(params.seed):
            yield RuleReplay(name, left_out=[number])
            return
        for begin, said in replayed(record, logits, params, name, chosen, logit_error):
            yield RuleReplay.of(name, number, begin, said, greedy=greedy)
    except InvalidArgument as error:
        named = InvalidArgument(f"trace, record {number}.{error.param}", error.value, error.allowed)
        if alone:
            raise named from None
        yield RuleReplay(name, untried=str(named))


def replayed(
    record: Record, logits: Tensor, params: SamplingParams, rule: Rule, dialect: Dialect, logit_error: float
) -> Iterator[tuple[int, ReplayedTokens]]:
    """Yield the replayed tokens of a record, some at a time, with the position of the first of them."""
    size = max(1, ELEMENTS // logits.shape[1])
    prompt, tokens = record.prompt_ids, record.token_ids
    output = torch.tensor(tokens)
    ends = [0, *range(min(FEW, size), len(tokens), size), len(tokens)]
    for here in map(slice, ends, ends[1:]):
        part = range(*here.indices(len(tokens)))
        given: dict[str, Any] = {
            "dialect": dialect,
            "prompt_ids": None if prompt is None else [prompt for _ in part],
            "output_ids": [output[:place] for place in part],
            "logit_error": logit_error,
        }
        if is_greedy(params, dialect):
            yield here.start, greedy_tokens(logits[here], tokens[here], params, **given)
        else:
            given |= {"choices": record.choice, "positions": stream_positions(record, part, rule)}
            yield here.start, replay_tokens(logits[here], tokens[here], params, rule=rule, **given)


def stream_positions(record: Record, part: Sequence[int], rule: Rule) -> list[int] | None:
    """Return where tokens stand in a generator that requests share; None for a rule whose requests have one each."""
    if RULES[rule].stream is not one_call_for_all_rows:
        return None
    return [record.draws_before + place * record.rows for place in part]


def params_of(record: Record, dialect: Dialect) -> SamplingParams:
    """Return the sampling parameters of a record as a dialect's requests write them.

    Raises:
        InvalidRequest: The dialect does not have one of them, or tokens were constrained, of which a replay knows nothing.
    """
    constrained = record.params.get("response_format")
    if constrained is not None and constrained != {"type": "text"}:
        raise InvalidRequest("response_format", constrained, "left out: a replay has no grammar")
    given: dict[str, Any] = {
        name: record.params[name] for name in SAMPLING_FIELDS if record.params.get(name) is not None
    }
    if "top_k" in given:
        given["top_k"] = top_k_of(given["top_k"], dialect)
    return SamplingParams(**given, ranges=dialect.ranges)


def shared_noise(records: Sequence[Record], rules: Iterable[RuleReplay]) -> Iterator[str]:
    """Yield a warning for each rule that fits and gives two requests the same noise."""
    for one in rules:
        if not one.fits:
            continue
        rule, left_out = RULES[one.rule], {*one.left_out}
        seen: dict[tuple[int, int], tuple[int | None, int]] = {}
        for number, record in enumerate(records, start=1):
            given = record.params.get("seed")
            if number in left_out or record.params.get("temperature") == 0:
                continue
            seeds, choices = rule.keyed(torch.tensor([rule.seed_key(given)]), torch.tensor([record.choice]))
            other = seen.setdefault((int(seeds), int(choices)), (given, record.choice))
            if other != (given, record.choice):
                yield (
                    f"requests share noise under {one.rule}: choice {record.choice} of seed {given} is drawn "
                    f"like choice {other[1]} of seed {other[0]}"
                )
                break
