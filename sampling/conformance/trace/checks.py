"""Checks of a trace: what its tokens say about the meaning of its parameters."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from sampling.chat.loaded_model import LoadedModel
from sampling.conformance.checks import COMPARISONS
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.weights import ReferenceWeights
from sampling.conformance.proof import by_replay, kept_in, replay_of
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import Alternative, SequentialTest, distinct
from sampling.conformance.statistics.pit import placed
from sampling.conformance.trace.cases import CASES, PLAIN
from sampling.conformance.trace.logits import OF_MODEL, LogitsOf, TensorFile, logits_of_model
from sampling.conformance.trace.record import Record
from sampling.conformance.trace.replay import RuleReplay
from sampling.conformance.trace.steps import delicate, steps_of
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.trace.tokens import Tokens
from sampling.conformance.trace.weights import against_weights
from sampling.conformance.typed import typed
from sampling.conformance.uniformity import uniformity_of
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.errors import InvalidArgument
from sampling.sampler.rules import Rule, checked_rule

SAME = 1e-3  # distributions closer than this are one: log probabilities are told with few digits
CLOSE = 1e-3


class TraceContext:
    """A trace and the semantics that it is compared with.

    Args:
        target: The trace.
        semantics: What its engine should do.
        reference: The weights that its engine should have had, for the leg that compares with them, and for replays.
        rule: The rule that its engine draws by; where the logits are known, those of the dialect's engine are tried without it.
        logits: A file of safetensors that has the logits, and kept sets, that the records name.

    Raises:
        InvalidArgument: A reference that is no loaded model, a rule that cannot be tried, or a file that
            lacks what the trace names.
    """

    def __init__(
        self,
        target: TraceTarget,
        semantics: Semantics,
        reference: LoadedModel | None = None,
        rule: Rule | None = None,
        logits: str | Path | None = None,
    ) -> None:
        typed("reference", reference, LoadedModel | None, "a model as `sampling.load` gives it, or None")
        typed("logits", logits, str | Path | None, "the path of a file of safetensors, or None")
        self.records, self.semantics = target.records, semantics
        self.rule: Rule | None = None if rule is None else checked_rule(rule)
        self.beside = None if logits is None else TensorFile(Path(logits))
        self.logits_of, self.logit_error = source_of(self.beside, reference)
        if self.rule is not None and self.logits_of is None:
            words = "left out: without logits or reference weights nothing can be replayed"
            raise InvalidArgument("rule", rule, words)
        if self.rule is not None or self.beside is not None:
            self.replayed  # noqa: B018 (what is wrong with the files is said before anything runs)
        self.kept = self._kept()
        self.reference = None if reference is None else ReferenceWeights(reference, semantics.name)

    @property
    def legs(self) -> tuple[str, ...]:
        """Which comparisons are made."""
        return ("self-consistency",) if self.reference is None else ("self-consistency", "reference weights")

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens whose distributions are known."""
        found = Tokens.of(steps_of(self.records))
        return found.where(lambda situation: not delicate(situation, self.semantics))

    @cached_property
    def replayed(self) -> RuleReplay | None:
        """What the tokens say about the rule; None where the logits are not known, or no rule fits."""
        if self.logits_of is None:
            return None
        try:
            return replay_of(self.records, self.logits_of, self.rule, self.semantics.name, self.logit_error)
        except InvalidArgument:
            if self.rule is not None or self.beside is not None:
                raise
            return None  # weights were given for another leg, and do not fit a replay

    def _kept(self) -> Finding:
        """Compare the sets that the engine kept with those of the dialect."""
        kept_of = None if self.beside is None else self.beside.kept_of
        try:
            if all(record.kept is None for record in self.records):
                raise NotTestable("the trace does not tell the sets of tokens that the engine kept")
            if self.logits_of is None:
                raise NotTestable("the sets of a trace need its logits: a file of them, or reference weights")
            return kept_in(self.records, self.logits_of, kept_of, self.semantics.name)
        except NotTestable as end:
            return end.finding()

    @property
    def notes(self) -> tuple[str, ...]:
        """How much of the trace could be used, and how its log probabilities compare with the reference's."""
        tokens = sum(len(record.token_ids) for record in self.records)
        used = f"{len(self.tokens)} of {tokens} tokens have distributions that the trace tells well enough"
        return (used,) if self.reference is None else (used, against_weights(self.records, self.reference))


