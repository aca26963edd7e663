"""Log probabilities of given tokens and their gradients are those of the renormalised log softmax over the exact kept set."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scoring.by_float64 import expected
from torch import Tensor

from sampling import (
    DIALECTS,
    Dialect,
    InvalidArgument,
    InvalidRequest,
    Pipeline,
    Sampler,
    SamplingParams,
    dialect,
    token_logprobs,
)

WIDTH = 60
FIELDS: list[dict[str, Any]] = [
    {"top_p": 0.7},
    {"temperature": 0.7, "top_k": 5},
    {"temperature": 1.4, "top_p": 0.9, "top_k": 12},
    {"min_p": 0.1, "temperature": 0.8},
    {"logit_bias": {3: 2.5, 4: -1.0, 5: -100.0}, "top_p": 0.8},
    {"repetition_penalty": 1.7, "temperature": 0.6, "top_p": 0.9},
    {"frequency_penalty": 0.7, "presence_penalty": -0.4, "top_k": 9},
    {"min_tokens": 3, "stop_token_ids": [1, 2], "top_p": 0.8},
    {"temperature": 0},
    {},
]
PROMPTS = [[7, 7, 3], [1], [], [4, 5, 6], [2], [0, 1], [9, 9, 9], [1, 2], [3], [8]]
OUTPUTS = [[3, 3], [9], [11, 12], [], [5], [3, 4, 3], [6, 6, 6, 2], [2], [1], []]


def requests(rules: Dialect) -> list[SamplingParams]:
    """Every set of fields, without what a dialect does not have."""
    result: list[SamplingParams] = []
    for fields in FIELDS:
        known = {k: v for k, v in fields.items() if k in (*rules.stages, "stop_token_ids")}
        if known.get("temperature") == 0 and not rules.zero_temperature:
            known["temperature"] = rules.greedy_below / 2
        result.append(SamplingParams(**known))
    return result


def rows(
    seed: int, width: int = WIDTH, *, ties: bool, scale: float = 2.0, count: int = len(FIELDS)
) -> Tensor:
    made = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * scale
    return (made * 2).round() / 2 if ties else made


def drawn(kept: list[set[int]], seed: int) -> list[int]:
    """A token of each set."""
    picks = torch.randint(10**6, (len(kept),), generator=torch.Generator().manual_seed(seed)).tolist()
    return [sorted(one)[pick % len(one)] for one, pick in zip(kept, picks, strict=True)]


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("name", DIALECTS)
def test_values_and_gradients_by_float64(name: Any, ties: bool) -> None:
    """All dialects, all parameters, ties at boundaries, rows of different requests in one batch."""
    params, logits = requests(DIALECTS[name]), rows(1, ties=ties)
    asked = zip(logits, params, PROMPTS, OUTPUTS, strict=True)
    sets = [expected(row, 0, p, name, prompt, output).kept for row, p, prompt, output in asked]
    tokens = drawn(sets, 2)
    leaf = logits.clone().requires_grad_()
    scored = token_logprobs(leaf, tokens, params, dialect=name, prompt_ids=PROMPTS, output_ids=OUTPUTS)
    weights = torch.arange(1.0, len(params) + 1)
    (scored.logprobs * weights).sum().backward()
    assert scored.in_support.all()
    assert leaf.grad is not None
    for i, token in enumerate(tokens):
        wanted = expected(logits[i], token, params[i], name, PROMPTS[i], OUTPUTS[i])
        assert scored.logprobs[i].item() == pytest.approx(wanted.logprob, abs=2e-6), (name, i)
        assert scored.kept_counts[i].item() == len(wanted.kept), (name, i)
        assert scored.log_kept_mass[i].item() == pytest.approx(math.log(wanted.mass), abs=2e-5), (name, i)
        assert (leaf.grad[i].double() / weights[i] - wanted.gradient).abs().max() < 2e-6, (name, i)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_logits_are_widened(dtype: torch.dtype) -> None:
    logits = rows(3, ties=False).to(dtype)
    request = SamplingParams(top_p=0.8, temperature=0.7)
    tokens = logits.argmax(-1)
    leaf = logits.clone().requires_grad_()
    scored = token_logprobs(leaf, tokens, request)
    scored.logprobs.sum().backward()
    wide = token_logprobs(logits.float(), tokens, request)
    assert scored.logprobs.dtype == torch.float32
    assert torch.equal(scored.logprobs.detach(), wide.logprobs)
    assert leaf.grad is not None
    assert leaf.grad.dtype == dtype
    for row, token, gradient in zip(logits, tokens.tolist(), leaf.grad, strict=True):
        wanted = expected(row.float(), token, request, "qstash").gradient
        assert torch.allclose(gradient.double(), wanted, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("scale", [0.01, 1.0, 6.0])
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("vllm", {"top_p": 0.9}),
        ("vllm", {"top_p": 0.9, "top_k": 50}),
        ("vllm", {"top_p": 0.6, "temperature": 0.5}),
        ("llama.cpp", {"top_p": 0.6, "temperature": 0.5}),  # behind top_p
    ],
)
def test_few_and_many_kept_tokens(name: Any, fields: dict[str, Any], scale: float) -> None:
    """Sets from a handful to most of the tokens: found among candidates, and in whole rows."""
    request, logits = SamplingParams(**fields), rows(5, 1500, ties=False, scale=scale, count=3)
    sets = [expected(row, 0, request, name).kept for row in logits]
    tokens = drawn(sets, 6)
    leaf = logits.clone().requires_grad_()
    scored = token_logprobs(leaf, tokens, request, dialect=name)
    scored.logprobs.sum().backward()
    assert scored.kept_counts.tolist() == [*map(len, sets)]
    for i, token in enumerate(tokens):
        wanted = expected(logits[i], token, request, name)
        assert scored.logprobs[i].item() == pytest.approx(wanted.logprob, abs=2e-6)
        assert scored.log_kept_mass[i].item() == pytest.approx(math.log(wanted.mass), abs=3e-5)
        assert leaf.grad is not None
        assert (leaf.grad[i].double() - wanted.gradient).abs().max() < 1e-6


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_rows_that_are_long_and_flat(temperature: float) -> None:
    """Half of 20,000 tokens kept: the set is the sampler's, values and gradients are those of float64 over it."""
    request = SamplingParams(top_p=0.7, temperature=temperature)
    logits = rows(11, 20000, ties=False, scale=1.0, count=3)
    kept = Pipeline.from_params(request, dialect="vllm")(logits) > -math.inf
    tokens = kept.int().argmax(-1)
    leaf, wide = logits.clone().requires_grad_(), logits.double().requires_grad_()
    scored = token_logprobs(leaf, tokens, request, dialect="vllm")
    scored.logprobs.sum().backward()
    wanted = (wide / temperature).masked_fill(~kept, -math.inf).log_softmax(-1).gather(-1, tokens[:, None])
    wanted.sum().backward()
    mass = ((logits.double() / temperature).softmax(-1) * kept).sum(-1)
    assert torch.equal(scored.kept_counts, kept.sum(-1))
    assert torch.allclose(scored.logprobs.double(), wanted[:, 0], atol=2e-6, rtol=0)
    assert torch.allclose(scored.log_kept_mass.double().exp(), mass, atol=2e-5)
    assert leaf.grad is not None
    assert wide.grad is not None
    assert (leaf.grad.double() - wide.grad).abs().max() < 1e-6


