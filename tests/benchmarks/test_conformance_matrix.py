"""The matrix in the documentation is made from the recorded reports, and every deviation has a witness."""

from __future__ import annotations

from benchmarks.conformance import table, truth


def test_the_pages_are_what_the_script_makes() -> None:
    assert table.PAGE.read_text() == table.page(table.results())
    assert table.REPORT.read_text() == table.report(table.results()[0])


def test_every_deviation_has_a_witness() -> None:
    tested = [result for result in table.results() if "reports" in result]
    assert len(tested) >= 5
    lines = [line for result in tested for line in table.explanations(result)]
    assert lines
    assert not [line for line in lines if "not found yet" in line]


def test_this_library_conforms() -> None:
    own = table.results()[0]
    assert own["key"] == "sampling-serve"
    assert own["reports"]["qstash"]["exit_code"] == 0


def test_no_finding_about_a_server_is_false() -> None:
    known = [result for result in table.results() if truth.of_engine(truth.TRUTHS, result["key"])]
    assert not [line for result in known for line in truth.contradictions(result)]
