"""Endpoints that take no biases are judged in contexts as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conformance.cases import NULL, unbiased
from conformance.letters import lettered
from conformance.proxy import Fields
from conformance.quirks import without
from conformance.transports import in_process

from sampling import load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.ground import clear_k, clear_min_p, clear_p
from sampling.conformance.endpoint.natural import Context, Natural
from sampling.conformance.endpoint.prompts import LETTERS
from sampling.conformance.verdict import Verdict
from sampling.core.errors import InvalidArgument

CHECKS = (
    "reported.mass",
    "temperature.scale",
    "temperature.zero",
    "truncation.temperature-order",
    "truncation.crossing-token",
    "truncation.no-token-more",
    "truncation.top-k",
    "truncation.disabled",
    "truncation.joint",
    "truncation.min-p-order",
    "penalties.presence-scope",
    "penalties.frequency-counts",
    "penalties.temperature-order",
    "penalties.per-choice",
    "randomness.uniformity",
    "randomness.seed-repeats",
    "randomness.seeds-differ",
    "randomness.choices-differ",
    "randomness.unseeded-vary",
)


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def test_a_right_sampler_passes_all_that_can_be_asked_without_biases():
    found = verify(unbiased()(), checks=CHECKS).checks
    assert {n: f.evidence for n, f in found.items() if f.verdict is not Verdict.CONFORMS} == {}


def test_the_library_itself_passes_with_a_vocabulary_of_which_it_lists_a_part(toy: LanguageModel):
    report = verify(
        in_process(toy, ask=without("logit_bias")), checks=("temperature.scale", "truncation.top-k")
    )
    assert {finding.verdict for finding in report.checks.values()} == {Verdict.CONFORMS}, report.checks


def without_log_probabilities(asked: Fields) -> Fields:
    if asked.get("logprobs"):
        raise InvalidArgument("logprobs", True, "left out")
    return without("logit_bias")(asked)


def test_reference_weights_say_what_an_endpoint_does_not_list(toy: LanguageModel):
    checks = ("truncation.top-k", "truncation.crossing-token")
    silent = in_process(toy, ask=without_log_probabilities)
    told = verify(silent, checks=checks).checks.values()
    assert {finding.verdict for finding in told} == {Verdict.NOT_TESTABLE}
    known = verify(in_process(toy, ask=without_log_probabilities), reference=toy, checks=checks)
    assert {finding.verdict for finding in known.checks.values()} == {Verdict.CONFORMS}, known.checks


def penalised(asked: Fields, told: Fields) -> Fields:
    """Values that have the presence penalty in them."""
    for choice in told["choices"]:
        before: set[str] = set()
        for position in (choice["logprobs"] or {"content": ()})["content"]:
            for entry in position["top_logprobs"]:
                entry["logprob"] -= asked.get("presence_penalty", 0) * (entry["token"] in before)
            before.add(position["token"])
    return told


def test_values_with_penalties_in_them_are_not_taken_for_the_models_own():
    target = unbiased(answer=penalised)()
    found = verify(target, checks=["penalties.temperature-order"]).checks["penalties.temperature-order"]
    assert (found.verdict, "after penalties" in found.evidence) == (Verdict.NOT_TESTABLE, True)


def test_a_parameter_without_effect_is_not_judged_by_its_place():
    deaf = replace(NULL, ignores=frozenset({"temperature"}))
    target = unbiased(deaf)()
    names = ("temperature.scale", "truncation.temperature-order", "truncation.crossing-token")
    verdicts = [finding.verdict for finding in verify(target, checks=names).checks.values()]
    assert verdicts == [Verdict.IGNORED, Verdict.NOT_TESTABLE, Verdict.CONFORMS]


def test_the_same_is_true_of_biases():
    deaf = replace(NULL, ignores=frozenset({"temperature"}))
    found = verify(lettered(semantics=deaf), checks=("bias.temperature-order",)).checks
    assert found["bias.temperature-order"].verdict is Verdict.NOT_TESTABLE


def test_shares_are_those_of_tokens_that_can_be_told_and_the_last_says_whether_others_may_come():
    context = Context.of(LETTERS, {"A": np.log(0.4), "C": np.log(0.1)}, [np.log(0.3)], listed=True)
    assert context.texts == ("A", "", "C")
    row = Natural(context).row(NULL)
    np.testing.assert_allclose(row, [0.8, 0.2, 1.0])
    nucleus = Natural(context, {"top_p": 0.35}).row(NULL)
    np.testing.assert_allclose(nucleus, [1.0, 0.0, 0.0])


def test_what_depends_on_unknown_tokens_is_not_asked():
    context = Context.of(LETTERS, {"A": np.log(0.3), "B": np.log(0.2), "C": np.log(0.1)}, [], listed=True)
    with pytest.raises(NotTestable, match="not listed"):
        Natural(context, {"temperature": 0.5, "top_p": 0.8}).row(NULL)


def test_values_are_chosen_where_rounding_decides_nothing():
    row = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    cold = row**2.5 / (row**2.5).sum()
    p = clear_p([cold, row])
    kept = [int(np.searchsorted(np.cumsum(one), p)) for one in (cold, row)]
    assert kept[0] != kept[1]
    assert min(np.abs(np.cumsum(one) - p).min() for one in (cold, row)) > 0.02
    least = clear_min_p([cold, row])
    shares = [one / one[0] for one in (cold, row)]
    assert (shares[0] >= least).sum() != (shares[1] >= least).sum()
    assert clear_k(np.array([0.3, 0.3, 0.3, 0.05, 0.05]), 4) == 3
