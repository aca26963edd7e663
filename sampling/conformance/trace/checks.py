"""Checks of a trace: what its tokens say about the readings of its parameters."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from sampling.chat.loaded_model import LoadedModel
from sampling.conformance.contest import IGNORED, SAME, HypothesisTest
from sampling.conformance.distributions import alike
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.weights import ReferenceWeights
from sampling.conformance.hypotheses import Readings, by_count, by_joint, by_size
from sampling.conformance.semantics import Semantics, moved
from sampling.conformance.statistics.pearson import pearson
from sampling.conformance.statistics.pit import cells, pair_cells, placed
from sampling.conformance.trace.record import Record
from sampling.conformance.trace.steps import delicate, steps_of
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.trace.tokens import Tokens
from sampling.conformance.trace.weights import against_weights
from sampling.conformance.typed import typed
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT
from sampling.dialects import TRUNCATIONS, parts

CLOSE = 1e-3
BINS, PAIR_BINS = 8, 3
DETECTS = "each named reading, once its e-value or that of all others is 1e6"


class TraceContext:
    """A trace and the semantics that it is compared with.

    Args:
        target: The trace.
        semantics: What its engine should do.
        reference: The weights that its engine should have had, for the leg that compares with them.

    Raises:
        InvalidArgument: A reference that is no loaded model.
    """

    def __init__(
        self, target: TraceTarget, semantics: Semantics, reference: LoadedModel | None = None
    ) -> None:
        typed("reference", reference, LoadedModel | None, "a model as `sampling.load` gives it, or None")
        self.records, self.semantics = target.records, semantics
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

    @property
    def notes(self) -> tuple[str, ...]:
        """How much of the trace could be used, and how its log probabilities compare with the reference's."""
        tokens = sum(len(record.token_ids) for record in self.records)
        used = f"{len(self.tokens)} of {tokens} tokens have distributions that the trace tells well enough"
        return (used,) if self.reference is None else (used, against_weights(self.records, self.reference))

    def found(self, *names: str, besides: tuple[str, ...] = ()) -> Tokens:
        """Return the tokens sampled with all of these parameters and no others, but for biases and some that may be."""
        allowed = {*names, *besides, "logit_bias"}
        return self.tokens.where(lambda situation: {*names} <= situation.uses <= allowed)

    def using(self, *names: str, besides: tuple[str, ...] = ()) -> Tokens:
        """Return the same, if there are any.

        Raises:
            NotTestable: There are none, or the dialect does not have one of these parameters.
        """
        self.require(*names)
        return some(self.found(*names, besides=besides), ", ".join(names) or "no parameters")

    def require(self, *names: str) -> None:
        """Go on only with a dialect that has some parameters.

        Raises:
            NotTestable: It lacks one.
        """
        missing = [name for name in names if name not in self.semantics.stages]
        if missing:
            raise NotTestable(f"the dialect {self.semantics.name!r} has no {', '.join(missing)}")


def some(tokens: Tokens, names: str) -> Tokens:
    """Tokens that were sampled with some parameters.

    Raises:
        NotTestable: There are none.
    """
    if not len(tokens):
        words = "no token of the trace whose distribution is known was sampled with"
        raise NotTestable(f"{words} {names} alone")
    return tokens


Run = Callable[[TraceContext], Finding]


def decide(tokens: Tokens, right: Readings, wrong: Readings) -> Finding:
    """Compare readings on some tokens."""
    rows = {name: tokens.rows(reading) for name, reading in {**right, **wrong}.items()}
    wrongs = [name for name in wrong if not any(alike(rows[name], rows[other], SAME) for other in right)]
    if not wrongs:
        raise NotTestable("all readings give the same distributions for the tokens of the trace")
    standing = HypothesisTest([*right], wrongs)
    standing.seen.take({name: tokens.logs(rows[name]) for name in (*right, *wrongs)})
    return standing.finding(len(tokens), DETECTS)


def ignoring(lab: TraceContext, name: str) -> Readings:
    """Return the reading that a parameter has no effect."""
    return {IGNORED: replace(lab.semantics, ignores=frozenset({name}))}


def temperature_scale(lab: TraceContext) -> Finding:
    """Tokens at other temperatures than 0 and 1."""
    own = lab.semantics
    wrong = {
        **ignoring(lab, "temperature"),
        "logits multiplied by the temperature": replace(own, temperature_power=-1.0),
        "logits divided twice": replace(own, temperature_power=2.0),
    }
    tokens = lab.using("temperature").where(lambda situation: situation.question.params["temperature"] > 0)
    return decide(tokens, {"logits divided": own}, wrong)