def test_the_same_bits_as_a_sampler_reports() -> None:
    params = [SamplingParams(seed=s, top_p=0.9, temperature=0.5 + s / 10, logprobs=True) for s in range(6)]
    logits = rows(7, 5000, ties=False, count=6)
    out = Sampler(params, vocab_size=5000, dialect="vllm", logprob_modes=["processed"]).step(logits)
    scored = token_logprobs(logits, out.token_ids, params, dialect="vllm")
    assert torch.equal(scored.logprobs, out.logprobs)


def test_an_order_of_ones_own() -> None:
    """A temperature before a repetition penalty, whose slope depends on the row's maximum; a truncation before a bias."""
    own = Dialect(
        name="own",
        order=("top_k", "temperature", "logit_bias", "repetition_penalty", "top_p"),
        source="this test",
    )
    request = SamplingParams(
        temperature=0.6, top_k=20, top_p=0.9, repetition_penalty=1.5, logit_bias={4: 3.0}
    )
    logits = rows(8, ties=False, count=4)
    leaf = logits.clone().requires_grad_()
    tokens = logits.argmax(-1)
    scored = token_logprobs(
        leaf, tokens, request, dialect=own, prompt_ids=PROMPTS[:4], output_ids=OUTPUTS[:4], outside="keep"
    )
    scored.logprobs.sum().backward()
    for i, token in enumerate(tokens.tolist()):
        part = logits[i].detach().double().requires_grad_()
        z = (part - part.amax()) / torch.tensor(0.6).double()
        z = z.masked_fill(part < part.topk(20).values[-1], -torch.inf)
        z = z + torch.nn.functional.one_hot(torch.tensor(4), WIDTH) * 3.0
        seen = torch.tensor([j in {*PROMPTS[i], *OUTPUTS[i]} for j in range(WIDTH)])
        z = torch.where(seen, torch.where(z > 0, z / 1.5, z * 1.5), z)
        order = z.sort(descending=True)
        before = order.values.softmax(-1).cumsum(-1) - order.values.softmax(-1)
        kept = torch.zeros(WIDTH, dtype=torch.bool).scatter(0, order.indices, before < 0.9)
        kept[token] = True
        logprob = z[token] - z.masked_fill(~kept, -torch.inf).logsumexp(-1)
        (gradient,) = torch.autograd.grad(logprob, part)
        assert scored.logprobs[i].item() == pytest.approx(logprob.item(), abs=2e-6)
        assert leaf.grad is not None
        assert (leaf.grad[i].double() - gradient).abs().max() < 2e-6


