"""Traces: their format, what recording writes, and what they show."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest
from conformance.letters import lettered
from conformance.lies import COUNTING, SWAPPED
from conformance.quirks import QUIRKS, defaults
from conformance.transports import answering, in_process
from toy_variants import variant

from sampling import InvalidArgument, load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endings import NotTestable
from sampling.conformance.oracle import NEUTRAL
from sampling.conformance.semantics import Semantics, joined, moved
from sampling.conformance.trace import checks as trace_checks
from sampling.conformance.trace.checks import TraceContext
from sampling.conformance.trace.identify import identify
from sampling.conformance.trace.record import Record, difr, read_trace, write_trace
from sampling.conformance.trace.recorder import from_endpoint, from_loop
from sampling.conformance.trace.steps import row_of, steps_in
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verdict import Verdict
from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects import DIALECTS, Dialect
from sampling.dialects.qstash import QSTASH

COUNT = 1000  # what `sampling record` writes by itself
FEWER = 560
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

    def record(dialect: Dialect, count: int = FEWER) -> Path:
        write_trace(from_loop(toy, dialect, count, seed=1), tmp_path / "trace.jsonl")
        return tmp_path / "trace.jsonl"

    return record


def wrong_in(report) -> set[str]:
    """The checks that deviate."""
    return {name for name, f in report.checks.items() if f.verdict in (Verdict.DEVIATES, Verdict.IGNORED)}


def test_a_trace_of_the_own_loop_conforms_and_is_identified(recorded):
    report = verify(recorded(QSTASH, COUNT), "qstash")
    decided = {name: f for name, f in report.checks.items() if f.verdict is not Verdict.NOT_TESTABLE}
    undecided = {name: f.evidence for name, f in decided.items() if f.verdict is not Verdict.CONFORMS}
    assert undecided == {}
    by_proof = {"reported.kept-set", "randomness.seeds-differ", "randomness.choices-differ"}
    untold = {"randomness.seed-repeats", "output.finish-reason", *by_proof}
    assert set(decided) == set(trace_checks.RUNS) - untold
    assert report.identified is not None
    assert report.identified.winners == ("qstash",)
    assert report.exit_code == 0
    assert report.header.kind == "trace"


@pytest.mark.parametrize(
    ("served", "check"),
    [
        (SWAPPED, "truncation.temperature-order"),
        (COUNTING, "penalties.presence-scope"),
        (replace(QSTASH, repetition_scope=PROMPT_AND_OUTPUT), "penalties.repetition-scope"),
        (replace(QSTASH, order=joined(QSTASH.order, "top_k", "top_p")), "truncation.joint"),
        (
            replace(QSTASH, order=moved(QSTASH.order, "min_p", before="temperature")),
            "truncation.min-p-order",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_fault_shows_in_its_check_alone(recorded, served: Dialect, check: str):
    near = {name for name in trace_checks.RUNS if name.startswith(("truncation", "penalties"))}
    assert wrong_in(verify(recorded(served), "qstash", checks=near)) == {check}


@pytest.mark.parametrize("name", ["vllm-0.4", "vllm", "sglang", "llama.cpp"])
def test_the_dialect_of_the_trace_is_found(recorded, name: str):
    identified = identify(TraceContext(TraceTarget(recorded(DIALECTS[name])), Semantics.of(QSTASH)))
    assert name in identified.winners
    assert not {"qstash", "openai", "transformers"} & {*identified.winners}


@pytest.fixture(scope="module")
def short(toy: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few completions of the page's dialect."""
    file = tmp_path_factory.mktemp("short") / "trace.jsonl"
    write_trace(from_loop(toy, QSTASH, 20, seed=1), file)
    return file


@pytest.mark.parametrize("name", DIALECTS)
def test_a_trace_of_another_dialect_ends_in_verdicts(short: Path, name: str):
    report = verify(short, name)
    assert report.checks["reported.mass"].verdict is Verdict.CONFORMS


def test_where_the_logits_level_is_not_known_a_repetition_penalty_shows_nothing(recorded, tmp_path: Path):
    records = [
        record.model_copy(update={"log_normalizers": None}) for record in read_trace(recorded(QSTASH, 56))
    ]
    write_trace(records, tmp_path / "t")
    report = verify(tmp_path / "t")
    assert report.checks["penalties.repetition-scope"].verdict is Verdict.NOT_TESTABLE
    assert wrong_in(report) == set()


