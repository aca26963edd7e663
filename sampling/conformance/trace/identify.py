"""Which dialects a trace is consistent with."""

from __future__ import annotations

from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import e_words
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.trace.checks import TraceContext
from sampling.conformance.trace.steps import delicate
from sampling.conformance.verdict import FALSE_ALARM
from sampling.dialects import DIALECTS

MORE = "tokens recorded under parameters that they read differently"


def identify(context: TraceContext) -> Identification:
    """Weigh the dialects against each other on the tokens of the trace."""
    dialects = {name: Semantics.of(dialect) for name, dialect in DIALECTS.items()}
    seen = Likelihoods([*dialects])
    tokens = context.tokens.where(
        lambda situation: not any(delicate(situation, own) for own in dialects.values())
    )
    if len(tokens):
        seen.take({name: tokens.logs(tokens.rows(semantics)) for name, semantics in dialects.items()})
    excluded: dict[str, Exclusion] = {}
    for name in dialects:
        evidence = seen.against(name, 1 / FALSE_ALARM)
        if evidence.crossed is not None:
            words = f"e-value {e_words(evidence.e_value)} after {evidence.crossed} tokens"
            excluded[name] = Exclusion(evidence.e_value, evidence.crossed, words)
    winners = tuple(name for name in dialects if name not in excluded)
    return Identification(winners, excluded, dict.fromkeys(winners[1:], MORE), len(tokens))