@pytest.mark.parametrize("name", DIALECTS)
def test_greedy(name: Any) -> None:
    """The arg max has the log probability 0, and no gradient; of equal ones it is the lowest id."""
    rules = DIALECTS[name]
    request = SamplingParams(temperature=0 if rules.zero_temperature else rules.greedy_below / 2)
    leaf = torch.tensor([[1.0, 3.0, 3.0], [5.0, 1.0, 2.0]], requires_grad=True)
    scored = token_logprobs(leaf, [1, 0], request, dialect=name)
    scored.logprobs.sum().backward()
    assert scored.logprobs.tolist() == [0, 0]
    assert (scored.kept_counts.tolist(), scored.log_kept_mass.tolist()) == ([1, 1], [0, 0])
    assert leaf.grad is not None
    assert leaf.grad.abs().max() == 0
    with pytest.raises(InvalidArgument, match=r"token_ids\[0\]: got 2, must be one of the 1 that"):
        token_logprobs(leaf, [2, 0], request, dialect=name)
    with pytest.raises(InvalidArgument, match=r"token_ids\[0\]: got 2.*temperature is 0"):
        token_logprobs(leaf, [2, 0], request, dialect=name, outside="keep")


LOGITS = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()  # 1/2, 1/4, 1/8, 1/8
HALF = SamplingParams(top_p=0.7)  # keeps 0 and 1


def test_a_token_outside_is_named() -> None:
    words = (
        r"token_ids\[1\]: got 2, must be one of the 2 that the parameters keep in this row: its probability before truncation "
        r"is 0.125, the least of theirs 0.25; outside='keep' or '-inf' scores it; 1 more rows"
    )
    with pytest.raises(InvalidArgument, match=words):
        token_logprobs(LOGITS.expand(3, 4), [0, 2, 3], HALF)


def test_a_token_outside_that_is_kept_besides() -> None:
    leaf = LOGITS.clone().requires_grad_()
    scored = token_logprobs(leaf, [2], HALF, outside="keep")
    scored.logprobs.sum().backward()
    wanted = expected(LOGITS[0], 2, HALF, "qstash", besides=True)
    assert scored.logprobs.exp().tolist() == pytest.approx([1 / 7])  # 1/8 of 1/2 + 1/4 + 1/8
    assert (scored.in_support.tolist(), scored.kept_counts.tolist()) == ([False], [2])
    assert scored.log_kept_mass.exp().tolist() == pytest.approx([0.75])
    assert leaf.grad is not None
    assert torch.allclose(leaf.grad[0].double(), wanted.gradient, atol=1e-6)
    assert torch.equal(
        token_logprobs(LOGITS, [1], HALF, outside="keep").logprobs, token_logprobs(LOGITS, [1], HALF).logprobs
    )


