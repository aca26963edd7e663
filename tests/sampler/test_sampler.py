"""The sampler: a row is its own, slots are stable, faults stay in their row, and every error has a name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import oracle
import pytest
import torch
from torch import Tensor

from sampling import Sampler, SamplingParams
from sampling.core.errors import InvalidArgument

INF, NAN = math.inf, math.nan
VOCABULARY, STEPS = 50, 12

REQUESTS: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": 0.7, "top_p": 0.9},
    {"frequency_penalty": 1.5, "presence_penalty": 0.5},
    {"logit_bias": {3: 4.0, 7: -100}, "top_k": 12},
    {"repetition_penalty": 1.3, "min_p": 0.05},
    {"temperature": 1.7, "frequency_penalty": -0.3, "top_p": 0.5},
    {"top_k": 5, "top_p": 0.8, "min_p": 0.02, "temperature": 0.4, "presence_penalty": -1},
]
PROMPTS = [[], [1, 2, 3], [4], [5, 5, 6], [7], [8, 9, 3, 3], [], [0, 49]]


def stream(request: int) -> Tensor:
    """The logits that the model gives request after request, [STEPS, V]."""
    generator = torch.Generator().manual_seed(100 + request)
    return torch.randn(STEPS, VOCABULARY, generator=generator) * 3


def params(request: int) -> SamplingParams:
    return SamplingParams(seed=1000 + request, **REQUESTS[request])


def sampler_of(requests: list[int], **kwargs: Any) -> Sampler:
    return Sampler(
        [params(r) for r in requests],
        vocab_size=VOCABULARY,
        prompt_ids=[PROMPTS[r] for r in requests],
        **kwargs,
    )


def tokens_of(requests: list[int], **kwargs: Any) -> dict[int, list[int]]:
    """Every request's tokens when these stand together in this order."""
    sampler, streams = sampler_of(requests, **kwargs), [stream(r) for r in requests]
    steps = [sampler.step(torch.stack([s[t] for s in streams])).token_ids.tolist() for t in range(STEPS)]
    return {r: [step[i] for step in steps] for i, r in enumerate(requests)}


def by_oracle(request: int) -> list[int]:
    output: list[int] = []
    for row in stream(request).tolist():
        processed = oracle.by_qstash(row, REQUESTS[request], PROMPTS[request], output)
        output.append(oracle.draw(processed, 1000 + request, len(output)))
    return output


@pytest.mark.parametrize("request_index", range(8))
def test_a_request_alone_is_the_oracle_s(request_index: int) -> None:
    assert tokens_of([request_index])[request_index] == by_oracle(request_index)


@pytest.mark.parametrize(
    "order", [[0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 7, 1, 6, 2, 5, 4]]
)
def test_the_same_request_alone_in_a_batch_and_in_another_row(order: list[int]) -> None:
    assert tokens_of(order) == {r: by_oracle(r) for r in order}


@pytest.mark.parametrize("name", ["vllm-0.4", "vllm", "sglang", "llama.cpp"])
def test_rows_are_their_own_in_other_dialects(name: str) -> None:
    together = tokens_of([4, 1, 7, 2], dialect=name)
    assert together == {r: tokens_of([r], dialect=name)[r] for r in (4, 1, 7, 2)}


def test_penalties_count_sampled_tokens_only() -> None:
    """Prompt 0 0 0, sampled 1: the penalties touch 1 alone."""
    request = SamplingParams(
        frequency_penalty=2, presence_penalty=2, logprobs=True, top_logprobs=3, temperature=0
    )
    sampler = Sampler([request], vocab_size=3, prompt_ids=[[0, 0, 0]], logprob_modes=["temperature", "raw"])
    assert sampler.step(torch.tensor([[0.0, 5.0, -9.0]])).token_ids.tolist() == [1]
    row = torch.tensor([[3.0, 5.0, -9.0]])
    out = sampler.step(row)
    assert out.token_ids.tolist() == [0]  # 3 against 5 - 2 - 2
    assert sampler.step(row).token_ids.tolist() == [1]  # 3 - 4 against 1


