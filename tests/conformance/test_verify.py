"""verify: targets, what ends a check early, the report and its exit codes."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conformance.oracle_sampler import Batched

import sampling
from sampling import InvalidArgument, verify
from sampling.conformance.case_context import DrawBudget
from sampling.conformance.check_context import CheckContext
from sampling.conformance.combine_findings import combine_findings
from sampling.conformance.endings import CouldNotRun
from sampling.conformance.endpoint.client import Budget
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.transcript import Transcript
from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.kinds import KINDS
from sampling.conformance.report import Header, Report
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.table import CHECKS
from sampling.conformance.target import CallableTarget
from sampling.conformance.trace.target import TraceTarget
from sampling.conformance.verdict import Finding, Verdict
from sampling.conformance.verify import identity
from sampling.dialects.qstash import QSTASH

PLAIN = Semantics.of(QSTASH)
BAN = "bias.ban"


def found(answer: Any, plain: Any = None) -> Finding:
    """The finding of one check at a sampler that always answers the same, but to a plain request."""

    def sampler(_logits: Any, params: Any, *_question: Any) -> Any:
        given = answer if params or plain is None else plain
        if isinstance(given, BaseException):
            raise given
        return given

    return verify(sampler, checks=[BAN]).checks[BAN]


@pytest.mark.parametrize("answer", ["five", 5.5, None, -1, 16, True, np.array([1, 2]), math.nan])
def test_what_is_no_token_could_not_run_and_is_no_pass(answer: Any) -> None:
    finding = found(answer, plain=0)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "no token id below 16" in finding.evidence


def test_numbers_of_numpy_and_torch_are_tokens() -> None:
    assert found(np.int64(7)).verdict is Verdict.DEVIATES
    assert found(torch.tensor(7)).verdict is Verdict.DEVIATES


@pytest.mark.parametrize("answer", ["five", 5.5, None, -1, 16, True, KeyError("x"), SystemExit(0)])
def test_what_never_answers_by_a_token_can_not_be_verified(answer: Any) -> None:
    reason = f"{type(answer).__name__}: {answer}" if isinstance(answer, BaseException) else repr(answer)
    with pytest.raises(CouldNotRun, match=f"answers no plain request: .*{re.escape(reason)}"):
        found(answer)


def test_a_sampler_that_refuses_every_parameter_is_neither_identified_nor_passed() -> None:
    def stubborn(_logits: Any, params: Any, *_rest: Any) -> int:
        if params:
            raise ValueError("no parameters")
        return 0

    report = verify(stubborn, checks=["temperature.range", BAN])
    assert report.checks["temperature.range"].verdict is Verdict.CONFORMS
    assert report.exit_code == 2
    context = CheckContext(CallableTarget(stubborn), PLAIN)
    assert identity(KINDS["callable"], context) is None


def test_what_raises_has_refused_and_is_quoted() -> None:
    finding = found(KeyError("logit_bias"), plain=0)
    assert finding.verdict is Verdict.UNSUPPORTED
    assert "logit_bias {5: -100" in finding.evidence
    assert "KeyError: 'logit_bias'" in finding.evidence


def test_a_sampler_that_takes_no_seed_is_asked_without() -> None:
    class Unseeded(Batched):
        def many(self, logits: Any, params: Any, prompt_ids: Any, output_ids: Any, seeds: Any) -> list[int]:
            self.refuse(seeds)
            return super().many(logits, params, prompt_ids, output_ids, range(len(seeds)))

        def __call__(self, logits: Any, params: Any, prompt_ids: Any, output_ids: Any, seed: Any) -> int:
            self.refuse([seed])
            return super().__call__(logits, params, prompt_ids, output_ids, seed)

        def refuse(self, seeds: Any) -> None:
            if any(seed is not None for seed in seeds):
                raise TypeError("no seeds here")

    checks = verify(Unseeded(PLAIN), checks=[BAN, "randomness.seed-repeats"]).checks
    assert checks[BAN].verdict is Verdict.CONFORMS
    assert checks["randomness.seed-repeats"].verdict is Verdict.UNSUPPORTED


def test_a_question_is_the_samplers_own_to_change() -> None:
    def greedy(logits: Any, params: Any, prompt_ids: Any, *_rest: Any) -> int:
        logits[:] = 0
        prompt_ids.append(1)
        params.clear()
        return 0

    target = CallableTarget(greedy)
    question = SamplingCase(np.ones(4, dtype=np.float32), {"top_k": 1})
    target.draw(question, [1, 2])
    target.single(question, 1)
    assert (question.logits == 1).all()
    assert (dict(question.params), question.prompt_ids) == ({"top_k": 1}, ())


def test_names_and_versions() -> None:
    assert CallableTarget(len).name == "len"
    assert CallableTarget(Batched(PLAIN)).name == "one by one as qstash"
    assert CallableTarget(Batched(PLAIN)).version == "1"
    assert CallableTarget(len, "mine", "2.0").version == "2.0"


def test_one_wrong_name_is_one_clear_error() -> None:
    with pytest.raises(InvalidArgument, match=r"checks: got 'bias\.bam', must be any of"):
        verify(Batched(PLAIN), checks=["bias.bam"])
    with pytest.raises(InvalidArgument, match=r"target: got 3, .* callable, the URL .*, the path of a trace"):
        verify(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match="dialect"):
        verify(Batched(PLAIN), dialect="vlllm")
    with pytest.raises(InvalidArgument, match=r"checks: got 'bias\.ban', must be a list"):
        verify(Batched(PLAIN), checks=BAN)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"depth": -1}, "depth: got -1"),
        ({"reference": 3}, "reference: got 3, .* takes depth, seed"),
        ({"model": "m"}, "model: got 'm'"),
        ({"seed": -1}, "seed: got -1"),
    ],
)
def test_a_setting_that_is_not_taken_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        verify(Batched(PLAIN), checks=[BAN], **settings)
    with pytest.raises(InvalidArgument, match=r"depth\.least"):
        DrawBudget(-1, 1)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"reference": 3}, "reference: got 3, must be a model as `sampling.load` gives it"),
        ({"seed": -1}, "seed: got -1"),
        ({"seed": "x"}, "seed: got 'x'"),
        ({"seed": True}, "seed: got True"),
        ({"model": 3}, "model: got 3"),
        ({"key": 3}, r"api_key: got '\(not shown\)'"),
        ({"depth": DrawBudget(0, 1)}, "depth: got DrawBudget.*'endpoint' takes seed, reference"),
        ({"checks": 3}, "checks: got 3"),
        ({"checks": [3]}, "checks: got 3"),
        ({"checks": [[BAN]]}, r"checks: got \['bias.ban'\]"),
        ({"progress": 3}, "progress: got 3"),
        ({"dialect": 3}, "dialect: got 3"),
    ],
)
def test_a_url_takes_nothing_of_another_type(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        verify("http://127.0.0.1:9", **{"checks": [], **settings})


@pytest.mark.parametrize("name", ["model", "budget", "patience", "transcript"])
def test_an_endpoint_takes_nothing_of_another_type(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{name}: got 3"):
        EndpointTarget("http://127.0.0.1:9", **{name: 3})


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: EndpointTarget(3), "url: got 3"),  # pyright: ignore[reportArgumentType]
        (lambda: RetryPolicy(seconds=0), "patience.seconds: got 0"),
        (lambda: RetryPolicy(tries=1.5), "patience.tries: got 1.5"),  # pyright: ignore[reportArgumentType]
        (lambda: Budget(0), "budget.most: got 0"),
        (lambda: TraceTarget(3), "trace: got 3"),  # pyright: ignore[reportArgumentType]
        (lambda: Transcript(3, {}), "transcript: got 3"),  # pyright: ignore[reportArgumentType]
        (lambda: CallableTarget(3), "target: got 3"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_targets_are_made_of_is_checked(make: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        make()


def test_a_url_takes_a_model() -> None:
    report = verify("http://127.0.0.1:9", model="mine", checks=[])
    assert report.header.target == "mine at http://127.0.0.1:9/v1"


def test_progress_and_the_order_of_checks() -> None:
    seen: list[tuple[str, int, int]] = []
    wanted = [BAN, "temperature.zero"]
    report = verify(
        Batched(PLAIN),
        checks=wanted,
        progress=lambda *step: seen.append(step),
        depth=DrawBudget(0, 1000),
    )
    assert seen == [("temperature.zero", 0, 2), (BAN, 1, 2)]
    assert list(report.checks) == ["temperature.zero", BAN]
    assert report.identified is None


def report_of(*verdicts: Verdict) -> Report:
    findings = {name: Finding(verdict, "because") for name, verdict in zip(CHECKS, verdicts, strict=False)}
    return Report(Header("qstash", "a sampler", "1.0", "callable"), None, findings)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.CONFORMS, Verdict.AMBIGUOUS, Verdict.UNSUPPORTED, Verdict.NOT_TESTABLE), 0),
        ((Verdict.CONFORMS, Verdict.DEVIATES, Verdict.INCONCLUSIVE), 1),
        ((Verdict.CONFORMS, Verdict.IGNORED), 1),
        ((Verdict.CONFORMS, Verdict.INCONCLUSIVE), 2),
        ((Verdict.UNSUPPORTED, Verdict.NOT_TESTABLE), 2),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert report_of(*verdicts).exit_code == code


def test_the_report_as_json() -> None:
    out = Exclusion(math.inf, 9, "a token that it never draws")
    whole = Report(
        report_of(Verdict.CONFORMS).header,
        Identification(("qstash",), {"vllm": out}, {"openai": "it takes top_k"}, 100, ("min_p",)),
        report_of(Verdict.CONFORMS, Verdict.DEVIATES).checks,
        ("a note",),
    )
    told = json.loads(json.dumps(whole.to_json(), allow_nan=False))
    assert told["identified"]["excluded"]["vllm"] == {
        "e_value": "Infinity",
        "draws": 9,
        "reason": "a token that it never draws",
    }
    assert told["headline"] == "consistent with qstash; vllm excluded, a token that it never draws"
    assert told["checks"]["reported.distribution"]["verdict"] == "conforms"
    assert told["checks"]["reported.distribution"]["asks"] == CHECKS["reported.distribution"].asks
    assert {"spec", "kit", "dialect", "target", "target_version", "hardware", "date", "legs"} <= set(
        told["header"]
    )
    assert whole.counts() == {Verdict.CONFORMS: 1, Verdict.DEVIATES: 1}


def test_the_gravest_part_is_the_verdict_of_the_whole() -> None:
    parts = [(verdict.value, Finding(verdict, verdict.value, 2)) for verdict in Verdict]
    whole = combine_findings(parts)
    assert (whole.verdict, whole.evidence, whole.draws) == (Verdict.DEVIATES, "deviates: deviates", 14)
    assert combine_findings([parts[0]]).evidence == "conforms"
    assert whole.false_alarm == pytest.approx(7e-6)


def test_nothing_of_the_kit_is_imported_before_it_is_asked_for() -> None:
    assert sampling.verify is verify
    code = "import sys, sampling; print([n for n in ('scipy', 'matplotlib', 'sampling.conformance') if n in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"[]"
    )