Run = Callable[[TraceContext], Finding]


def source_of(beside: TensorFile | None, reference: LoadedModel | None) -> tuple[LogitsOf | None, float]:
    """Return where the logits are from, and how far the engine's may be from them."""
    if beside is not None:
        return beside.logits_of, 0.0
    return (None, 0.0) if reference is None else (logits_of_model(reference), OF_MODEL)


def proved(statistics: Run, context: TraceContext) -> Finding:
    """Prove by replay where the rule is known; look at frequencies where it is not."""
    return by_replay(context.replayed, of_model=context.beside is None) or statistics(context)


def needs_rule(seen: Callable[[Record], object], what: str, context: TraceContext) -> Finding:
    """Prove by replay what frequencies in a trace do not show, where records differ in something.

    Raises:
        NotTestable: They do not, or the rule is not known.
    """
    if len({seen(record) for record in context.records}) < 2:
        raise NotTestable(f"the trace has no two {what}")
    found = by_replay(context.replayed, of_model=context.beside is None)
    if found is None:
        raise NotTestable("without a known rule of the draw (and logits), a trace shows no such thing")
    return found


def compared(name: str, context: TraceContext) -> Finding:
    """Compare the hypotheses of a check on its tokens."""
    comparison = COMPARISONS[name].comparison(context.semantics)
    tokens = CASES[name].of(context.tokens)
    null = {words: tokens.rows(own) for words, own in comparison.null.items()}
    others = [
        Alternative(words, comparison.verdict(words), tokens.rows(other))
        for words, other in comparison.alternatives.items()
        if words not in CASES[name].left_out
    ]
    alternatives = distinct(null, others, SAME)
    if not alternatives:
        raise NotTestable("all hypotheses give the same distributions for the tokens of the trace")
    test = SequentialTest(null, alternatives)
    test.add(tokens.which, tokens.drawn)
    return test.finding()


def uniformity(context: TraceContext) -> Finding:
    """Turn tokens into uniforms; truncations and penalties are left to their own checks."""
    tokens = PLAIN.of(context.tokens)
    rows, inside = tokens.rows(context.semantics), np.random.default_rng(0).random(len(tokens))
    return uniformity_of(placed(tokens.below(rows), tokens.probabilities(rows), inside))


def mass(context: TraceContext) -> Finding:
    """Add the listed probabilities up."""
    lists = [listed for record in context.records for listed in record.top_logprobs if listed]
    if not lists:
        raise NotTestable("the trace lists no log probabilities")
    different = {id(listed): listed for listed in lists}.values()
    largest = max(sum(math.exp(entry.logprob) for entry in listed) for listed in different)
    words = f"in {len(lists)} lists the largest sum is {largest:.6f}"
    verdict = Verdict.CONFORMS if largest <= 1 + CLOSE else Verdict.DEVIATES
    return Finding(verdict, words, len(lists), false_alarm=0.0)


def chosen_is_listed(context: TraceContext) -> Finding:
    """Compare each sampled token's value with that in the list."""
    pairs = [pair for record in context.records for pair in values(record)]
    if not pairs:
        raise NotTestable("the trace does not tell the reported values of sampled tokens")
    wrong = [(own, listed) for own, listed in pairs if abs(own - listed) > CLOSE]
    words = f"{len(pairs)} sampled tokens have the value that is listed for them"
    if wrong:
        words = (
            f"{len(wrong)} of {len(pairs)} differ, the first being {wrong[0][0]} and listed as {wrong[0][1]}"
        )
    return Finding(Verdict.DEVIATES if wrong else Verdict.CONFORMS, words, len(pairs), false_alarm=0.0)