def test_repetition_counts_sampled_tokens_only() -> None:
    sampler = Sampler(
        [SamplingParams(repetition_penalty=2, temperature=0)], vocab_size=2, prompt_ids=[[0, 0]]
    )
    row = torch.tensor([[3.0, 2.0]])
    assert [sampler.step(row).token_ids.item() for _ in range(3)] == [0, 1, 0]  # 3 2; 1.5 2; 1.5 1


# Slots


def test_slots_are_stable_and_the_others_go_on_unchanged() -> None:
    expected = {r: by_oracle(r) for r in range(8)}
    sampler, streams = sampler_of([0, 3, 5]), {r: iter(stream(r)) for r in range(8)}
    places: list[int | None] = [0, 3, 5]
    got: dict[int, list[int]] = {r: [] for r in range(8)}

    def step() -> None:
        rows = [torch.full((VOCABULARY,), NAN) if r is None else next(streams[r]) for r in places]
        out = sampler.step(torch.stack(rows))
        for r, token, status in zip(places, out.token_ids.tolist(), out.status.tolist(), strict=True):
            assert (token, status) == (-1, -1) if r is None else status == 0
            if r is not None:
                got[r].append(token)

    step()
    step()
    sampler.remove([1])
    places[1] = None
    step()
    assert sampler.add(params(7), PROMPTS[7]) == 1
    places[1] = 7
    step()
    assert sampler.add(params(2), PROMPTS[2]) == 3
    places.append(2)
    step()
    sampler.remove([0, 2])
    places[0] = places[2] = None
    step()
    assert sampler.add(params(6), PROMPTS[6]) == 0
    assert sampler.add(params(4), PROMPTS[4], choice=0) == 2
    places[0], places[2] = 6, 4
    for _ in range(3):
        step()
    assert {r: tokens == expected[r][: len(tokens)] for r, tokens in got.items()} == dict.fromkeys(
        range(8), True
    )
    assert {r: len(tokens) for r, tokens in got.items()} == {0: 5, 1: 0, 2: 5, 3: 2, 4: 3, 5: 5, 6: 3, 7: 6}


def test_free_slots_have_nothing_to_report() -> None:
    sampler = sampler_of([0, 1])
    sampler.remove([1])
    out = sampler.step(torch.zeros(2, VOCABULARY))
    assert out.status.tolist() == [0, -1]
    assert out.token_ids[1].item() == -1
    assert sampler.explain(-1) == "free slot"
    assert out.logprobs[1].isnan()
    assert out.ranks[1].item() == 0


BAD_ADDITIONS: list[tuple[str, SamplingParams, list[int], int]] = [
    ("logit_bias", SamplingParams(logit_bias={VOCABULARY: 1}), [], 0),
    ("prompt_ids", SamplingParams(), [VOCABULARY], 0),
    ("prompt_ids", SamplingParams(), [-1], 0),
    ("choice", SamplingParams(), [], -1),
    ("choice", SamplingParams(), [], 2**32),
    ("min_p", SamplingParams(min_p=0.5), [], 0),
]


@pytest.mark.parametrize(("field", "request_params", "prompt", "choice"), BAD_ADDITIONS)
def test_a_request_that_is_refused_leaves_the_sampler_as_it_was(
    field: str, request_params: SamplingParams, prompt: list[int], choice: int
) -> None:
    """One bad request must not stop the others (vLLM #5963)."""
    sampler = sampler_of([0, 2], dialect="openai")
    with pytest.raises(InvalidArgument, match=field):
        sampler.add(request_params, prompt, choice)
    got = sampler.step(torch.stack([stream(0)[0], stream(2)[0]])).token_ids.tolist()
    assert got == [by_oracle(0)[0], by_oracle(2)[0]]
    assert sampler.add(params(3), PROMPTS[3]) == 2
    got = sampler.step(torch.stack([stream(0)[1], stream(2)[1], stream(3)[0]])).token_ids.tolist()
    assert got == [by_oracle(0)[1], by_oracle(2)[1], by_oracle(3)[0]]


# Faults


def faulty_step() -> tuple[Sampler, Any]:
    sampler = sampler_of([0, 1, 2, 3, 4])
    logits = torch.stack([stream(r)[0] for r in range(5)])
    logits[1, 7], logits[2, 0], logits[3] = NAN, INF, -INF
    return sampler, sampler.step(logits)