def test_a_repetition_penalty_divides_the_logit_and_not_its_log_probability():
    """Logits 4 and 2, 4 sampled before, penalty 2: both are 2, and equally likely; 0.88 and 0.12 without it."""
    level = math.log(math.exp(4) + math.exp(2))
    said = [{"id": 0, "logprob": 4 - level}, {"id": 1, "logprob": 2 - level}]
    record = {**LINE, "token_ids": [0, 1], "top_logprobs": [said, said], "log_normalizers": [level, level]}
    first, second = steps_in(Record.model_validate({**record, "params": {"repetition_penalty": 2.0}}))
    own = Semantics.of(QSTASH)
    assert row_of(first, own)[:2] == pytest.approx([0.8808, 0.1192], abs=1e-4)
    assert row_of(second, own)[:2] == pytest.approx([0.5, 0.5], abs=1e-6)


def test_values_after_the_biases_do_not_get_them_again():
    """1e-3 of mass is not known; a bias of 60 on the top token would hide that, if it were not in the values already."""
    said = [{"id": 0, "logprob": math.log(0.9)}, {"id": 1, "logprob": math.log(0.099)}]
    record = {**LINE, "token_ids": [0], "top_logprobs": [said]}
    params = {"logit_bias": {"0": 60.0}, "temperature": 0.5, "top_k": 1}
    kept = {
        mode: len([*steps_in(Record.model_validate({**record, "params": params, "logprob_mode": mode}))])
        for mode in ("raw", "temperature", "processed")
    }
    assert kept == {"raw": 1, "temperature": 0, "processed": 0}


def test_values_after_penalties_are_tempered_and_not_penalised_again():
    listed = [{"id": token, "logprob": math.log(p)} for token, p in ((3, 0.6), (5, 0.3), (7, 0.1))]
    record = Record.model_validate(
        {
            "prompt_ids": None,
            "token_ids": [3, 5],
            "params": {"temperature": 0.5, "presence_penalty": 2.0, "logit_bias": {"5": 4}},
            "top_logprobs": [listed, listed],
            "logprob_mode": "penalised",
            "engine": "e",
        }
    )
    *_, last = steps_in(record)
    expected = np.array([0.36, 0.09, 0.01]) / 0.46
    np.testing.assert_allclose(row_of(last, Semantics.of(QSTASH))[:3], expected, rtol=1e-6)


def test_where_no_penalty_was_asked_for_the_order_says_which_would_do(recorded):
    report = verify(recorded(QSTASH, 2), checks=["penalties.temperature-order"])
    finding = report.checks["penalties.temperature-order"]
    assert finding.verdict is Verdict.NOT_TESTABLE
    assert (
        "with temperature and presence_penalty or temperature and frequency_penalty alone" in finding.evidence
    )


def test_an_endpoint_is_recorded(toy: LanguageModel, tmp_path: Path):
    file = tmp_path / "trace.jsonl"
    write_trace(from_endpoint(in_process(toy), 300, seed=1), file)
    records = read_trace(file)
    assert len(records) == 300
    assert {len(record.token_ids) for record in records} == {1}
    assert {record.choice for record in records} == set(range(16))
    assert any("min_p" in record.params for record in records)
    assert wrong_in(verify(file)) == set()


REFUSALS = {
    "fields": lambda asked: asked.keys() & {"top_k", "min_p"},
    "a seed": lambda asked: "seed" in asked,
    "a combination": lambda asked: asked.keys() >= {"logit_bias", "top_p", "temperature"},
    "choices at temperature 0": lambda asked: asked.get("temperature") == 0 and asked.get("n", 1) > 1,
}


@pytest.mark.parametrize("refuses", REFUSALS.values(), ids=REFUSALS)
def test_what_an_endpoint_refuses_is_not_recorded(toy: LanguageModel, refuses):
    accepted: list[dict[str, object]] = []

    def stubborn(request: httpx2.Request) -> httpx2.Response:
        fields = json.loads(request.content)
        if refuses(fields):
            return httpx2.Response(400, json={"error": {"message": "no such thing"}})
        accepted.append(fields)
        return httpx2.Response(200, json=toy.chat(**fields))

    records = [*from_endpoint(answering(stubborn), 160, seed=1)]
    assert len(records) == 160
    asked = [{name: fields[name] for name in fields if name not in TOLD} for fields in accepted]
    assert all(record.params in asked for record in records), "something else was noted than was asked"
    kinds = {
        tuple(sorted(name for name in record.params if record.params[name] != NEUTRAL.get(name)))
        for record in records
    }
    assert len(kinds) >= 4, "more was left out than what is refused"


