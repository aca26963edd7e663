"""Endpoints that lie in one thing only are caught in exactly that thing, and right ones of any manner are not."""

from __future__ import annotations

import pytest
from conformance.cases import CASES, FORMS, Case
from conformance.lies import HONEST, LIES, Lie
from conformance.quirks import QUIRKS

from sampling import load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.verdict import Verdict


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_a_lie_is_caught_where_it_is_told(toy: LanguageModel, lie: Lie):
    with lie.serve(toy) as url:
        report = verify(url, checks=[lie.caught_by, *lie.near])
    wrong = {name for name, finding in report.checks.items() if finding.verdict is not Verdict.CONFORMS}
    assert wrong == {lie.caught_by}, {name: report.checks[name].evidence for name in wrong | {lie.caught_by}}
    assert report.checks[lie.caught_by].verdict in (Verdict.DEVIATES, Verdict.IGNORED)
    assert report.exit_code == 1


def test_the_same_checks_find_nothing_at_the_server_itself(toy: LanguageModel):
    with HONEST.serve(toy) as url:
        report = verify(url, checks={lie.caught_by for lie in LIES})
    assert {finding.verdict for finding in report.checks.values()} == {Verdict.CONFORMS}
    assert report.exit_code == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_endpoint_is_judged_as_it_is(case: Case):
    assert case.misjudged(case.judged()) == {}


def test_every_quirk_is_in_the_catalogue_and_every_name_is_there_once():
    assert FORMS.keys() == QUIRKS.keys()
    assert len({case.name for case in CASES} | {lie.name for lie in LIES}) == len(CASES) + len(LIES)