def test_a_bad_row_says_why_and_the_others_go_on() -> None:
    sampler, out = faulty_step()
    assert [status > 0 for status in out.status.tolist()] == [False, True, True, True, False]
    words = [sampler.explain(status) for status in out.status.tolist()]
    assert words == [
        "fine",
        "NaN or +infinity in the logits after the model",
        "NaN or +infinity in the logits after the model",
        "nothing left to sample after the model",
        "fine",
    ]
    assert out.token_ids.tolist() == [by_oracle(0)[0], -1, -1, -1, by_oracle(4)[0]]
    assert out.logprobs[[0, 4]].isfinite().all()
    assert out.logprobs[[1, 2, 3]].isnan().all()
    assert out.ranks[[1, 2, 3]].tolist() == [0, 0, 0]


def test_a_bad_row_takes_nothing_into_its_history_and_goes_on_when_it_can() -> None:
    sampler, _ = faulty_step()
    assert sampler.history.sampled.tolist() == [1, 0, 0, 0, 1]
    later = [
        sampler.step(torch.stack([stream(r)[1 if r in (0, 4) else 0] for r in range(5)])) for _ in range(1)
    ]
    assert later[0].token_ids.tolist() == [by_oracle(r)[1 if r in (0, 4) else 0] for r in range(5)]


@pytest.mark.parametrize(
    ("fields", "row", "words"),
    [
        ({"repetition_penalty": 1e6}, [-5e33, -7e33], "nothing left to sample after repetition_penalty"),
        (
            {"repetition_penalty": 1e-6},
            [5e33, 1.0],
            "NaN or +infinity in the logits after repetition_penalty",
        ),
    ],
)
def test_the_stage_that_broke_a_row_is_named(fields: dict[str, Any], row: list[float], words: str) -> None:
    """Stages before it: the neighbour's bias."""
    requests = [SamplingParams(top_p=0.9, **fields), SamplingParams(logit_bias={0: 1}, seed=5)]
    sampler = Sampler(requests, vocab_size=2, prompt_ids=[[0, 1], []], dialect="vllm")
    out = sampler.step(torch.tensor([row, [0.0, 0.0]]))
    assert [sampler.explain(status) for status in out.status.tolist()] == [words, "fine"]
    assert out.token_ids.tolist() == [-1, oracle.draw([1.0, 0.0], 5, 0)]


# Seeds


def test_a_seed_left_out_is_fresh_and_recorded() -> None:
    logits = torch.zeros(1, 100_000)
    samplers = [Sampler([SamplingParams()], vocab_size=100_000) for _ in range(2)]
    tokens = [sampler.step(logits).token_ids.item() for sampler in samplers]
    assert tokens[0] != tokens[1]  # equal once in 10^5 runs
    assert samplers[0].seeds != samplers[1].seeds
    for sampler, token in zip(samplers, tokens, strict=True):
        replay = Sampler([SamplingParams(seed=sampler.seeds[0])], vocab_size=100_000)
        assert replay.step(logits).token_ids.item() == token


def test_rows_without_a_seed_have_different_ones() -> None:
    sampler = Sampler([SamplingParams()] * 5, vocab_size=4)
    assert len(set(sampler.seeds)) == 5
    sampler.add(SamplingParams(), [])
    assert len(set(sampler.seeds)) == 6
    assert all(0 <= seed < 2**64 for seed in sampler.seeds)


def test_given_seeds_are_recorded_as_given() -> None:
    seeds = [-(2**63), -1, 0, 2**64 - 1]
    sampler = Sampler([SamplingParams(seed=seed) for seed in seeds], vocab_size=5000)
    assert sampler.seeds == seeds
    tokens = sampler.step(torch.zeros(4, 5000)).token_ids.tolist()
    assert tokens == [oracle.draw([0.0] * 5000, seed, 0) for seed in seeds]
    assert tokens[1] == tokens[3]  # the same 64 bits


