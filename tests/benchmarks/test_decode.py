"""The decode benchmark runs on a small size, its arithmetic is that of its formulas, and its engines do the same job."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from benchmark_command import printed_by

from benchmarks.decode import __main__ as decode
from benchmarks.decode import bandwidth, decoders, measure
from benchmarks.decode import job as jobs
from benchmarks.decode.decoders import transformers_generate
from benchmarks.harness import shapes

ENGINES = ("eager", "transformers", "gpt-fast")
NEW = 8


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The result of a tiny run, and what it printed."""
    out = tmp_path_factory.mktemp("results") / "decode-cpu-toy.json"
    growing = ["--growth", "--growth-rows", 3, "--growth-contexts", 40, "--memory"]
    small = ["--rows", 2, "--sampling", "sampled", "greedy", "--new", NEW, "--buffer-mib", 16]
    return out, printed_by("decode", "--short", *small, *growing, "--engines", *ENGINES, "--out", out)


@pytest.fixture(scope="module")
def result(ran: tuple[Path, str]) -> dict[str, Any]:
    return json.loads(ran[0].read_text())


def lines(result: dict[str, Any], part: str) -> list[dict[str, Any]]:
    return [line for line in result["lines"] if line["part"] == part and "not_available" not in line]


def test_every_engine_is_there_or_says_why_not(result: dict[str, Any]) -> None:
    found = [(line["sampling"], line["engine"]) for line in result["lines"] if line["part"] == "engines"]
    assert found == [(sampling, engine) for sampling in ("sampled", "greedy") for engine in ENGINES]
    missing = {line["engine"]: line["not_available"] for line in result["lines"] if "not_available" in line}
    assert missing.keys() == {"gpt-fast"}
    assert "not a package" in missing["gpt-fast"]


def test_greedy_tokens_are_those_of_transformers(result: dict[str, Any]) -> None:
    greedy = {
        line["engine"]: line["same_tokens"]
        for line in lines(result, "engines")
        if line["sampling"] == "greedy"
    }
    assert greedy == {"eager": NEW + 1, "transformers": NEW + 1}


def test_a_static_cache_gives_the_same_greedy_tokens() -> None:
    job = jobs.DecodeJob(shape="toy", rows=2, context=16, new=NEW, sampling="greedy")
    model = job.model()
    eager, static = (decoders.ENGINES[name].build(model, job) for name in ("eager", "transformers static"))
    assert eager(NEW) == static(NEW)


def test_figures_follow_from_each_other(result: dict[str, Any]) -> None:
    for line in lines(result, "engines"):
        token, first = line["tpot"]["median_us"], line["ttft"]["median_us"]
        assert line["decode_tokens_per_s"] == pytest.approx(2e6 / token)
        assert line["prefill_tokens_per_s"] == pytest.approx(2e6 * 16 / first)
        share = line["bytes_per_step"] / (1e3 * line["read_GB_per_s"]) / token
        assert line["share_of_bandwidth"] == pytest.approx(share)
        assert ("sampler_share" in line) == (line["engine"] == "eager")


def test_ratios_are_of_the_same_job(result: dict[str, Any]) -> None:
    for sampling in ("sampled", "greedy"):
        job = {line["engine"]: line for line in lines(result, "engines") if line["sampling"] == sampling}
        expected = job["transformers"]["tpot"]["median_us"] / job["eager"]["tpot"]["median_us"]
        assert job["eager"]["times_as_fast_as"] == {"transformers": pytest.approx(expected)}


def test_growth_has_both_axes(result: dict[str, Any]) -> None:
    found = [(line["axis"], line["value"], line["B"], line["context"]) for line in lines(result, "growth")]
    assert found == [("rows", 3, 3, 16), ("context", 40, 2, 40)]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_is_at_least_what_a_step_reads(result: dict[str, Any]) -> None:
    peaks = {line["engine"]: line["peak_bytes"] for line in lines(result, "memory")}
    assert peaks.keys() == set(ENGINES) - {"gpt-fast"}
    assert all(peak > line["bytes_per_step"] for peak in peaks.values() for line in lines(result, "memory"))


def test_the_result_says_where_it_comes_from(result: dict[str, Any]) -> None:
    assert result["command"].startswith("python -m benchmarks.decode --short")
    assert "random" in result["weights"]
    assert result["sampling"]["greedy"] == {"temperature": 0.0, "seed": "0 to B - 1"}
    assert {"commit", "date", "machine", "versions", "timing", "engines"} <= result.keys()


def test_it_ends_in_tables(ran: tuple[Path, str]) -> None:
    for text in (
        "toy, float32, B = 2, context 16, greedy",
        "of bandwidth",
        "x transformers",
        "not available",
    ):
        assert text in ran[1]


@pytest.mark.usefixtures("traced")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch.*")
def test_the_compiled_engine_gives_the_eager_one_s_tokens() -> None:
    job = jobs.DecodeJob(shape="toy", context=16, new=NEW, sampling="sampled")
    model = job.model()
    eager, compiled = (decoders.ENGINES[name].build(model, job) for name in ("eager", "compiled"))
    assert eager(NEW) == compiled(NEW) == compiled(NEW)