TOLD = ("messages", "model", "n")


def test_an_endpoint_that_takes_nothing_of_what_would_be_recorded_is_one_error(toy: LanguageModel):
    def stubborn(request: httpx2.Request) -> httpx2.Response:
        fields = json.loads(request.content)
        if fields.keys() >= {"logit_bias", "seed"}:
            return httpx2.Response(400, json={"error": {"message": "no such thing"}})
        return httpx2.Response(200, json=toy.chat(**fields))

    with pytest.raises(NotTestable, match="no request with a bias"):
        next(from_endpoint(answering(stubborn), 160, seed=1))


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


def test_what_a_request_left_to_the_checkpoint_is_recorded(tmp_path):
    loaded = load(variant(tmp_path, generation={"temperature": 0.5}))
    records = [*from_loop(loaded, DIALECTS["vllm"], 12, seed=1)]
    assert {record.params["temperature"] for record in records} > {0.5}


def test_a_trace_survives_the_file(toy: LanguageModel, tmp_path: Path):
    records = [*from_loop(toy, QSTASH, 8, seed=1)]
    write_trace(records, tmp_path / "t")
    assert read_trace(tmp_path / "t") == records


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"token_ids": [-1]}, "line 2.token_ids.0"),
        ({"top_logprobs": []}, "line 2.top_logprobs"),
        ({"log_normalizers": [1.0, 2.0]}, "line 2.log_normalizers: got 2, must be as long as token_ids"),
        ({"logprobs": []}, "line 2.logprobs: got 0, must be as long as token_ids"),
        (
            {"logprob_mode": "processed", "log_normalizers": [1.0]},
            r"line 2.log_normalizers: got \[1.0\], must be null or left out where logprob_mode is 'processed'",
        ),
        ({"engine": None}, "line 2.engine"),
        ({"surprise": 1}, "line 2.surprise"),
        ({"top_logprobs": [[{"id": 3, "logprob": "low"}]]}, "line 2.top_logprobs.0.0.logprob"),
        ({"top_logprobs": [[{"id": 3, "logprob": 0.5}]]}, r"line 2.top_logprobs.0.0.logprob: got 0.5"),
        (
            {"top_logprobs": [[{"id": 3, "logprob": -1.0}, {"id": 3, "logprob": -2.0}]]},
            "line 2.top_logprobs.0: got 'token 3 twice', must be a list of different tokens",
        ),
        ({"choice": -1}, "line 2.choice: got -1"),
        ({"finish_reason": "abort"}, "line 2.finish_reason: got 'abort', must be .*'stop' or 'length'"),
        ({"finish_reason": ""}, "line 2.finish_reason: got ''"),
        ({"finish_reason": 7}, "line 2.finish_reason: got 7"),
        ({"params": {"temperature": "hot"}}, "line 2.params.temperature: got 'hot'"),
        ({"params": {"logit_bias": [1]}}, "line 2.params.logit_bias"),
        ({"params": {"max_tokens": "4"}}, "line 2.params.max_tokens"),
        ({"params": {"temprature": 0.7}}, "line 2.params.temprature: got 0.7, must be left out, or one of"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict[str, object], named: str):
    (tmp_path / "t").write_text(json.dumps(LINE) + "\n" + json.dumps({**LINE, **change}) + "\n")
    with pytest.raises(InvalidArgument, match=named):
        read_trace(tmp_path / "t")


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path):
    (tmp_path / "t").write_text(json.dumps(LINE)[:-1] + ', "engine": "another"}\n')
    with pytest.raises(InvalidArgument, match="trace, line 1: got 'engine' twice in one object"):
        read_trace(tmp_path / "t")


def test_a_temperature_that_is_next_to_nothing_is_one(tmp_path: Path):
    listed = [[{"id": 3, "logprob": -0.1}, {"id": 4, "logprob": -3.0}]]
    line = {**LINE, "params": {"temperature": 5e-324}, "top_logprobs": listed}
    (tmp_path / "t").write_text((json.dumps(line) + "\n") * 50)
    assert verify(tmp_path / "t").checks["temperature.scale"].verdict is not Verdict.DEVIATES