def test_choices_are_independent_of_each_other_and_of_n() -> None:
    row = torch.zeros(1, 5000)

    def drawn(choices: list[int]) -> list[int]:
        n = len(choices)
        sampler = Sampler([SamplingParams(seed=9)] * n, vocab_size=5000, choices=choices)
        return sampler.step(row.expand(n, -1)).token_ids.tolist()

    expected = [oracle.draw([0.0] * 5000, 9, 0, choice) for choice in range(6)]
    assert len(set(expected)) == 6
    assert drawn([0, 1, 2, 3, 4, 5]) == expected
    assert drawn([0, 1]) == expected[:2]
    assert drawn([4]) == expected[4:5]
    sampler = Sampler([], vocab_size=5000)
    assert sampler.add(SamplingParams(seed=9), [], 3) == 0
    assert sampler.step(row).token_ids.tolist() == [expected[3]]


# Log probabilities


def test_several_modes_at_once() -> None:
    request = SamplingParams(
        seed=1, temperature=0.5, top_k=2, logit_bias={1: 1}, logprobs=True, top_logprobs=4
    )
    modes = ["temperature", "raw", "processed"]
    sampler = Sampler([request], vocab_size=4, logprob_modes=modes)
    out = sampler.step(torch.tensor([[1.0, 0.5, 0.0, -1.0]]))
    assert list(out.modes) == modes
    assert torch.equal(out.logprobs, out.modes["temperature"].logprobs)
    rows = {
        "raw": [1.0, 0.5, 0.0, -1.0],
        "temperature": [2.0, 3.0, 0.0, -2.0],
        "processed": [2.0, 3.0, -INF, -INF],
    }
    token = out.token_ids.item()
    assert token in (0, 1)
    for mode, row in rows.items():
        expected = [float(x) for x in oracle.logprobs(row)]
        order = oracle.order(row)
        assert out.modes[mode].top_token_ids.tolist() == [order]
        assert out.modes[mode].top_logprobs[0].tolist() == pytest.approx(
            [expected[i] for i in order], abs=1e-6
        )
        assert out.modes[mode].logprobs.item() == pytest.approx(expected[token], abs=1e-6)
        assert out.modes[mode].ranks.item() == order.index(token) + 1


def test_raw_does_not_move_with_any_parameter() -> None:
    """Log probabilities that move with the temperature are vLLM #9453."""
    row = stream(0)[:1]
    expected = [float(x) for x in oracle.logprobs(row[0].tolist())]
    for fields in REQUESTS:
        out = Sampler([SamplingParams(seed=4, **fields)], vocab_size=VOCABULARY, prompt_ids=[[1, 2]]).step(
            row
        )
        assert out.logprobs.item() == pytest.approx(expected[out.token_ids.item()], abs=1e-6)
        assert out.ranks.item() == oracle.order(row[0].tolist()).index(out.token_ids.item()) + 1


def test_alternatives_are_in_order_with_ties_by_id() -> None:
    request = SamplingParams(temperature=0, logprobs=True, top_logprobs=4)
    out = Sampler([request], vocab_size=6).step(torch.tensor([[1.0, 2.0, 1.0, 2.0, 1.0, 0.0]]))
    assert out.top_token_ids.tolist() == [[1, 3, 0, 2]]
    assert out.ranks.tolist() == [1]
    assert out.token_ids.tolist() == [1]


def test_as_many_alternatives_as_the_greediest_slot_asks_for() -> None:
    requests = [SamplingParams(logprobs=True, top_logprobs=k) for k in (0, 3, 1)]
    sampler = Sampler(requests, vocab_size=5)
    assert sampler.step(torch.zeros(3, 5)).top_token_ids.shape == (3, 3)
    assert Sampler([SamplingParams(logprobs=True)], vocab_size=5).step(
        torch.zeros(1, 5)
    ).top_logprobs.shape == (1, 0)
    wide = Sampler([SamplingParams(logprobs=True, top_logprobs=20)], vocab_size=5)
    assert wide.step(torch.zeros(1, 5)).top_token_ids.shape == (1, 5)


def test_types_of_the_output() -> None:
    out = sampler_of([0, 1]).step(torch.zeros(2, VOCABULARY))
    for tensor in (out.token_ids, out.ranks, out.status, out.top_token_ids):
        assert tensor.dtype == torch.int64
    assert out.logprobs.dtype == out.top_logprobs.dtype == torch.float32


