"""Traces: their format, what recording writes, and what they show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conformance.lies import COUNTING, SWAPPED
from conformance.transports import in_process

from sampling import InvalidRequest, load, verify
from sampling.conformance.trace.record import Record, difr, read_trace, write_trace
from sampling.conformance.trace.recorder import from_endpoint, from_loop
from sampling.conformance.verdict import Verdict
from sampling.dialects import LLAMA_CPP, QSTASH, Dialect
from sampling.language_model import LanguageModel

COUNT = 480
LINE = {
    "prompt_ids": [1, 2],
    "token_ids": [3],
    "params": {"temperature": 1.0},
    "top_logprobs": [[{"id": 3, "logprob": -0.1}]],
    "engine": "an engine",
}


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


@pytest.fixture
def recorded(toy: LanguageModel, tmp_path: Path):
    """Records the library's own loop under a dialect."""

    def record(dialect: Dialect, count: int = COUNT) -> Path:
        write_trace(from_loop(toy, dialect, count, seed=1), tmp_path / "trace.jsonl")
        return tmp_path / "trace.jsonl"

    return record


def wrong_in(report) -> set[str]:
    """The checks that deviate."""
    return {name for name, f in report.checks.items() if f.verdict in (Verdict.DEVIATES, Verdict.IGNORED)}


def test_a_trace_of_the_own_loop_conforms_and_is_identified(recorded):
    report = verify(recorded(QSTASH), "qstash")
    verdicts = {name: finding.verdict for name, finding in report.checks.items()}
    assert wrong_in(report) == set()
    for name in (
        "temperature.scale",
        "truncation.crossing-token",
        "penalties.frequency-counts",
        "reported.mass",
    ):
        assert verdicts[name] is Verdict.CONFORMS, report.checks[name].evidence
    assert report.identified is not None
    assert "qstash" in report.identified.winners
    assert "llama.cpp" in report.identified.excluded
    assert report.header.kind == "trace"


def test_another_order_shows_in_its_check(recorded):
    assert wrong_in(verify(recorded(SWAPPED), "qstash")) == {"truncation.temperature-order"}


def test_the_dialect_of_the_trace_is_found(recorded):
    identified = verify(recorded(LLAMA_CPP)).identified
    assert identified is not None
    assert identified.winners == ("llama.cpp",)


def test_counting_the_prompt_does_not_show_where_no_sampled_token_is_in_it(recorded):
    finding = verify(recorded(COUNTING, 16)).checks["penalties.presence-scope"]
    assert finding.verdict is Verdict.NOT_TESTABLE


def test_an_endpoint_is_recorded(toy: LanguageModel, tmp_path: Path):
    file = tmp_path / "trace.jsonl"
    assert write_trace(from_endpoint(in_process(toy), 300, seed=1), file) == 300
    records = read_trace(file)
    assert {len(record.token_ids) for record in records} == {1}
    assert {record.choice for record in records} == set(range(16))
    assert wrong_in(verify(file)) == set()


def ended(reason: str | None, tokens: list[int], **params: object) -> Record:
    """A completion of at most four tokens that ended for a reason."""
    said = {"token_ids": tokens, "top_logprobs": [[] for _ in tokens], "finish_reason": reason}
    return Record.model_validate({**LINE, **said, "params": {"max_tokens": 4, **params}})


END, FULL, SHORT = 9, [3, 4, 3, 4], [3, 4, 9]


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([ended("length", FULL), ended("stop", SHORT)], Verdict.CONFORMS),
        ([ended("stop", FULL), ended("stop", SHORT)], Verdict.DEVIATES),
        ([ended("length", FULL), ended("length", SHORT)], Verdict.DEVIATES),
        ([ended("length", FULL), ended("stop", SHORT), ended("stop", [3, 4, 3, END])], Verdict.CONFORMS),
        ([ended("length", FULL), ended("stop", SHORT), ended("length", [3, 4, 3, END])], Verdict.DEVIATES),
        ([ended("length", FULL), ended("abort", SHORT)], Verdict.DEVIATES),
        # What nothing is known of: 8 goes on nowhere, a stop string may have ended it, no reason is told.
        ([ended("stop", [3, 4, 3, 8]), ended("stop", SHORT)], Verdict.NOT_TESTABLE),
        ([ended("stop", FULL, stop=["d"]), ended("stop", SHORT)], Verdict.NOT_TESTABLE),
        ([ended("length", FULL)], Verdict.NOT_TESTABLE),
        ([ended("stop", SHORT)], Verdict.NOT_TESTABLE),
        ([ended(None, FULL), ended(None, SHORT)], Verdict.NOT_TESTABLE),
    ],
)
def test_a_reason_counts_where_the_trace_tells_what_it_should_be(
    tmp_path: Path, records: list[Record], verdict: Verdict
):
    write_trace(records, tmp_path / "t")
    finding = verify(tmp_path / "t", checks=["output.finish-reason"]).checks["output.finish-reason"]
    assert finding.verdict is verdict, finding.evidence


def test_a_trace_survives_the_file(toy: LanguageModel, tmp_path: Path):
    records = [*from_loop(toy, QSTASH, 8, seed=1)]
    write_trace(records, tmp_path / "t")
    assert read_trace(tmp_path / "t") == records


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"token_ids": [-1]}, "line 2.token_ids.0"),
        ({"top_logprobs": []}, "line 2.top_logprobs"),
        ({"engine": None}, "line 2.engine"),
        ({"surprise": 1}, "line 2.surprise"),
        ({"top_logprobs": [[{"id": 3, "logprob": "low"}]]}, "line 2.top_logprobs.0.0.logprob"),
        ({"top_logprobs": [[{"id": 3, "logprob": 0.5}]]}, r"line 2.top_logprobs.0.0.logprob: got 0.5"),
        ({"params": {"temperature": "hot"}}, "line 2.params.temperature: got 'hot'"),
        ({"params": {"logit_bias": [1]}}, "line 2.params.logit_bias"),
        ({"params": {"max_tokens": "4"}}, "line 2.params.max_tokens"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict[str, object], named: str):
    (tmp_path / "t").write_text(json.dumps(LINE) + "\n" + json.dumps({**LINE, **change}) + "\n")
    with pytest.raises(InvalidRequest, match=named):
        read_trace(tmp_path / "t")


def test_no_file_and_an_empty_one_are_refused(tmp_path: Path):
    (tmp_path / "empty").write_text("")
    for name in ("empty", "none"):
        with pytest.raises(InvalidRequest, match="trace"):
            verify(str(tmp_path / name))


def test_the_format_of_token_difr():
    """The structure is that of the README of github.com/adamkarvonen/difr, "Using External Prompts and Responses"."""
    given = [{**LINE, "token_ids": [token]} for token in (3, 4)] + [{**LINE, "prompt_ids": [9]}]
    told = difr([Record.model_validate(record) for record in given])
    assert told["samples"] == [
        {"prompt_token_ids": [1, 2], "outputs": [{"token_ids": [3]}, {"token_ids": [4]}]},
        {"prompt_token_ids": [9], "outputs": [{"token_ids": [3]}]},
    ]
    assert told["config"]["params"][0][0] == {"temperature": 1.0, "choice": 0}
    with pytest.raises(InvalidRequest, match="prompt_ids"):
        difr([Record.model_validate({**LINE, "prompt_ids": None})])
