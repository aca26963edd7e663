"""Every parameter of the page's request changes what the built-in checkpoint says, as an independent computation has it.

That computation is teacher forcing: one pass of the model over prompt and answer, `LanguageModel.logits`, and the page's
arithmetic on its last rows in double precision. Decoding runs the model token by token, so its logits differ in their last
bits; where one number is compared with another it is within 5e-5.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import pytest
import torch
from pages import comparable, entries, joined
from statistics_tools import chi_square
from torch import Tensor
from toy_variants import variant

from sampling import load
from sampling.chat.language_model import LanguageModel
from sampling.core.errors import InvalidRequest

HELLO = [{"role": "user", "content": "Hi"}]
TURKEY = [{"role": "user", "content": "What is the capital of Turkey?"}]
FRUIT = [{"role": "user", "content": "Name a fruit."}]
ENDS = (2043, 2047)  # <|end_of_text|>, <|eot_id|>
SPECIAL = range(2042, 2048)  # these and others, which have no bytes


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def prompt_of(toy: LanguageModel, messages: list[dict[str, str]]) -> list[int]:
    """The prompt by transformers' own template function."""
    return toy.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def forced(toy: LanguageModel, messages: list[dict[str, str]], tokens: list[int]) -> Tensor:
    """The logits for each of these tokens and the one after them, float64 [T + 1, V]."""
    prompt = prompt_of(toy, messages)
    return toy.logits([*prompt, *tokens])[len(prompt) - 1 :].double()


def sampled(toy: LanguageModel, choice: dict[str, Any]) -> list[int]:
    """The tokens of a choice from the bytes of its entries, and the end token if it ended with one."""
    by_bytes = {
        toy.vocabulary.bytes_of(token): token for token in range(len(toy.vocabulary)) if token not in ENDS
    }
    ids = [by_bytes[bytes(entry["bytes"])] for entry in entries(choice)]
    return [*ids, ENDS[1]] if choice["finish_reason"] == "stop" else ids


def answer(toy: LanguageModel, messages: list[dict[str, str]] = HELLO, **fields: Any) -> dict[str, Any]:
    return toy.chat(messages, **fields)["choices"][0]


def said(toy: LanguageModel, messages: list[dict[str, str]] = HELLO, **fields: Any) -> str:
    return answer(toy, messages, **fields)["message"]["content"]


def greedy(toy: LanguageModel, messages: list[dict[str, str]], count: int, change: Any) -> list[int]:
    """The arg max after a change of the logits that may look at what was said, one whole pass of the model a token."""
    tokens: list[int] = []
    while len(tokens) < count and not (tokens and tokens[-1] in ENDS):
        tokens.append(int(change(forced(toy, messages, tokens)[-1], Counter(tokens)).argmax()))
    return tokens


# Penalties and bias


@pytest.mark.parametrize(("name", "once"), [("frequency_penalty", False), ("presence_penalty", True)])
@pytest.mark.parametrize("penalty", [-2.0, 0.7, 2.0])
def test_penalties(toy, name, once, penalty):
    """Greedy, without an end token: each token as the penalised logits have it, another text than without a penalty."""

    def penalised(row: Tensor, counts: Counter[int]) -> Tensor:
        row = banned(row)
        for token, count in counts.items():
            row[token] -= penalty * (1 if once else count)
        return row

    fields = {"temperature": 0, "max_tokens": 40, "logprobs": True, "logit_bias": dict.fromkeys(ENDS, -100)}
    choice = answer(toy, **{name: penalty}, **fields)
    assert sampled(toy, choice) == greedy(toy, HELLO, 40, penalised)
    assert choice["message"]["content"] != said(toy, **fields)


def banned(row: Tensor) -> Tensor:
    """Logits with the end tokens 100 lower."""
    row = row.clone()
    row[list(ENDS)] -= 100
    return row


def test_penalties_change_how_much_is_repeated(toy):
    """Of 40 tokens, the number of different ones: most where repetition costs, few where it pays."""
    fields = {"temperature": 0, "max_tokens": 40, "logprobs": True, "logit_bias": dict.fromkeys(ENDS, -100)}

    def different(**penalty: float) -> int:
        return len(set(sampled(toy, answer(toy, **penalty, **fields))))

    none = different()
    for name in ("frequency_penalty", "presence_penalty"):
        assert different(**{name: -2}) < none < different(**{name: 2})


def test_logit_bias_forces(toy):
    """The token " Ankara" in place of whatever is likeliest, every time."""
    token = toy.tokenizer.encode(" Ankara", add_special_tokens=False)[0]
    text = said(toy, seed=1, max_tokens=4, logit_bias={str(token): 100})
    assert text == toy.tokenizer.decode([token]) * 4