# Shapes and limits


def test_bfloat16_logits_are_the_floats_that_they_are() -> None:
    logits = torch.stack([stream(r)[0] for r in range(3)]).bfloat16()
    out, wide = sampler_of([0, 2, 5]).step(logits), sampler_of([0, 2, 5]).step(logits.float())
    assert torch.equal(out.token_ids, wide.token_ids)
    assert torch.equal(out.logprobs, wide.logprobs)


def test_the_logits_are_left_as_they_were() -> None:
    logits = torch.stack([stream(r)[0] for r in range(8)])
    before = logits.clone()
    sampler_of(list(range(8))).step(logits)
    assert torch.equal(logits, before)


def test_history_has_a_limit() -> None:
    sampler = Sampler([SamplingParams(seed=1)], vocab_size=3, prompt_ids=[[0, 1]], max_history=4)
    sampler.step(torch.zeros(1, 3))
    sampler.step(torch.zeros(1, 3))
    out = sampler.step(torch.zeros(1, 3))
    assert out.token_ids.tolist() == [-1]
    assert sampler.explain(out.status.item()) == "full: the slot holds max_history tokens"
    assert sampler.history.lengths.tolist() == [4]


def test_a_sampler_without_slots_waits_for_requests() -> None:
    sampler = Sampler([], vocab_size=3)
    assert sampler.step(torch.zeros(0, 3)).token_ids.shape == (0,)
    assert sampler.add(SamplingParams(temperature=0), [1, 2]) == 0
    assert sampler.step(torch.tensor([[0.0, 2.0, 1.0]])).token_ids.tolist() == [1]


def test_a_full_slot_leaves_the_others_alone() -> None:
    """Slot 0 is full after one token; slot 1 draws what it draws alone."""
    prompts = [[0, 0, 0], [0]]
    sampler = Sampler([SamplingParams(seed=1)] * 2, vocab_size=50, prompt_ids=prompts, max_history=4)
    alone = Sampler([SamplingParams(seed=1)], vocab_size=50, prompt_ids=[[0]])
    for step in range(3):
        out, own = sampler.step(torch.zeros(2, 50)), alone.step(torch.zeros(1, 50))
        assert (out.token_ids[0] == -1) == (step > 0)
        assert out.token_ids[1] == own.token_ids[0]


def test_a_slot_that_left_does_not_count_against_the_limit() -> None:
    """The limit is for the tokens that a slot holds: a short request may go on after a long one has left."""
    sampler = Sampler(
        [SamplingParams(seed=1)] * 2, vocab_size=3, prompt_ids=[[0], [0, 1, 2, 0]], max_history=5
    )
    sampler.step(torch.zeros(2, 3))
    sampler.remove([1])
    sampler.step(torch.zeros(2, 3))  # slot 0 holds three tokens
    sampler.add(SamplingParams(seed=2), [])
    sampler.step(torch.zeros(2, 3))
    assert sampler.history.lengths.tolist() == [4, 1]


# Padding


def test_padding_is_never_sampled_and_raw_is_the_model_s_own() -> None:
    row = torch.tensor([[0.0, 1.0, 9.0, 9.0]])
    for t in (0, 1):
        sampler = Sampler(
            [SamplingParams(seed=3, temperature=t)] * 50,
            vocab_size=4,
            choices=range(50),
            tokenizer_vocab_size=2,
        )
        out = sampler.step(row.expand(50, -1))
        assert set(out.token_ids.tolist()) <= {0, 1}
    expected = [float(x) for x in oracle.logprobs(row[0].tolist())]
    assert out.logprobs.tolist() == pytest.approx([expected[t] for t in out.token_ids.tolist()], abs=1e-6)


@pytest.mark.parametrize("mode", ["raw", "temperature", "processed"])
def test_the_token_taken_at_temperature_zero_has_a_log_probability_in_every_mode(mode: str) -> None:
    """The model likes the padding best: what is taken is the best of the rest."""
    sampler = Sampler(
        [SamplingParams(temperature=0)], vocab_size=4, tokenizer_vocab_size=2, logprob_modes=[mode]
    )
    out = sampler.step(torch.tensor([[0.0, 1.0, 9.0, 9.0]]))
    assert out.token_ids.tolist() == [1]
    assert out.logprobs.isfinite().all()


