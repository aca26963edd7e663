"""The rules of engines: what they key a draw by, against plain Python; one way or another, the same tokens."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from sampling import History, InvalidArgument, Sampler, SamplingParams, draw, draw_margin
from sampling.sampler.rules import RULES, Rule, rule_of_batch

WORD = 2**32 - 1
V = 40
HASHED: list[Rule] = ["vllm-0.33", "vllm-0.33-fp64", "sglang-0.5.23", "sglang-0.5.23-ranked"]
VECTORS = sorted((Path(__file__).parent / "vectors").glob("*.json"))


def murmur3(seed: int, position: int, column: int, start: int = 0) -> int:
    """MurmurHash3 x86_32, as its author wrote it, of 16 bytes."""

    def rotate(x: int, bits: int) -> int:
        return (x << bits | x >> (32 - bits)) & WORD

    h = start
    for block in struct.unpack("<IIII", struct.pack("<QII", seed % 2**64, position, column)):
        h ^= rotate(block * 0xCC9E2D51 & WORD, 15) * 0x1B873593 & WORD
        h = (rotate(h, 13) * 5 + 0xE6546B64) & WORD
    h ^= 16
    h = (h ^ h >> 16) * 0x85EBCA6B & WORD
    h = (h ^ h >> 13) * 0xC2B2AE35 & WORD
    return h ^ h >> 16


def test_the_oracle_has_the_published_vectors() -> None:
    vectors = {(0, 0, 0): 2167721464, (42, 5, 7): 4156123543, (1, 10, 128000): 4167519846}
    assert {key: murmur3(*key) for key in vectors} == vectors


def vllm(seed: int, position: int, column: int) -> float:
    return -math.log(-math.log1p(-(murmur3(seed, position, column) + 0.5) / 2**32))


def vllm_fp64(seed: int, position: int, column: int) -> float:
    high = murmur3(seed, position, column, start=0x9E3779B9)
    return -math.log(
        -math.log(((high << 32 | murmur3(seed, position, column)) >> 11) + 0.5) + 53 * math.log(2)
    )


def sglang(seed: int, position: int, column: int) -> float:
    return -math.log(-min(math.log(murmur3(seed, position, column) / WORD), -(2.0**-32)))


NOISES: dict[Rule, Callable[[int, int, int], float]] = {
    "vllm-0.33": vllm,
    "vllm-0.33-fp64": vllm_fp64,
    "sglang-0.5.23": sglang,
    "sglang-0.5.23-ranked": sglang,
}


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: file.stem)
def test_equals_what_the_engine_drew(file: Path) -> None:
    """`python -m benchmarks.replay` has run the engine's own code on these rows."""
    recorded = json.loads(file.read_text())
    drawn = 0
    for batch in recorded["batches"]:
        logits = torch.tensor([[float.fromhex(value) for value in row] for row in batch["logits"]])
        sorts = any(batch[name] is not None for name in RULES[recorded["rule"]].sorted_by)
        rule = rule_of_batch(recorded["rule"], [sorts])
        size = batch["rows"]
        for start in range(0, len(logits), size):
            at = slice(start, start + size)
            keys: dict[str, Any] = {name: batch[name][at] for name in ("seed", "choice", "position")}
            assert draw(logits[at], **keys, rule=rule).tolist() == batch["token_ids"][at]
            drawn += len(logits[at])
    assert drawn >= 20


def rows(count: int, seed: int = 0) -> Tensor:
    logits = torch.randn(count, V, generator=torch.Generator().manual_seed(seed)) * 2
    return logits.masked_fill(torch.arange(V) % 7 == 3, -torch.inf)


@pytest.mark.parametrize("rule", HASHED)
def test_equals_plain_python(rule: Rule) -> None:
    seeds = [0, 42, -5, 2**40 + 7, 2**63 - 1, -(2**63), 2**64 - 3, 123456789] * 25
    positions = [(37 * i) ** 3 % 2**32 for i in range(len(seeds))]
    logits = rows(len(seeds))
    expected: list[int] = []
    for row, seed, position in zip(logits.tolist(), seeds, positions, strict=True):
        ids = list(range(V))
        if rule.endswith("ranked"):
            ids.sort(key=lambda token, row=row: -row[token])
        score = {token: row[token] + NOISES[rule](seed, position, column) for column, token in enumerate(ids)}
        expected.append(max(score, key=lambda token, score=score: score[token]))
    assert draw(logits, seed=seeds, position=positions, rule=rule).tolist() == expected
    margin = draw_margin(logits, seed=seeds, position=positions, rule=rule)
    assert bool(margin.decided.all())