def test_a_line_is_what_ends_with_a_line_feed(tmp_path: Path):
    record = Record.model_validate({**LINE, "model": "a\u2028b\x85c"})
    write_trace([record, record], tmp_path / "t")
    assert read_trace(tmp_path / "t") == [record, record]


def test_two_models_in_one_trace_are_not_one_that_repeats_itself_badly(tmp_path: Path):
    seeded = {**LINE, "params": {"seed": 1}}
    lines = [
        {**seeded, "model": name, "token_ids": [token]} for name, token in (("a", 3), ("b", 4)) for _ in "12"
    ]
    (tmp_path / "t").write_text("".join(json.dumps(line) + "\n" for line in lines))
    name = "randomness.seed-repeats"
    assert verify(tmp_path / "t", checks=[name]).checks[name].verdict is Verdict.CONFORMS


def test_no_file_and_an_empty_one_are_refused(tmp_path: Path):
    (tmp_path / "empty").write_text("")
    for name in ("empty", "none"):
        with pytest.raises(InvalidArgument, match="trace"):
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
    with pytest.raises(InvalidArgument, match="prompt_ids"):
        difr([Record.model_validate({**LINE, "prompt_ids": None})])


def test_the_name_of_an_engine_does_nothing_to_a_terminal(tmp_path: Path):
    (tmp_path / "t").write_text(json.dumps({**LINE, "engine": "red\x1b[31m\nnews"}) + "\n")
    assert verify(tmp_path / "t", checks=["reported.mass"]).header.target == r"red\x1b[31m\nnews"


def test_empty_lists_are_no_evidence(tmp_path: Path):
    (tmp_path / "t").write_text(json.dumps({**LINE, "top_logprobs": [[]]}) + "\n")
    assert (
        verify(tmp_path / "t", checks=["reported.mass"]).checks["reported.mass"].verdict
        is Verdict.NOT_TESTABLE
    )


def test_values_without_effect_are_recorded_where_a_server_has_defaults(toy: LanguageModel, tmp_path: Path):
    """Rows with nothing in their params would have been sampled at 0.6 and 0.9, and said to be neutral."""
    served = in_process(toy, ask=defaults(temperature=0.6, top_p=0.9))
    records = [*from_endpoint(served, 112, seed=1)]
    plain = [record for record in records if record.params["temperature"] == record.params["top_p"] == 1]
    assert plain
    assert all(record.params.keys() >= {"temperature", "top_p", "top_k", "min_p"} for record in records)
    write_trace(records, tmp_path / "t")
    assert wrong_in(verify(tmp_path / "t")) == set()


@pytest.mark.parametrize("quirk", ["16 tokens at least", "top_logprobs up to 5"])
def test_what_is_recorded_of_an_endpoint_with_a_quirk_is_not_blamed_on_it(tmp_path: Path, quirk: str):
    try:
        write_trace(from_endpoint(lettered(ask=QUIRKS[quirk]), 32, seed=1), tmp_path / "t")
    except NotTestable:
        return  # nothing is recorded
    assert wrong_in(verify(tmp_path / "t")) == set()


def test_a_trace_is_compared_with_reference_weights(toy: LanguageModel, tmp_path: Path):
    records = [*from_loop(toy, QSTASH, 6, seed=1)]
    write_trace(records, tmp_path / "t")
    report = verify(tmp_path / "t", reference=toy, checks=["reported.mass"])
    assert report.header.legs == ("self-consistency", "reference weights")
    assert any(note.startswith("the reference weights: ") for note in report.notes)
    off = [
        record.model_copy(
            update={
                "top_logprobs": [
                    [entry.model_copy(update={"logprob": 1.5 * entry.logprob}) for entry in listed]
                    for listed in record.top_logprobs
                ]
            }
        )
        for record in records
    ]
    write_trace(off, tmp_path / "off")
    report = verify(tmp_path / "off", reference=toy, checks=["reported.mass"])
    assert any(note.startswith("other weights: ") for note in report.notes)
    unknown = [record.model_copy(update={"prompt_ids": None}) for record in records]
    write_trace(unknown, tmp_path / "unknown")
    report = verify(tmp_path / "unknown", reference=toy, checks=["reported.mass"])
    assert any("identity could not be tested" in note for note in report.notes)