def test_a_token_outside_that_gets_minus_infinity() -> None:
    leaf = LOGITS.expand(2, 4).clone().requires_grad_()
    scored = token_logprobs(leaf, [2, 1], HALF, outside="-inf")
    assert scored.logprobs.tolist() == pytest.approx([-math.inf, math.log(1 / 3)])
    scored.logprobs[1].backward()
    assert leaf.grad is not None
    assert leaf.grad[0].tolist() == [0, 0, 0, 0]
    assert leaf.grad[1].tolist() == pytest.approx([-2 / 3, 2 / 3, 0, 0])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rows_that_cannot_be_sampled(value: float) -> None:
    logits = LOGITS.expand(2, 4).clone()
    logits[1, 0] = value
    with pytest.raises(InvalidArgument, match=r"logits: got 'row 1 with NaN, \+inf or nothing left'"):
        token_logprobs(logits, [0, 0], HALF)
    leaf = logits.requires_grad_()
    scored = token_logprobs(leaf, [0, 0], HALF, outside="-inf")
    assert scored.logprobs.isnan().tolist() == [False, True]
    assert (scored.in_support.tolist(), scored.kept_counts.tolist()) == ([True, False], [2, 0])
    scored.logprobs[0].backward()
    assert leaf.grad is not None
    assert leaf.grad[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("outside", ["raise", "keep"])
def test_a_banned_token_is_refused(outside: Any) -> None:
    request = SamplingParams(min_tokens=2, stop_token_ids=[1])
    with pytest.raises(InvalidArgument, match=r"token_ids\[0\]: got 1"):
        token_logprobs(LOGITS, [1], request, dialect="vllm", output_ids=[[0]], outside=outside)
    assert token_logprobs(LOGITS, [1], request, dialect="vllm", output_ids=[[0, 0]]).in_support.item()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logits": LOGITS[0]}, r"logits: got \(4,\), must be a tensor of shape \(B, V\)"),
        ({"logits": LOGITS.double()}, r"logits: got torch.float64"),
        ({"logits": LOGITS.tolist()}, r"logits: got 'list'"),
        ({"token_ids": [0, 1]}, r"token_ids: got '2 ids', must be one for each of the 1 rows"),
        ({"token_ids": [4]}, r"token_ids: got 4, must be an integer from 0 to 3"),
        ({"token_ids": [-1]}, r"token_ids: got -1, must be an integer from 0 to 3"),
        ({"token_ids": torch.tensor([1.0])}, r"token_ids: got torch.float32"),
        ({"params": [HALF, HALF]}, r"params: got 'a list of 2 SamplingParams', must be one for all rows, or one for each"),
        ({"params": []}, r"params: got 'a list of 0 SamplingParams'"),
        ({"logits": LOGITS.expand(2, 4), "token_ids": [0, 0], "params": [HALF]}, r"params: got 'a list of 1 SamplingParams'"),
        ({"logits": LOGITS.to("meta")}, r"logits: got 'a tensor of shape \(1, 4\) on meta', must be a tensor that holds"),
        ({"token_ids": torch.zeros(1, dtype=torch.int64, device="meta")}, r"token_ids: got 'a tensor of shape \(1,\) on meta'"),
        ({"output_ids": torch.zeros(1, 2, dtype=torch.int64, device="meta")}, r"output_ids: got 'a tensor .* on meta'"),
        ({"params": 0.7}, r"params: got 0.7"),
        ({"params": {"top_p": 0.7}}, r"params: got "),
        ({"dialect": "vlm"}, r"dialect: got 'vlm', must be one of"),
        ({"outside": "drop"}, r"outside: got 'drop', must be one of raise, keep, -inf"),
        ({"params": SamplingParams(frequency_penalty=1)}, r"output_ids: got None, must be what each row had sampled"),
        ({"params": SamplingParams(min_tokens=1, stop_token_ids=[0]), "dialect": "vllm"}, r"output_ids: got None"),
        (
            {"params": SamplingParams(repetition_penalty=2), "dialect": "vllm", "output_ids": [[1]]},
            r"prompt_ids: got None, must be the prompt of each row, which repetition_penalty counts",
        ),
        ({"params": SamplingParams(frequency_penalty=1), "output_ids": [[1], [2]]}, r"output_ids: got '2 rows', must be one"),
        ({"params": SamplingParams(frequency_penalty=1), "output_ids": [[4]]}, r"output_ids: got 4, must be token ids below 4"),
        ({"output_ids": [[4]]}, r"output_ids: got 4, must be token ids below 4"),
        ({"params": SamplingParams(frequency_penalty=1), "output_ids": [["a"]]}, r"output_ids\[0\]: got 'a'"),
        ({"params": SamplingParams(logit_bias={9: 1})}, r"logit_bias: got 9, must be token ids below 4"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"logits": LOGITS, "token_ids": [0], "params": HALF} | change
    with pytest.raises(InvalidArgument, match=words):
        token_logprobs(given.pop("logits"), given.pop("token_ids"), given.pop("params"), **given)


def test_what_a_dialect_does_not_have() -> None:
    with pytest.raises(InvalidRequest, match=r"min_p: got 0\.1, must be left out"):
        token_logprobs(LOGITS, [0], SamplingParams(min_p=0.1), dialect="openai")


def test_histories_as_tensors_and_lists() -> None:
    request = SamplingParams(frequency_penalty=0.5, repetition_penalty=1.2)
    logits = rows(9, ties=False, count=2)
    lists = token_logprobs(
        logits, [3, 4], request, dialect="vllm", prompt_ids=[[1], [5, 6]], output_ids=[[3, 3], []]
    )
    tensors = token_logprobs(
        logits,
        [3, 4],
        request,
        dialect="vllm",
        prompt_ids=torch.tensor([[1, -1], [5, 6]]),
        output_ids=torch.tensor([[3, 3], [-1, -1]]),
    )
    assert torch.equal(lists.logprobs, tensors.logprobs)


@pytest.mark.parametrize("form", ["sliced", "transposed"])
def test_logits_that_are_no_block_of_memory(form: str) -> None:
    request, logits = SamplingParams(top_p=0.9, temperature=0.7), rows(12, 640, ties=False, count=5)
    tokens = logits.argmax(-1)
    plain = logits.clone().requires_grad_()
    padded = torch.cat([logits, torch.full((5, 60), 9.0)], -1) if form == "sliced" else logits.T.contiguous()
    leaf = padded.requires_grad_()
    found = [
        token_logprobs(one, tokens, request).logprobs
        for one in (plain, leaf[:, :640] if form == "sliced" else leaf.T)
    ]
    assert torch.equal(*found)
    sum(one.sum() for one in found).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert plain.grad is not None
    assert leaf.grad is not None
    assert torch.equal(plain.grad, leaf.grad[:, :640] if form == "sliced" else leaf.grad.T)


def test_in_inference_mode() -> None:
    logits, request = rows(13, ties=False), SamplingParams(frequency_penalty=0.5)
    with torch.inference_mode():
        inside = token_logprobs(logits, [0] * 10, request, output_ids=OUTPUTS)
    assert torch.equal(
        inside.logprobs, token_logprobs(logits, [0] * 10, request, output_ids=OUTPUTS).logprobs
    )


def test_no_rows() -> None:
    leaf = torch.zeros(0, 7, requires_grad=True)
    scored = token_logprobs(leaf, [], HALF)
    scored.logprobs.sum().backward()
    assert scored.logprobs.shape == scored.kept_counts.shape == (0,)
    assert leaf.grad is not None


def test_only_the_log_probabilities_have_a_gradient() -> None:
    leaf = LOGITS.clone().requires_grad_()
    scored = token_logprobs(leaf, [0], HALF)
    assert [one.requires_grad for one in (scored.logprobs, scored.log_kept_mass, scored.in_support)] == [
        True,
        False,
        False,
    ]
    with torch.no_grad():
        assert not token_logprobs(leaf, [0], HALF).logprobs.requires_grad


def test_the_dialect_is_data() -> None:
    """An exact hit: 1/4 + 1/4; SGLang takes one token more."""
    request = SamplingParams(top_p=0.5)
    counts = {
        name: token_logprobs(torch.zeros(1, 4), [0], request, dialect=dialect(name)).kept_counts.item()
        for name in ("vllm", "sglang")
    }
    assert counts == {"vllm": 2, "sglang": 3}