@pytest.mark.parametrize("rule", HASHED)
def test_the_margin_is_the_distance_of_the_two_best(rule: Rule) -> None:
    seed, position = 42, 9
    row = torch.tensor([0.0, -1.0, -torch.inf, 2.0])
    noise = [NOISES[rule](seed, position, column) for column in range(4)]
    order = [3, 0, 1, 2] if rule.endswith("ranked") else [0, 1, 2, 3]
    score = {token: row[token].item() + noise[column] for column, token in enumerate(order)}
    best, second = sorted(score, key=lambda token: -score[token])[:2]
    margin = draw_margin(row[None], seed=seed, position=position, rule=rule)
    assert margin.runner_up.tolist() == [second]
    assert margin.distance.item() == pytest.approx(score[best] - score[second], abs=1e-5)
    close = row.clone()
    close[second] += margin.distance[0].float() * (1 - 2**-22)
    tied = draw_margin(close[None], seed=seed, position=position, rule=rule)
    assert tied.distance.item() < 1e-5
    assert bool(tied.decided) == (tied.distance.item() > tied.tolerance.item())


def test_equal_logits_have_no_order_in_the_ranked_rule() -> None:
    margin = draw_margin(torch.zeros(1, 5), seed=1, position=2, rule="sglang-0.5.23-ranked")
    assert (margin.distance.item(), margin.decided.item()) == (0.0, False)


@pytest.mark.parametrize("rule", RULES)
def test_the_margin_of_rows_without_a_second_token_or_any(rule: Rule) -> None:
    logits = torch.tensor([[-torch.inf, 1.0], [torch.nan, 0.0]])
    margin = draw_margin(logits, seed=1, position=2, rule=rule)
    assert margin.runner_up.tolist() == [1, -1]
    assert margin.distance.tolist() == [torch.inf, 0.0]
    assert margin.decided.tolist() == [True, False]


@pytest.mark.parametrize("rule", RULES)
def test_no_rows_draw_nothing(rule: Rule) -> None:
    drawn = draw(torch.empty(0, V), seed=1, position=0, rule=rule)
    assert (drawn.shape, drawn.dtype) == ((0,), torch.int64)
    assert draw_margin(torch.empty(0, V), seed=1, position=0, rule=rule).distance.shape == (0,)


def test_the_margin_of_the_integer_rule_is_the_way_to_the_next_token() -> None:
    logits = torch.randn(200, 9, generator=torch.Generator().manual_seed(4))
    seeds = range(200)
    margin = draw_margin(logits, seed=seeds, position=0)
    p = logits.double().softmax(-1)
    tokens = draw(logits, seed=seeds, position=0)
    assert bool(margin.decided.all())
    assert bool(((margin.runner_up - tokens).abs() == 1).all())
    assert bool((margin.distance <= p.gather(1, tokens[:, None])[:, 0]).all())
    middle = ((tokens > 0) & (tokens < 8)).nonzero()[:, 0]
    assert bool((margin.distance <= p.gather(1, tokens[:, None])[:, 0] / 2 + 1e-9)[middle].all())


def sampler(rule: Rule, params: list[SamplingParams], **options: Any) -> Sampler:
    prompts = [[1, 2, 3], [4], [5, 6]][: len(params)]
    return Sampler(params, vocab_size=V, prompt_ids=prompts, rule=rule, dialect="vllm", **options)


@pytest.mark.parametrize("rule", ["vllm-0.33", "vllm-0.33-fp64", "sglang-0.5.23"])
@pytest.mark.parametrize("more", [{}, {"top_p": 0.9, "top_k": 30}])
def test_a_sampler_draws_by_the_rule_of_its_batch(rule: Rule, more: dict[str, Any]) -> None:
    params = [SamplingParams(seed=seed, **more) for seed in (7, -9, 2**40)]
    batch = sampler(rule, params)
    history = History.start([[1, 2, 3], [4], [5, 6]])
    named: Rule = "sglang-0.5.23-ranked" if rule == "sglang-0.5.23" and more else rule
    for step in range(4):
        logits = rows(3, step)
        processed = batch.inputs.plan.pipeline(logits, history)
        tokens = batch.step(logits).token_ids
        by_history = draw(processed, seed=[7, -9, 2**40], history=history, rule=named)
        lengths = [2 + step, step, 1 + step]  # the index of the last known token
        by_position = draw(processed, seed=[7, -9, 2**40], position=lengths, rule=named)
        assert tokens.tolist() == by_history.tolist() == by_position.tolist()
        history.accept(tokens)