def temperature_zero(lab: TraceContext) -> Finding:
    """Tokens at temperature 0."""
    tokens = lab.using("temperature", besides=TRUNCATIONS)
    tokens = tokens.where(lambda situation: situation.question.params["temperature"] == 0)
    if not len(tokens):
        raise NotTestable("no token of the trace was sampled at temperature 0")
    wrong = int((tokens.probabilities(tokens.rows(lab.semantics)) == 0).sum())
    words = f"{wrong} of {len(tokens)} tokens at temperature 0 are not the arg max"
    return Finding(Verdict.DEVIATES if wrong else Verdict.CONFORMS, words, len(tokens), false_alarm=0.0)


def by_order(lab: TraceContext, stage: str, counts: Readings) -> Finding:
    """Whether the temperature comes before or after a stage; the counts are another check's."""
    own = lab.semantics
    tokens = lab.using("temperature", stage)
    joint = next(entry for entry in own.order if stage in parts(entry))
    orders = {
        f"temperature before {stage}": moved(own.order, "temperature", before=parts(joint)[0]),
        f"{stage} before temperature": moved(own.order, "temperature", after=stage),
    }
    stages = [*own.stages]
    mine, other = orders if stages.index("temperature") < stages.index(stage) else [*orders][::-1]
    right = {f"{mine}{words}": replace(reading, order=orders[mine]) for words, reading in counts.items()}
    wrong = {f"{other}{words}": replace(reading, order=orders[other]) for words, reading in counts.items()}
    return decide(tokens, right, {**wrong, **ignoring(lab, stage)})


def top_p_order(lab: TraceContext) -> Finding:
    """Tokens at other temperatures under a top_p; how many it keeps is another check's."""
    counts = {f", {words}": reading for words, reading in by_count(lab.semantics).items()}
    return by_order(lab, "top_p", counts)


def crossing(lab: TraceContext, more: int) -> Finding:
    """Whether top_p keeps so many tokens too many, the other fault left to another check."""
    readings = by_count(lab.semantics)
    bad = next(name for name, reading in readings.items() if reading.crossing_tokens == more)
    right = {name: reading for name, reading in readings.items() if name != bad}
    return decide(lab.using("top_p"), right, {bad: readings[bad], **ignoring(lab, "top_p")})


def top_k(lab: TraceContext) -> Finding:
    """Tokens under a top_k."""
    return decide(lab.using("top_k"), *by_size(lab.semantics))


def joint(lab: TraceContext) -> Finding:
    """Tokens under a top_k and a top_p."""
    return decide(lab.using("top_k", "top_p"), *by_joint(lab.semantics))


def scope(lab: TraceContext, name: str, counts: str) -> Finding:
    """Which tokens a penalty counts."""
    tokens = lab.using(name, besides=("temperature",)).where(lambda situation: situation.has_prompt)
    if not len(tokens):
        raise NotTestable("the trace does not tell its prompts")
    readings = {
        "sampled tokens only": replace(lab.semantics, **{counts: OUTPUT}),
        "the prompt, too": replace(lab.semantics, **{counts: PROMPT_AND_OUTPUT}),
    }
    prompt = getattr(lab.semantics, counts).prompt
    mine, other = [*readings][::-1] if prompt else [*readings]
    return decide(tokens, {mine: readings[mine]}, {other: readings[other]})


def frequency_counts(lab: TraceContext) -> Finding:
    """Tokens under a frequency penalty."""
    own = lab.semantics
    wrong = {**ignoring(lab, "frequency_penalty"), "once for all": replace(own, frequency_multiplies=False)}
    tokens = lab.using("frequency_penalty", besides=("temperature",))
    return decide(tokens, {"times the count": own}, wrong)


def penalty_order(lab: TraceContext) -> Finding:
    """Tokens under a penalty at another temperature than 1."""
    own, names = lab.semantics, ("presence_penalty", "frequency_penalty")
    lab.require(*names, "temperature")
    known = {name: lab.found(name, "temperature") for name in names}
    name = next((name for name in names if len(known[name])), names[0])
    tokens = some(known[name], f"temperature and {' or '.join(names)}")
    late = replace(own, order=moved(own.order, name, after="temperature"))
    return decide(tokens, {"penalty before temperature": own}, {"penalty after it": late})