def test_logit_bias_bans(toy):
    """Without the first token of the greedy answer, the second most likely comes first, and so on."""
    first = forced(toy, TURKEY, [])[0].argsort(descending=True)[:3].tolist()
    for count in range(3):
        bias = {str(token): -100 for token in first[:count]}
        choice = answer(toy, TURKEY, temperature=0, max_tokens=1, logprobs=True, logit_bias=bias)
        assert sampled(toy, choice)[:1] == [first[count]]


@pytest.mark.parametrize("margin", [-0.01, 0.01])
def test_logit_bias_is_added(toy, margin):
    """The second most likely token comes first from the point where the bias is the gap between them."""
    row = forced(toy, HELLO, [])[0]
    first, second = row.argsort(descending=True)[:2].tolist()
    bias = {str(second): (row[first] - row[second]).item() + margin}
    choice = answer(toy, temperature=0, max_tokens=1, logprobs=True, logit_bias=bias)
    assert sampled(toy, choice)[:1] == [second if margin > 0 else first]


# Log probabilities


def test_logprobs(toy):
    """Null if not asked for; else those of the model's own distribution, whatever the parameters."""
    fields = {"seed": 3, "temperature": 1.7, "presence_penalty": 1.5, "top_p": 0.95, "max_tokens": 30}
    plain, listed = answer(toy, **fields), answer(toy, logprobs=True, **fields)
    assert plain["logprobs"] is None
    assert plain["message"] == listed["message"]
    tokens = sampled(toy, listed)
    expected = forced(toy, HELLO, tokens).log_softmax(-1)
    for entry, row, token in zip(entries(listed), expected, tokens, strict=False):
        rank = int((row > row[token]).sum()) + 1
        assert entry["logprob"] == (pytest.approx(row[token].item(), abs=5e-5) if rank <= 20 else -9999.0)
        assert entry["top_logprobs"] == []


@pytest.mark.parametrize("k", [1, 5, 20])
def test_top_logprobs(toy, k):
    """The k most likely, with their bytes from the tokenizer's own vocabulary."""
    choice = answer(toy, seed=3, temperature=1.5, max_tokens=30, logprobs=True, top_logprobs=k)
    rows = forced(toy, HELLO, sampled(toy, choice)).log_softmax(-1)
    for entry, row in zip(entries(choice), rows, strict=False):
        values, ids = row.topk(k)
        assert [each["logprob"] for each in entry["top_logprobs"]] == pytest.approx(values.tolist(), abs=5e-5)
        for each, token in zip(entry["top_logprobs"], ids.tolist(), strict=True):
            special = toy.tokenizer.added_tokens_decoder.get(token) is not None
            if not special:
                assert each["token"] == toy.tokenizer.decode([token])
            assert (each["bytes"] is None) == special


# How much


def test_max_tokens(toy):
    """The same answer, cut after so many tokens; at its own length the end token ends it."""
    whole = toy.chat(TURKEY, temperature=0)
    length = whole["usage"]["completion_tokens"]
    tokens = greedy(toy, TURKEY, 100, lambda row, _: row)
    assert length == len(tokens) == 8
    for most in range(1, 10):
        response = toy.chat(TURKEY, temperature=0, max_tokens=most)
        assert response["usage"]["completion_tokens"] == min(most, length)
        choice = response["choices"][0]
        assert choice["message"]["content"] == toy.tokenizer.decode(
            tokens[: min(most, length - 1)], skip_special_tokens=True
        )
        assert choice["finish_reason"] == ("stop" if most >= length else "length")


@pytest.mark.parametrize("context", [40, 77])
def test_max_tokens_left_out_is_the_rest_of_the_context(tmp_path, context):
    shorter = load(variant(tmp_path, config={"max_position_embeddings": context}))
    response = shorter.chat(HELLO, seed=1, logit_bias=dict.fromkeys(ENDS, -100))
    assert response["usage"]["total_tokens"] == context
    assert response["choices"][0]["finish_reason"] == "length"