def test_a_greedy_row_makes_sglang_rank_the_whole_batch() -> None:
    logits = rows(2)
    batch = sampler("sglang-0.5.23", [SamplingParams(seed=7), SamplingParams(temperature=0)])
    expected = draw(logits[:1], seed=7, position=2, rule="sglang-0.5.23-ranked").tolist()
    assert batch.step(logits).token_ids.tolist() == [*expected, int(logits[1].argmax())]


def test_choices_of_vllm_have_neighbouring_seeds() -> None:
    logits = rows(1).expand(8, -1)
    choices = draw(logits, seed=7, position=3, choice=range(8), rule="vllm-0.33")
    assert choices.tolist() == draw(logits, seed=range(7, 15), position=3, rule="vllm-0.33").tolist()
    batch = Sampler(
        [SamplingParams(seed=7)] * 8,
        vocab_size=V,
        prompt_ids=[[0] * 4] * 8,
        choices=range(8),
        rule="vllm-0.33",
        dialect="vllm",
    )
    assert batch.step(logits).token_ids.tolist() == choices.tolist()


def test_choices_of_sglang_are_alike_and_a_request_without_seed_has_42() -> None:
    logits = rows(1).expand(8, -1)
    alike = draw(logits, seed=42, position=3, choice=range(8), rule="sglang-0.5.23")
    assert len(set(alike.tolist())) == 1
    assert draw(logits, seed=None, position=3, rule="sglang-0.5.23").tolist() == alike.tolist()
    batch = Sampler(
        [SamplingParams()] * 8, vocab_size=V, prompt_ids=[[0] * 4] * 8, rule="sglang-0.5.23", dialect="vllm"
    )
    assert batch.step(logits).token_ids.tolist() == alike.tolist()
    assert batch.seeds == [42] * 8


@pytest.mark.parametrize("rule", RULES)
def test_no_seed_is_one_clear_error(rule: Rule) -> None:
    if RULES[rule].unseeded is None:
        with pytest.raises(InvalidArgument, match=f"seed: got None, must be given: .*{rule}"):
            draw(rows(1), seed=None, position=0, rule=rule)


def test_minus_one_is_no_seed_in_vllm() -> None:
    with pytest.raises(InvalidArgument, match="seed: got -1, must be given"):
        draw(rows(1), seed=[-1], position=0, rule="vllm-0.33")
    batch = sampler("vllm-0.33", [SamplingParams(seed=-1), SamplingParams(seed=-2)])
    assert batch.seeds[0] != -1
    assert batch.seeds[1] == -2


def test_a_prompt_that_is_counted_has_to_be_there() -> None:
    with pytest.raises(
        InvalidArgument, match=r"prompt_ids: got \[\], must be a prompt of at least one token"
    ):
        Sampler([SamplingParams(seed=1)], vocab_size=V, rule="vllm-0.33")
    with pytest.raises(InvalidArgument, match="history: got 'an empty prompt', must be a prompt"):
        draw(rows(1), seed=1, history=History.start([[]]), rule="sglang-0.5.23")


def test_an_unknown_rule_is_one_clear_error() -> None:
    for rule in ("vllm", ["integer"], None):
        with pytest.raises(
            InvalidArgument, match=r"^rule: got .*, must be one of integer, gumbel, vllm-0.33, "
        ):
            draw(rows(1), seed=1, position=0, rule=cast("Rule", rule))


