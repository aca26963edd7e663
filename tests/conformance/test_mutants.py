"""The kit notices every named mutant by the check that is made for it; `benchmarks/conformance/power.py` says how surely."""

from __future__ import annotations

import numpy as np
import pytest
from conformance.faulty import MUTANTS, Mutant
from conformance.faulty.sampler import FaultySampler

from sampling.conformance.case_context import DrawBudget
from sampling.conformance.reference import reference
from sampling.conformance.table import CHECKS
from sampling.conformance.verify import verify

LOGITS = np.linspace(3, -3, 16).astype(np.float32)
FIELDS = {
    "temperature": 0.5,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.3,
    "repetition_penalty": 1.2,
    "logit_bias": {"3": 1.0},
    "top_k": 9,
    "min_p": 0.01,
}

every_mutant = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)


@every_mutant
def test_a_mutant_is_noticed_by_its_check(mutant: Mutant) -> None:
    """At a false-alarm rate of 1e-6, with a fixed seed."""
    findings = verify(mutant.make(), checks=[mutant.caught_by]).checks
    assert mutant.noticed(findings), findings[mutant.caught_by]


@pytest.mark.parametrize(
    "mutant", [one for one in MUTANTS.values() if one.spared_by], ids=lambda one: one.name
)
def test_a_mutant_is_spared_by_checks_of_other_matters(mutant: Mutant) -> None:
    findings = verify(mutant.make(), checks=mutant.spared_by, depth=DrawBudget(0, 20_000)).checks
    assert mutant.spared(findings), findings


def test_every_check_has_a_mutant() -> None:
    assert {mutant.caught_by for mutant in MUTANTS.values()} == set(CHECKS)
    assert len(MUTANTS) >= 40


def test_a_mutant_of_nothing_is_the_reference() -> None:
    seeds = list(range(200))
    question = (LOGITS, FIELDS, [1, 2], [4, 4, 5])
    assert FaultySampler().many(*question, seeds) == reference().many(*question, seeds)
    told = {**FIELDS, "logprobs": True, "n": 2, "max_tokens": 3}
    assert FaultySampler().choices(LOGITS, told, [1], [2], 3) == reference().choices(
        LOGITS, told, [1], [2], 3
    )


def test_a_mutant_of_nothing_is_not_noticed() -> None:
    checks = ["temperature.zero", "truncation.temperature-order", "penalties.frequency-counts", "bias.ban"]
    findings = verify(FaultySampler(), checks=checks).checks
    unnoticed = [Mutant("none", "nothing", "", check, FaultySampler) for check in checks]
    assert not any(mutant.noticed(findings) for mutant in unnoticed)