def test_n(toy):
    """Choices of their own, as many as asked for; each is what its log probabilities say; usage counts all."""
    fields = {"seed": 5, "temperature": 1.6, "max_tokens": 20}
    response = toy.chat(FRUIT, n=5, logprobs=True, **fields)
    choices = response["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3, 4]
    assert len({choice["message"]["content"] for choice in choices}) == 5
    assert response["usage"]["completion_tokens"] == sum(len(sampled(toy, choice)) for choice in choices)
    assert response["usage"]["prompt_tokens"] == len(prompt_of(toy, FRUIT))
    for choice in choices:
        tokens = sampled(toy, choice)
        rows = forced(toy, FRUIT, tokens).log_softmax(-1)
        for entry, row, token in zip(entries(choice), rows, tokens, strict=False):
            assert entry["logprob"] in (-9999.0, pytest.approx(row[token].item(), abs=5e-5))
    assert len(toy.chat(FRUIT, **fields)["choices"]) == 1


def test_seed(toy):
    """The same seed, the same text; 12 seeds give several texts. At temperature 0 none matters."""
    fields = {"temperature": 1.5, "max_tokens": 8}
    texts = [said(toy, FRUIT, seed=seed, **fields) for seed in range(12)]
    assert [said(toy, FRUIT, seed=seed, **fields) for seed in range(12)] == texts
    assert len(set(texts)) > 6
    assert len({said(toy, FRUIT, seed=seed, temperature=0) for seed in range(5)}) == 1


def test_stop(toy):
    """The text before the first stop string, as `str.find` has it in the whole answer."""
    whole = said(toy, TURKEY, temperature=0)
    assert whole == "The capital of Turkey is Ankara."
    for stop in (["Turkey"], [" is"], ["zzz", "of", "capital"], ["."], ["T"], ["zzz"], ["kara.", "Ank"]):
        ends = {whole.find(one) + len(one): one for one in stop if one in whole}
        reason = ends[min(ends)] if ends else None
        choice = answer(toy, TURKEY, temperature=0, stop=stop)
        assert choice["message"]["content"] == (whole if reason is None else whole[: whole.find(reason)])
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", reason)


def test_stop_ends_the_sampling(toy):
    """Tokens after it are never sampled: "The", " capital" and no more."""
    usage = toy.chat(TURKEY, temperature=0, stop=["capital"])["usage"]
    assert usage["completion_tokens"] < toy.chat(TURKEY, temperature=0)["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    "fields", [{"n": 3, "logprobs": True, "top_logprobs": 4}, {"stop": ["a"], "temperature": 2}]
)
def test_stream(toy, fields):
    """A piece at a time, and in the end what the response says."""
    fields = {"seed": 8, "max_tokens": 40, **fields}
    chunks = list(toy.chat(FRUIT, stream=True, **fields))
    assert len(chunks) > 5
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert comparable(joined(chunks)) == comparable(toy.chat(FRUIT, **fields))


# Temperature and top_p

DRAWS = 1024
TEMPERATURES = [0.3, 1.0, 2.0]


def first_tokens(
    toy: LanguageModel, messages: list[dict[str, str]], *, seed: int = 11, **fields: Any
) -> Tensor:
    """How often each token came first in 1024 choices of one request, control tokens banned."""
    fields["logit_bias"] = dict.fromkeys(SPECIAL, -100)
    choices = toy.chat(messages, n=DRAWS, max_tokens=1, logprobs=True, seed=seed, **fields)["choices"]
    ids = [sampled(toy, choice)[0] for choice in choices]
    return torch.bincount(torch.tensor(ids), minlength=toy.model.config.vocab_size)


def first_logits(toy: LanguageModel, messages: list[dict[str, str]]) -> Tensor:
    """The logits that these are drawn from, float64 [V]."""
    row = forced(toy, messages, [])[0]
    row[list(SPECIAL)] -= 100
    return row


def softened(row: Tensor, temperature: float) -> Tensor:
    return (row / temperature).softmax(-1)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_temperature(toy, temperature):
    """A chi-square test of 1024 first tokens against softmax(l / T).

    A correct sampler fails it with the probability 10^-6. The last lines show that these draws, taken for those of
    another of the temperatures, fail it.
    """
    row, counts = first_logits(toy, HELLO), first_tokens(toy, HELLO, temperature=temperature)
    assert chi_square(counts.numpy(), softened(row, temperature).numpy()).passed
    for other in TEMPERATURES:
        if other != temperature:
            assert not chi_square(counts.numpy(), softened(row, other).numpy()).passed


def test_temperature_raises_the_entropy_of_answers(toy):
    """Of 4096 answers of one token to "x": none at temperature 0, and then that of softmax(l / T).

    The empirical entropy of N draws is off its mean by d with a probability of at most 2 exp(-N d^2 / (2 ln(N)^2)), and its
    mean is below the entropy by at most ln(1 + (V - 1) / N) (Antos and Kontoyiannis, 2001; Paninski, 2003). With d = 0.9
    that is a false alarm at most once in 10^9, and the three ranges are apart: each notices that another one is served.
    """
    message, n, d = [{"role": "user", "content": "x"}], 4 * DRAWS, 0.9
    row, highest = first_logits(toy, message), -math.inf
    assert entropy(first_tokens(toy, message, temperature=0) / DRAWS) == 0
    for temperature in TEMPERATURES:
        exact = entropy(softened(row, temperature))
        counts = sum(first_tokens(toy, message, temperature=temperature, seed=seed) for seed in range(4))
        low, high = exact - d - math.log(1 + (len(row) - 1) / n), exact + d
        assert low <= entropy(counts / n) <= high
        assert low > highest
        highest = high


def entropy(probabilities: Tensor) -> float:
    """In nats."""
    return float(torch.special.entr(probabilities.double()).sum())


def test_temperature_0_is_the_arg_max(toy):
    tokens = greedy(toy, FRUIT, 40, lambda row, _: row)
    choice = answer(toy, FRUIT, temperature=0, max_tokens=40, logprobs=True)
    assert sampled(toy, choice) == tokens


@pytest.mark.parametrize("p", [0.0, 0.3, 0.8])
def test_top_p(toy, p):
    """Only the shortest prefix of the probabilities that holds p, renormalised: 1024 first tokens by a chi-square test.

    A correct sampler fails it with the probability 10^-6. A token outside the prefix fails it for certain.
    """
    row = softened(first_logits(toy, HELLO), 1.5)
    ids = row.argsort(descending=True, stable=True)
    size = max(1, int((row[ids].cumsum(0) < p).sum()) + 1)
    kept = torch.zeros_like(row)
    kept[ids[:size]] = row[ids[:size]]
    counts = first_tokens(toy, HELLO, temperature=1.5, top_p=p)
    assert counts[kept == 0].sum() == 0
    if size > 1:
        inside = kept > 0
        assert chi_square(counts[inside].numpy(), (kept / kept.sum())[inside].numpy()).passed
        assert (counts[inside] > 0).sum() > 1


def test_top_p_1_keeps_all(toy):
    """Of 1024 draws at temperature 2, some are outside the leading 95%: by chance none would be 0.95^1024 of the time."""
    row = softened(first_logits(toy, HELLO), 2)
    ids = row.argsort(descending=True)
    tail = ids[row[ids].cumsum(0) > 0.95]
    assert first_tokens(toy, HELLO, temperature=2, top_p=1)[tail].sum() > 0


# Who and what


def test_model(toy):
    """What the response is called; by default the checkpoint's name."""
    assert toy.chat(HELLO, max_tokens=1)["model"] == "sampling-toy"
    name = "meta-llama/Meta-Llama-3-8B-Instruct"
    assert toy.chat(HELLO, max_tokens=1, model=name)["model"] == name
    assert {chunk["model"] for chunk in toy.chat(HELLO, max_tokens=2, model=name, stream=True)} == {name}


SYSTEM = {"role": "system", "content": "You are a toy."}
TALK = [*TURKEY, {"role": "assistant", "content": "The capital of Turkey is Ankara."}, *FRUIT]


@pytest.mark.parametrize("messages", [HELLO, TURKEY, [SYSTEM, *HELLO], TALK, [SYSTEM, *TALK]])
def test_messages(toy, messages):
    """All of them reach the model: the first distribution is that of the template's rendering of the whole conversation."""
    response = toy.chat(messages, max_tokens=1, temperature=0, logprobs=True, top_logprobs=20)
    assert response["usage"]["prompt_tokens"] == len(prompt_of(toy, messages))
    expected = forced(toy, messages, [])[0].log_softmax(-1).topk(20).values
    (entry,) = entries(response["choices"][0])
    assert [each["logprob"] for each in entry["top_logprobs"]] == pytest.approx(expected.tolist(), abs=5e-5)


def test_messages_of_another_role_or_order_are_another_prompt(toy):
    """The likeliest 20 tokens' log probabilities: different for each of these conversations."""
    conversations = [
        HELLO,
        [SYSTEM, *HELLO],
        [{**SYSTEM, "role": "user"}, *HELLO],
        [*HELLO, SYSTEM],
        TALK,
        TALK[2:],
    ]
    fields = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
    seen = {json.dumps(entries(answer(toy, one, **fields))) for one in conversations}
    assert len(seen) == len(conversations)


def test_name_in_a_message(toy):
    """It reaches the chat template: Llama-3's leaves it out, one that shows it has the model see it."""
    named = [{"role": "user", "content": "Hi", "name": "Ada"}]
    fields = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 5}
    plain = entries(answer(toy, HELLO, **fields))
    assert entries(answer(toy, named, **fields)) == plain
    shows = load(None)
    shows.tokenizer.chat_template = re.sub(
        r"message\['content'\]",
        "(message.name | default('')) + message['content']",
        shows.tokenizer.chat_template,
    )
    assert entries(answer(shows, HELLO, **fields)) == plain
    assert entries(answer(shows, named, **fields)) == entries(
        answer(toy, [{"role": "user", "content": "AdaHi"}], **fields)
    )


def test_messages_errors(toy):
    with pytest.raises(
        InvalidRequest, match=r"messages\[1\]\.role: got 'tool', must be one of system, user, assistant"
    ):
        toy.chat([*HELLO, {"role": "tool", "content": ""}])