def test_streams_go_on_in_a_sampler() -> None:
    """Torch and NumPy themselves are beside it."""
    logits = rows(6).view(3, 2, V)
    batch = Sampler(
        [SamplingParams(seed=5)] * 2, vocab_size=V, rule="transformers", dialect="transformers", compile=True
    )
    torch.manual_seed(5)
    for step in logits:
        assert batch.step(step).token_ids.tolist() == step.softmax(-1).multinomial(1)[:, 0].tolist()
    one = Sampler([SamplingParams(seed=5)], vocab_size=V, rule="numpy", dialect="vllm")
    generator = np.random.default_rng(5)
    for row in logits[:, 0]:
        assert one.step(row[None]).token_ids.tolist() == [
            generator.choice(V, p=row.double().softmax(-1).numpy())
        ]


def test_a_long_stream_is_the_same_from_its_beginning() -> None:
    logits = rows(1)
    for rule in ("vllm-v1", "vllm-cpu-0.32", "llama.cpp", "numpy"):
        later = draw(logits, seed=9, position=700, rule=rule).tolist()
        draw(logits, seed=10, position=3, rule=rule)
        assert draw(logits.expand(2, -1), seed=[10, 9], position=[3, 700], rule=rule).tolist()[1:] == later


def test_rows_of_llama_cpp_sort_all_or_none() -> None:
    params = [SamplingParams(seed=1), SamplingParams(seed=2, top_k=5)]
    batch = Sampler(params, vocab_size=V, rule="llama.cpp", dialect="llama.cpp")
    with pytest.raises(
        InvalidArgument, match=r"^params: got 'requests of both kinds', must be all with top_k"
    ):
        batch.step(rows(2))
    alike = Sampler(params[1:], vocab_size=V, rule="llama.cpp", dialect="llama.cpp")
    kept = alike.inputs.plan.pipeline(rows(1), History.start([[]]))
    assert (
        alike.step(rows(1)).token_ids.tolist()
        == draw(kept, seed=2, position=0, rule="llama.cpp-sorted").tolist()
    )


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_a_compiled_step_draws_the_same() -> None:
    rule: Rule = "vllm-0.33"
    params = [SamplingParams(seed=seed, top_p=0.9) for seed in (7, -9, 2**40)]
    eager, compiled = sampler(rule, params), sampler(rule, params, compile=True, max_history=20)
    for step in range(6):
        logits = rows(3, step)
        assert compiled.step(logits).token_ids.tolist() == eager.step(logits).token_ids.tolist()


MIXED: list[dict[str, Any]] = [
    {"presence_penalty": 1.5, "logit_bias": {5: 2.0}},
    {"temperature": 0},
    {"temperature": 0.7, "min_tokens": 2},
]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("rule", "cut"), [("vllm-0.33", {}), ("sglang-0.5.23", {"top_p": 0.9})], ids=["full-rows", "candidates"]
)
def test_a_step_of_requests_of_all_kinds_is_one_graph(rule: Rule, cut: dict[str, Any]) -> None:
    """A break in it is an error."""
    params = [SamplingParams(seed=7 - row, **given, **cut) for row, given in enumerate(MIXED)]
    eager, traced = (sampler(rule, params, compile=on, max_history=20) for on in (False, True))
    for step in range(2):
        logits = rows(3, step)
        assert traced.step(logits).token_ids.tolist() == eager.step(logits).token_ids.tolist()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.on_host])
def test_a_rule_of_streams_runs_outside_of_graphs(rule: Rule) -> None:
    params = [SamplingParams(seed=seed) for seed in (7, 9)]
    dialect = RULES[rule].dialect
    batch = Sampler(params, vocab_size=V, rule=rule, dialect=dialect, compile=True)
    for step in range(2):
        logits = rows(2, step)
        expected = draw(logits, seed=[7, 9], position=step, rule=rule)
        assert batch.step(logits).token_ids.tolist() == expected.tolist()


@pytest.mark.parametrize("rule", HASHED)
def test_the_draw_of_full_rows_is_one_graph(rule: Rule) -> None:
    from sampling.processors.run_stages import run_on_full_rows
    from sampling.sampler.draw import RngKeys, SampleTokens

    def one_draw(logits: Tensor, seed: Tensor, position: Tensor) -> Tensor:
        return run_on_full_rows((), logits, SampleTokens(rule, RngKeys(seed, position, seed * 0)))

    seeds, positions = torch.tensor([1, -7, 2**45]), torch.tensor([5, 6, 7])
    graph = torch.compile(one_draw, fullgraph=True, backend="eager")
    assert graph(rows(3), seeds, positions).tolist() == one_draw(rows(3), seeds, positions).tolist()