def bias_order(lab: TraceContext) -> Finding:
    """Biased tokens at another temperature than 1."""
    own = lab.semantics
    early, late = (moved(own.order, "logit_bias", **{side: "temperature"}) for side in ("before", "after"))
    readings = {
        "bias before temperature": replace(own, order=early),
        "bias after temperature": replace(own, order=late),
    }
    stages = [*own.stages]
    first = stages.index("logit_bias") < stages.index("temperature")
    mine, other = readings if first else [*readings][::-1]
    return decide(
        lab.using("logit_bias", "temperature"),
        {mine: readings[mine]},
        {other: readings[other]},
    )


def uniformity(lab: TraceContext) -> Finding:
    """Turn tokens into uniforms; truncations and penalties are left to their own checks."""
    tokens = lab.using(besides=("temperature",))
    rows, inside = tokens.rows(lab.semantics), np.random.default_rng(0).random(len(tokens))
    uniforms = placed(tokens.below(rows), tokens.probabilities(rows), inside)
    couples = uniforms[: len(uniforms) // 2 * 2].reshape(-1, 2)
    single = pearson([cells(uniforms, BINS)], [np.full(BINS, 1 / BINS)])
    joint = pearson(
        [pair_cells(couples[:, 0], couples[:, 1], PAIR_BINS)], [np.full(PAIR_BINS**2, PAIR_BINS**-2.0)]
    )
    worst = min(single.p_value, joint.p_value)
    words = (
        f"p-value {single.p_value:.2g} for {BINS} equal parts, {joint.p_value:.2g} for pairs of neighbours"
    )
    detects = f"a relative error of {single.effect:.2g} of the parts, of {joint.effect:.2g} of the pairs"
    if not single.degrees:
        return Finding(Verdict.INCONCLUSIVE, f"{len(uniforms)} tokens are too few", len(uniforms))
    verdict = Verdict.DEVIATES if worst < FALSE_ALARM / 2 else Verdict.CONFORMS
    return Finding(verdict, words, len(uniforms), detects)


def mass(lab: TraceContext) -> Finding:
    """Add the listed probabilities up."""
    lists = [listed for record in lab.records for listed in record.top_logprobs if listed]
    if not lists:
        raise NotTestable("the trace lists no log probabilities")
    different = {id(listed): listed for listed in lists}.values()
    largest = max(sum(math.exp(entry.logprob) for entry in listed) for listed in different)
    words = f"in {len(lists)} lists the largest sum is {largest:.6f}"
    verdict = Verdict.CONFORMS if largest <= 1 + CLOSE else Verdict.DEVIATES
    return Finding(verdict, words, len(lists), false_alarm=0.0)


def chosen_is_listed(lab: TraceContext) -> Finding:
    """Compare each sampled token's value with that in the list."""
    pairs = [pair for record in lab.records for pair in values(record)]
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


def seed_repeats(lab: TraceContext) -> Finding:
    """Compare completions of equal requests with equal seeds."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in lab.records:
        if record.params.get("seed") is not None and record.prompt_ids is not None:
            asked = (record.prompt_ids, sorted(record.params.items(), key=str), record.choice)
            found[repr((record.engine, record.version, record.model, *asked))].append(record)
    twice = [group for group in found.values() if len(group) > 1]
    if not twice:
        raise NotTestable("no seeded request was recorded twice")
    wrong = [group for group in twice if len({tuple(record.token_ids) for record in group}) > 1]
    words = f"{len(wrong)} of {len(twice)} seeded requests that were recorded more than once gave different tokens"
    return Finding(Verdict.DEVIATES if wrong else Verdict.CONFORMS, words, len(twice), false_alarm=0.0)


def finish_reason(lab: TraceContext) -> Finding:
    """Completions that are shorter than max_tokens end with `stop`, the others with `length` where nothing stopped them."""
    due = due_reasons(lab.records)
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
    "temperature.scale": temperature_scale,
    "temperature.zero": temperature_zero,
    "truncation.temperature-order": top_p_order,
    "truncation.crossing-token": lambda lab: crossing(lab, -1),
    "truncation.no-token-more": lambda lab: crossing(lab, 1),
    "truncation.top-k": top_k,
    "truncation.joint": joint,
    "truncation.min-p-order": lambda lab: by_order(lab, "min_p", {"": lab.semantics}),
    "penalties.presence-scope": lambda lab: scope(lab, "presence_penalty", "presence_counts"),
    "penalties.repetition-scope": lambda lab: scope(lab, "repetition_penalty", "repetition_scope"),
    "penalties.frequency-counts": frequency_counts,
    "penalties.temperature-order": penalty_order,
    "bias.temperature-order": bias_order,
    "randomness.uniformity": uniformity,
    "randomness.seed-repeats": seed_repeats,
    "output.finish-reason": finish_reason,
}