def values(record: Record) -> list[tuple[float, float]]:
    """Return reported and listed values of the sampled tokens, where both are known."""
    found: list[tuple[float, float]] = []
    for place, own in enumerate(record.logprobs or ()):
        listed = {entry.id: entry.logprob for entry in record.top_logprobs[place]}
        token = record.token_ids[place]
        if own is not None and own > -1000 and token in listed:
            found.append((own, listed[token]))
    return found


def seed_repeats(context: TraceContext) -> Finding:
    """Compare completions of equal requests with equal seeds."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in context.records:
        if record.params.get("seed") is not None and record.prompt_ids is not None:
            asked = (record.prompt_ids, sorted(record.params.items(), key=str), record.choice)
            found[repr((record.engine, record.version, record.model, *asked))].append(record)
    twice = [group for group in found.values() if len(group) > 1]
    if not twice:
        raise NotTestable("no seeded request was recorded twice")
    wrong = [group for group in twice if len({tuple(record.token_ids) for record in group}) > 1]
    words = f"{len(wrong)} of {len(twice)} seeded requests that were recorded more than once gave different tokens"
    return Finding(Verdict.DEVIATES if wrong else Verdict.CONFORMS, words, len(twice), false_alarm=0.0)


def finish_reason(context: TraceContext) -> Finding:
    """Completions that are shorter than max_tokens end with `stop`, the others with `length` where nothing stopped them."""
    due = due_reasons(context.records)
    wrong = [(record, reason) for record, reason in due if record.finish_reason != reason]
    if wrong:
        record, reason = wrong[0]
        words = (
            f"{len(wrong)} of {len(due)} completions end for another reason than they should, the first of "
            f"{len(record.token_ids)} tokens for {record.finish_reason!r} and not {reason!r}"
        )
        return Finding(Verdict.DEVIATES, words, len(due), false_alarm=0.0)
    silent = {"stop", "length"} - {reason for _, reason in due}
    if silent:
        words = " or ".join(repr(reason) for reason in sorted(silent))
        raise NotTestable(f"of no completion does the trace tell that it must end with {words}")
    words = f"{len(due)} completions end for the reason that their lengths and last tokens give"
    return Finding(Verdict.CONFORMS, words, len(due), false_alarm=0.0)


def due_reasons(records: Sequence[Record]) -> list[tuple[Record, str]]:
    """Completions that tell a reason, and the one that they should tell, where it can be known.

    That of a full-length one depends on whether its last token ends a message. One that ends a shorter message does, unless
    a stop string may have ended it; one that others go on behind does not.
    """
    told = [r for r in records if r.finish_reason and r.token_ids and r.params.get("max_tokens")]
    short = [r for r in told if len(r.token_ids) < r.params["max_tokens"]]
    ends = {
        (r.model, r.token_ids[-1]) for r in short if r.finish_reason == "stop" and not r.params.get("stop")
    }
    goes_on = {(r.model, token) for r in records for token in r.token_ids[:-1]}
    due = [(record, "stop") for record in short]
    for record in told:
        last = record.model, record.token_ids[-1]
        if len(record.token_ids) == record.params["max_tokens"] and (last in ends) != (last in goes_on):
            if last in ends:
                due.append((record, "stop"))
            elif not record.params.get("stop"):
                due.append((record, "length"))
    return due


RUNS: dict[str, Run] = {
    "reported.mass": mass,
    "reported.chosen-is-listed": chosen_is_listed,
    **{name: partial(compared, name) for name in CASES},
    "reported.kept-set": lambda context: context.kept,
    "randomness.uniformity": partial(proved, uniformity),
    "randomness.seed-repeats": partial(proved, seed_repeats),
    "randomness.seeds-differ": partial(needs_rule, lambda record: record.params.get("seed"), "seeds"),
    "randomness.choices-differ": partial(needs_rule, lambda record: record.choice, "choices"),
    "output.finish-reason": finish_reason,
}
