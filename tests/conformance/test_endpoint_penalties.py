"""Readings of a penalty's strength, on tables whose likelihoods are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from conformance import letters
from conformance.proxy import Fields
from conformance.quirks import at_most

from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.penalties import IGNORED, Shifts
from sampling.conformance.semantics import Semantics
from sampling.conformance.verdict import Verdict
from sampling.conformance.verify import verify
from sampling.core.errors import InvalidArgument
from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects.qstash import QSTASH

RIGHT, WRONG = {"twice": -2.0}, {"once": -1.0, "four times": -4.0, IGNORED: 0.0}


def test_a_table_of_two_has_the_odds_of_the_penalty():
    """One of two came again, one with the penalty and one without: it was the penalised one with odds of e^-2 to 1."""
    shifts = Shifts(RIGHT, {IGNORED: 0.0})
    shifts.add((1, 1), (0, 1))
    assert shifts.drawn == [0]
    likely = {name: rows[0][0] for name, rows in shifts.rows.items()}
    assert likely == pytest.approx({"twice": 1 / (1 + math.exp(-2)), IGNORED: 0.5})


@pytest.mark.parametrize(
    ("again", "verdict", "fit"),
    [
        (5, Verdict.CONFORMS, "twice"),
        (11, Verdict.DEVIATES, "once"),
        (1, Verdict.DEVIATES, "four times"),
        (20, Verdict.IGNORED, IGNORED),
    ],
)
def test_strengths_are_told_apart(again: int, verdict: Verdict, fit: str):
    """Without the penalty 20 of 40; with it odds of e^-1, e^-2 and e^-4 to 1 are 10.8, 4.8 and 0.7 of 40."""
    shifts = Shifts(RIGHT, WRONG)
    for _ in range(30):
        shifts.add((20, 40), (again, 40))
    found = shifts.test().finding()
    assert found.verdict is verdict
    assert found.evidence.startswith(f"{fit}; ")


def counted(monkeypatch: pytest.MonkeyPatch, **other: object) -> Verdict:
    """What is said of an endpoint whose model's logits are the same at every position."""
    monkeypatch.setattr(letters, "at", lambda logits, position: logits)
    target = letters.lettered(semantics=replace(Semantics.of(QSTASH), **other))
    return verify(target, checks=["penalties.frequency-counts"]).checks["penalties.frequency-counts"].verdict


def test_counts_are_told_where_the_logits_do_not_change_with_the_position(monkeypatch: pytest.MonkeyPatch):
    assert counted(monkeypatch) is Verdict.CONFORMS


def test_a_presence_penalty_for_each_time_is_noticed_there(monkeypatch: pytest.MonkeyPatch):
    assert counted(monkeypatch, presence_multiplies=True) is Verdict.DEVIATES


def without_what_is_kept(asked: Fields) -> Fields:
    """Shows a seeded request the last message alone, as an engine does that keeps prompts and seeds what is left of one."""
    return {**asked, "messages": asked["messages"][-1:]} if "seed" in asked else asked


def test_a_prompt_that_counts_without_a_seed_alone_is_noticed():
    counting = replace(Semantics.of(QSTASH), presence_counts=PROMPT_AND_OUTPUT)
    target = letters.lettered(ask=without_what_is_kept, semantics=counting)
    found = verify(target, checks=["penalties.presence-scope"]).checks["penalties.presence-scope"]
    assert found.verdict is Verdict.DEVIATES
    assert "without a seed, a token is lowered" in found.evidence


def choosy(asked: Fields) -> Fields:
    """Takes at most four choices."""
    if asked.get("n", 1) > 4:
        raise InvalidArgument("n", asked["n"], "at most 4")
    return asked


def test_choices_are_compared_where_fewer_are_taken():
    found = verify(letters.lettered(ask=choosy), checks=["randomness.choices-differ"])
    assert found.checks["randomness.choices-differ"].verdict is Verdict.CONFORMS


def test_a_repetition_penalty_without_effect_is_told_soon(monkeypatch: pytest.MonkeyPatch):
    """Where the logits are the same at every position draws have to tell."""
    monkeypatch.setattr(letters, "at", lambda logits, position: logits)

    def ask(asked: Fields) -> Fields:
        return {name: value for name, value in choosy(asked).items() if name != "repetition_penalty"}

    found = verify(letters.lettered(ask=ask), checks=["penalties.repetition-scope"])
    assert found.checks["penalties.repetition-scope"].verdict is Verdict.IGNORED
    assert found.checks["penalties.repetition-scope"].draws < 400


def never_twice(asked: Fields, told: Fields) -> Fields:
    """Under a frequency penalty no token comes twice in a row, as where it divides logits that biases have lifted."""
    if "frequency_penalty" in asked and asked.get("logit_bias"):
        likely = [letters.LETTERS[int(token)] for token in asked["logit_bias"]]
        for choice in told["choices"]:
            text = choice["message"]["content"]
            if len(text) > 1 and text[1] == text[0]:
                other = next(letter for letter in likely if letter != text[0])
                choice["message"]["content"] = text[0] + other + text[2:]
    return told


def test_draws_that_tell_nothing_are_given_up(monkeypatch: pytest.MonkeyPatch):
    """9,600 requests of one choice each were sent for a pair of equal tokens that could not come."""
    monkeypatch.setattr(letters, "at", lambda logits, position: logits)
    target = letters.lettered(ask=at_most("n", 1), answer=never_twice, budget=Budget(3000))
    found = verify(target, checks=["penalties.frequency-counts"]).checks["penalties.frequency-counts"]
    assert found.verdict is Verdict.NOT_TESTABLE
    assert target.client.budget.sent < 2500