def test_a_row_with_padding_alone_left() -> None:
    sampler = Sampler([SamplingParams()], vocab_size=3, tokenizer_vocab_size=2)
    out = sampler.step(torch.tensor([[-INF, -INF, 1.0]]))
    assert sampler.explain(out.status.item()) == "nothing left to sample after tokenizer_vocab_size"


def test_the_trace_of_a_batch_samples_nothing() -> None:
    sampler = sampler_of([2, 7])
    trace = sampler.trace(torch.stack([stream(2)[0], stream(7)[0]]))
    assert {"temperature", "top_p"} <= {step.name for step in trace}
    assert sampler.history.sampled.tolist() == [0, 0]


def test_a_status_is_explained_as_a_number_or_a_tensor() -> None:
    sampler = sampler_of([0])
    assert sampler.explain(torch.tensor(0)) == sampler.explain(0) == "fine"
    assert sampler.explain(torch.tensor([1])) == "NaN or +infinity in the logits after the model"
    for status in (2**64, -3, None, torch.tensor([0, 0]), 1 + 2 * len(sampler.dialect.order) + 6):
        with pytest.raises(InvalidArgument, match="status: got "):
            sampler.explain(status)  # pyright: ignore[reportArgumentType]


def test_nothing_of_a_step_holds_the_graph_of_its_logits() -> None:
    logits = torch.randn(1, VOCABULARY, requires_grad=True)
    out = Sampler([SamplingParams(logprobs=True, top_logprobs=3)], vocab_size=VOCABULARY).step(logits)
    assert not out.logprobs.requires_grad
    assert not out.top_logprobs.requires_grad


def test_prompts_in_tensors() -> None:
    """Penalties see the same prompts, in one tensor, in several, or in lists."""
    logits = torch.zeros(2, 5)
    request = SamplingParams(temperature=0, repetition_penalty=2)
    lists = [[0, 1], [2, 3]]
    for prompts in (torch.tensor(lists), [torch.tensor(row, dtype=torch.int32) for row in lists], lists):
        sampler = Sampler([request] * 2, vocab_size=5, prompt_ids=prompts, dialect="vllm", max_history=9)
        assert sampler.history.tokens[:, :2].tolist() == lists
        assert sampler.step(logits + torch.tensor([4.0, 4, 3, 3, 1])).token_ids.tolist() == [2, 0]
    assert Sampler([], vocab_size=5).add(request, torch.tensor([1, 2])) == 0
    for wrong in (torch.tensor(3), torch.tensor([1, 2])):
        with pytest.raises(InvalidArgument, match="prompt_ids: got"):
            Sampler([request] * 2, vocab_size=5, prompt_ids=wrong)


def test_one_prompt_of_several_choices_is_read_once() -> None:
    class Read(list[int]):
        reads = 0

        def __iter__(self) -> Iterator[int]:
            self.reads += 1
            return super().__iter__()

    prompt, alone = Read([3, 1, 3, 2]), Read([3, 1, 3, 2])
    params = [SamplingParams(seed=1, frequency_penalty=0.5)] * 4
    together = Sampler(params, vocab_size=5, prompt_ids=[prompt] * 4, choices=range(4))
    Sampler(params[:1], vocab_size=5, prompt_ids=[alone])
    assert prompt.reads == alone.reads
    apart = Sampler(params, vocab_size=5, prompt_ids=[[3, 1, 3, 2] for _ in range(4)], choices=range(4))
    assert together.history.tokens.tolist() == apart.history.tokens.tolist()
    logits = torch.zeros(4, 5)
    assert together.step(logits).token_ids.tolist() == apart.step(logits).token_ids.tolist()


def test_samplers_print_what_tells_them_apart():
    sampler = Sampler([SamplingParams()], num_slots=3, vocab_size=9, dialect="vllm", prompt_ids=[[1, 2]])
    words = "slots=3, free=2, vocab_size=9, dialect='vllm', rule='integer', compile=False, device='cpu'"
    assert repr(sampler) == f"Sampler({words})"
    assert repr(sampler.history) == "History(rows=3, longest=2, capacity=None)"