def test_two_lengths_are_subtracted() -> None:
    """1 s for the first token and 3 s for nine: 250 ms for each of the eight, 12 GB of 60 GB/s x 0.25 s."""
    job = jobs.DecodeJob(shape="toy", rows=4, context=100, new=9)
    times = {
        measure.FIRST: [1.0, 1.0, 2.0],
        measure.ALL: [3.0, 3.0, 4.0],
        measure.SAMPLER: [0.1] * 3,
    }
    found = measure.figures(times, job, 12e9, 60.0)
    assert found["tpot"]["median_us"] == pytest.approx(250_000)
    assert found["decode_tokens_per_s"] == pytest.approx(16)
    assert found["prefill_tokens_per_s"] == pytest.approx(400)
    assert found["share_of_bandwidth"] == pytest.approx(0.8)
    assert found["sampler_share"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("engine", "problem", "told"),
    [
        ("vLLM", ModuleNotFoundError("No module named 'vllm'"), {"not_available": "No module named 'vllm'"}),
        ("vLLM", RuntimeError("no room\nat all"), {"error": "RuntimeError: no room"}),
        ("vLLM", ImportError("libcuda.so"), {"error": "ImportError: libcuda.so"}),
        ("vLLM", KeyError(), {"error": "KeyError: KeyError"}),
        (
            "eager",
            ModuleNotFoundError("No module named 'x'"),
            {"error": "ModuleNotFoundError: No module named 'x'"},
        ),
        ("compiled", ValueError("NaN"), {"error": "ValueError: NaN"}),
    ],
)
def test_only_a_missing_package_is_not_available(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: str,
    problem: Exception,
    told: dict[str, str],
) -> None:

    def fails(*_: object) -> None:
        raise problem

    monkeypatch.setitem(measure.ENGINES, engine, jobs.DecodeEngine(fails, "", ""))
    job = jobs.DecodeJob(shape="toy")
    ready = measure.prepared(engine, job, job.model())
    assert told.items() <= ready.line.items()
    assert not ready.calls
    assert ("Traceback" in capsys.readouterr().err) == ("error" in told)


@pytest.mark.parametrize("word", ["error", "not_available"])
def test_an_error_ends_the_script_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    line = {"part": "engines", "engine": "compiled", word: "RuntimeError: no room"}
    monkeypatch.setattr(sys, "argv", ["", "--short"])
    monkeypatch.setattr(decode, "run", lambda options: decode.frame(options) | {"lines": [line]})
    ended = pytest.raises(SystemExit, match=r"^failed: compiled$") if word == "error" else nullcontext()
    with ended:
        decode.main()
    assert f"compiled: {word.replace('_', ' ')}: RuntimeError: no room" in capsys.readouterr().out


def test_leading_tokens_in_common() -> None:
    same_tokens = measure.same_tokens
    assert same_tokens([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]) == 3
    assert same_tokens([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 0, 6]]) == 1
    assert same_tokens([[1]], [[2]]) == 0


@pytest.mark.parametrize(
    ("shape", "parameters", "step", "per_token"),
    [("Llama-3-8B", 8_030_261_248, 15.01e9, 131072), ("Llama-3.2-1B", 1_235_814_400, 2.4716e9, 32768)],
)
def test_shapes_are_the_published_ones(shape: str, parameters: int, step: float, per_token: int) -> None:
    """The parameters that the model cards count; bytes of bfloat16 that one step reads."""
    with torch.device("meta"):
        model = shapes.Llama(shapes.SHAPES[shape]).to(torch.bfloat16)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert shapes.weight_bytes(model) == pytest.approx(step, rel=1e-3)
    assert shapes.cache_bytes(model, 1, 1) == per_token


def test_logits_of_random_weights_are_spread_as_promised(small: ModuleType) -> None:
    model = small.build("small")
    logits = model.next_logits(torch.arange(32)[None])
    assert float(logits.std()) == pytest.approx(shapes.LOGITS, rel=0.1)
    assert torch.equal(model.embed_tokens.weight, small.build("small").embed_tokens.weight)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of shapes, with a shape like Llama-3.2-1B that is quick to build."""
    from dataclasses import replace

    config = replace(
        shapes.SHAPES["Llama-3.2-1B"],
        vocab_size=4000,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
    )
    monkeypatch.setitem(shapes.SHAPES, "small", config)
    return shapes


def test_transformers_runs_on_our_weights_where_they_lie(small: ModuleType) -> None:
    model = small.build("small")
    theirs = transformers_generate.their_model(model)
    mine = {parameter.data_ptr() for parameter in model.parameters()}
    assert {parameter.data_ptr() for parameter in theirs.parameters()} == mine
    prompt = torch.arange(20)[None]
    torch.testing.assert_close(theirs(prompt).logits[:, -1], model.next_logits(prompt), atol=1e-3, rtol=1e-4)
    assert not any(weight.requires_grad for weight in model.parameters()), (
        "a compiled step would compile again"
    )


def test_a_sum_reads_what_it_says() -> None:
    assert bandwidth.fastest({"a": [0.5, 0.25, 0.5], "b": [1.0] * 3}, 10**9) == {
        "GB_per_s": 2.0,
        "ways": {"a": 2.0, "b": 1.0},
        "bytes": 10**9,
    }
