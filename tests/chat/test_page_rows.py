"""The page's last table, "What the page leaves open, and what we decide", row by row; JSON mode is in test_json_mode.py.

Each test has the name of its row. Models follow a script of logits, and what they should say is computed by hand or by the
oracle, which shares no code with the library.
"""

from __future__ import annotations

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import oracle
import pytest
import torch
from chatting import CHATTING
from pages import (
    ASK,
    END,
    PROCESSED,
    PROMPT_TOKENS,
    TEMPERED,
    WIDTH,
    answer,
    comparable,
    content,
    distribution,
    entries,
    joined,
    letters,
    log_softmax,
    numbers,
    token_of,
)
from scripted import saying
from server.live import Live, eventually, live

from sampling import Sampler, SamplingParams, dialect
from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.language_model import LanguageModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest, RowError
from sampling.server import ServerOptions

LOG2 = math.log(2)
TINY = 2.0**-24  # half a unit in the last place of 1, a whole one of numbers from 0.5 to 1
EVEN = dict.fromkeys("ABCDEFGH", 0.0)


def drawn(logits: dict[str, float], seed: int, count: int, choice: int = 0) -> str:
    """What the oracle draws from these logits at the first positions of a choice."""
    row = [-math.inf] * WIDTH
    for character, value in logits.items():
        row[token_of(character)] = value
    return "".join(chr(oracle.draw(row, seed, position, choice)) for position in range(count))


def close(logprobs: dict[str, float]) -> Any:
    """Equal as far as a float32 goes."""
    return pytest.approx(logprobs, abs=2e-6)


def completion(model: LanguageModel, **fields: Any) -> Completion:
    return Completion(prepare(model, ChatRequest.parse({"messages": ASK, **fields}), dialect("qstash")))


def test_row_defaults():
    """One choice, drawn from the model's own logits up to the end of the context; the seed is a fresh one."""
    logits, room = {"A": 1.0, "B": 0.0, "C": -1.5}, 40
    response = letters(logits, context=PROMPT_TOKENS + room).chat(ASK)
    (choice,) = response["choices"]
    assert choice["message"]["content"] == drawn(logits, response["seed"], room)
    assert (choice["finish_reason"], choice["stop_reason"], choice["logprobs"]) == ("length", None, None)
    assert response["usage"]["completion_tokens"] == room


SWAPS = [
    # B is sampled first. Then 1 + 2^-24 rounds to 1, less 0.5 is A's 0.5; the other way round it is 0.5 + 2^-24.
    ("logit_bias", "frequency_penalty", (0.5, 1.0), {"logit_bias": {"66": TINY}, "frequency_penalty": 0.5}),
    # 1 less 1 x -2^-24 rounds to 1, less 0.5 is A's 0.5; the other way round it is 0.5 + 2^-24.
    (
        "frequency_penalty",
        "presence_penalty",
        (0.5, 1.0),
        {"frequency_penalty": -TINY, "presence_penalty": 0.5},
    ),
    # 1.5 - 2 is below A's 0; the other way round only B is left to be penalised.
    ("presence_penalty", "temperature", (0.0, 1.5), {"presence_penalty": 2}),
]


@pytest.mark.parametrize(("first", "second", "then", "fields"), SWAPS)
def test_row_order_of_two_stages(first, second, then, fields):
    """At temperature 0, ties to the lower id: A in the page's order, B when the two change places."""
    model = letters({"B": 0.0}, dict(zip("AB", then, strict=True)))
    assert content(model, temperature=0, max_tokens=2, **fields) == "BA"
    names = {first: second, second: first}
    swapped = replace(PROCESSED, order=tuple(names.get(name, name) for name in PROCESSED.stages))
    assert content(model, dialect=swapped, temperature=0, max_tokens=2, **fields) == "BB"


def test_row_order_temperature_before_top_p():
    """3 2 1 at T = 0.5 is 6 4 2, of which the first holds 0.867 > 0.8; at T = 1 it holds 0.665."""
    model, fields = letters({"A": 3.0, "B": 2.0, "C": 1.0}), {"temperature": 0.5, "top_p": 0.8}
    assert set(distribution(model, **fields)) == {"A"}
    late = replace(PROCESSED, order=("top_p", "temperature"))
    assert set(distribution(model, late, **fields)) == {"A", "B"}


def test_row_order_all_stages_at_once():
    """B was sampled once: A 1 + 0.5, B 2 - 0.25 - 0.5, C 0.25, D -1; doubled; A and B hold 0.948 >= 0.9."""
    model = letters({"B": 0.0}, {"A": 1.0, "B": 2.0, "C": 0.25, "D": -1.0})
    got = distribution(
        model,
        position=1,
        logit_bias={"65": 0.5},
        frequency_penalty=0.25,
        presence_penalty=0.5,
        temperature=0.5,
        top_p=0.9,
    )
    assert got == close(log_softmax({"A": 3.0, "B": 2.5}))


def test_row_penalties_count_the_sampled_tokens_only():
    """The prompt's "?" costs nothing; once sampled it costs 2 + 2."""
    model = letters({"?": 1.0}, {"?": 5.0, "A": 0.0})
    fields = {"frequency_penalty": 2, "presence_penalty": 2}
    assert distribution(letters({"?": 1.0, "A": 0.0}), **fields) == close(log_softmax({"?": 1.0, "A": 0.0}))
    assert distribution(model, position=1, **fields) == close(log_softmax({"?": 1.0, "A": 0.0}))


def test_row_penalties_count_per_choice():
    """Choice 0 begins with one of A, B and choice 1 with the other; each pays for its own."""
    even = {"A": 0.0, "B": 0.0}
    seed = next(
        seed for seed in range(99) if drawn(even, seed, 1, 0) == "A" and drawn(even, seed, 1, 1) == "B"
    )
    for choice, after in enumerate(({"A": -2.0, "B": 0.0}, {"A": 0.0, "B": -2.0})):
        got = distribution(
            letters(even), position=1, choice=choice, n=2, seed=seed, presence_penalty=2, top_p=1
        )
        assert got == close(log_softmax(after))


def test_row_penalties_count_the_whole_length():
    """A, then 150 times B: A still pays its presence of 2, so C's 0 beats A's 1 - 2; B pays 2 + 150 x 2."""
    model = letters({"A": 0.0}, *[{"B": 0.0}] * 150, {"A": 1.0, "B": 300.0, "C": 0.0})
    said = content(model, temperature=0, presence_penalty=2, frequency_penalty=0, max_tokens=151)
    assert said == "A" + "B" * 150
    row = distribution(model, position=151, presence_penalty=2, frequency_penalty=2)
    assert row == close(log_softmax({"A": 1.0 - 4, "B": 300.0 - 302, "C": 0.0}))


def test_row_penalties_count_the_end_token_too():
    """Nothing follows the end token in a chat; whoever samples on finds it counted like any other."""
    row = torch.full((1, WIDTH), -math.inf)
    row[0, [65, token_of(END)]] = torch.tensor([-60.0, 0.0])
    sampler = Sampler([SamplingParams(seed=1, temperature=0, presence_penalty=2)], vocab_size=WIDTH)
    assert sampler.step(row).token_ids.tolist() == [token_of(END)]
    row[0, 65] = -1.0
    assert sampler.step(row).token_ids.tolist() == [65]


RANGES = [
    ("max_tokens", 0, "an integer from 1"),
    ("n", 0, "an integer from 1"),
    ("stop", ["a", ""], "strings of 1 to"),
    ("top_p", -0.001, "a number from 0 to 1"),
    ("top_p", 1.001, "a number from 0 to 1"),
    ("logit_bias", {str(WIDTH): 1}, f"token ids below {WIDTH}"),
    ("logit_bias", {"-1": 1}, "integers of at least 0"),
    *[(name, True, "a number from") for name in ("temperature", "top_p", "presence_penalty")],
    *[(name, True, "an integer from") for name in ("max_tokens", "n", "seed")],
    ("logit_bias", {"1": True}, "a number from -100 to 100"),
]


@pytest.mark.parametrize(("name", "value", "words"), RANGES)
def test_row_ranges_not_on_the_page(name, value, words):
    with pytest.raises(InvalidRequest, match=f"{name}.*must be .*{words}"):
        saying(["a"]).chat(ASK, **{name: value})


def test_row_ranges_not_on_the_page_ends_are_allowed():
    model = letters({"A": 0.0, "B": -1.0})
    for top_p in (0, 1):
        bias = {"0": 1, str(WIDTH - 1): 1}
        response = model.chat(ASK, max_tokens=1, n=1, top_p=top_p, stop=["x"], logit_bias=bias)
        assert response["usage"]["completion_tokens"] == 1


def test_row_temperature_0():
    """B's 1 + 2 beats C's 2; then B has paid 2 and C wins; A and B, both at 1, tie: the lower id."""
    steps = {"A": 0.0, "B": 1.0, "C": 2.0}, {"A": 0.0, "B": 1.0, "C": 2.0}, {"A": 1.0, "B": 1.0, "C": -9.0}
    fields = {"logit_bias": {"66": 2}, "presence_penalty": 2, "temperature": 0, "max_tokens": 3}
    assert content(letters(*steps), **fields) == "BCA"
    assert distribution(letters(EVEN), temperature=0) == {"A": 0.0}


@pytest.mark.parametrize("t", [1e-3, 1e-30, 1e-45, 5e-324])
def test_row_small_temperatures(t):
    """The arg max, as at temperature 0, without an overflow; only exact ties are drawn."""
    extreme = {"A": -3e38, "B": 3e38, "C": 2.9e38}
    assert distribution(letters(extreme), temperature=t) == {"B": 0.0}
    tied = distribution(letters({"A": 1.0, "B": 1.0, "C": 0.0}), temperature=t)
    assert tied.pop("C", -1000.0) <= -1000
    assert tied == close({"A": -LOG2, "B": -LOG2})


@pytest.mark.parametrize("t", [1e-3, 1e-9, 1e-30])
def test_row_small_temperatures_are_not_clamped(t):
    """Logits a temperature apart are e times as likely, as at any temperature."""
    got = distribution(letters({"A": 0.0, "B": -t}), temperature=t)
    assert got == close(log_softmax({"A": 0.0, "B": -1.0}))


THREE = {"A": 1.0, "B": 3.0, "C": 2.0}  # 0.090, 0.665, 0.245


@pytest.mark.parametrize(
    ("logits", "p", "kept"),
    [
        (THREE, 0.6, "B"),
        (THREE, 0.7, "BC"),  # C crosses and stays
        (THREE, 0.95, "ABC"),
        (dict.fromkeys("ABCDEFGHIJ", 0.0), 0.9, "ABCDEFGHI"),  # nine tenths are an exact hit
        (EVEN, 0.75, "ABCDEF"),
        (EVEN, 0, "A"),
        ({"A": 0.0, "B": -29.0}, 1, "AB"),
        ({"A": 0.0, "B": -29.0}, 0.9999999, "A"),
    ],
)
def test_row_top_p(logits, p, kept):
    left = distribution(letters(logits), top_p=p)
    assert set(left) == set(kept)
    assert left == close(log_softmax({token: logits[token] for token in kept}))


def test_row_ties_at_the_boundary():
    """All 256 bytes alike, a higher one in front: of the ties the lowest ids are kept, in whatever size of vocabulary."""
    model = numbers({**dict.fromkeys(range(256), 0.0), 200: LOG2})  # masses 2 and 255 ones
    share = 65 / 257  # 2 + 63 ones: ids 0 to 62
    said = [entries(choice)[0]["bytes"] for choice in several(model, 400, top_p=share)]
    assert {tuple(each) for each in said} <= {(token,) for token in (*range(63), 200)}
    last = numbers(dict.fromkeys(reversed(range(256)), 0.0))
    assert {tuple(entries(c)[0]["bytes"]) for c in several(last, 100, top_p=2 / 256)} == {(0,), (1,)}


def several(model: LanguageModel, n: int, **fields: Any) -> list[dict[str, Any]]:
    """The choices of one request, of one token each."""
    return model.chat(ASK, n=n, seed=5, max_tokens=1, logprobs=True, **fields)["choices"]


def test_row_logit_bias_is_added_and_nothing_else():
    """100 does not force, -100 does not ban; the sum is a float32: 2^24 + 1 is 2^24."""
    assert distribution(letters({"A": -150.0, "B": -49.0}), logit_bias={"65": 100}) == close(
        log_softmax({"A": -50.0, "B": -49.0})
    )
    assert distribution(letters({"A": 101.0, "B": 0.0}), logit_bias={"65": -100}) == close(
        log_softmax({"A": 1.0, "B": 0.0})
    )
    large = letters({"A": 2.0**24, "B": 2.0**24})
    assert distribution(large, logit_bias={"66": 1}) == close({"A": -LOG2, "B": -LOG2})


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        ({"258": 1}, "logit_bias: got 258, must be token ids below 258"),
        ({"65": 100.5}, r"logit_bias\[65\]: got 100.5, must be a number from -100 to 100"),
        ({"65": -101}, r"logit_bias\[65\]: got -101, must be a number from -100 to 100"),
    ],
)
def test_row_logit_bias_errors(bias, message):
    with pytest.raises(InvalidRequest, match=message):
        letters(EVEN).chat(ASK, logit_bias=bias)


def test_row_logprobs_modes():
    """B was sampled once. Raw; with bias, penalty and temperature; and of what top_p leaves."""
    model = letters({"B": 0.0}, {"A": 1.0, "B": 1.5, "C": 0.0})
    fields = {"logit_bias": {"67": 1}, "presence_penalty": 1, "temperature": 0.5, "top_p": 0.85}
    raw = log_softmax({"A": 1.0, "B": 1.5, "C": 0.0})
    tempered = log_softmax({"A": 2.0, "B": 1.0, "C": 2.0})  # 0.422, 0.155, 0.422
    assert distribution(model, dialect("qstash"), position=1, **fields) == close(raw)
    assert distribution(model, TEMPERED, position=1, **fields) == close(tempered)
    assert distribution(model, PROCESSED, position=1, **{**fields, "top_p": 0.8}) == close(
        {"A": -LOG2, "C": -LOG2}
    )


@pytest.mark.parametrize(("mode", "listed"), [("raw", False), ("processed", True)])
def test_row_the_top_20_rule(mode, listed):
    """30 equal logits: token 19 has rank 20 and token 20 rank 21, but after a bias rank 1."""
    how, model = replace(dialect("qstash"), logprob_mode=mode), numbers(dict.fromkeys(range(30), 0.0))
    for token, bias in ((19, 100), (20, 100)):
        fields = {"logprobs": True, "logit_bias": {str(token): bias}, "max_tokens": 1, "temperature": 1}
        (entry,) = entries(answer(model, dialect=how, seed=1, **fields))
        seen = -9999.0 if token == 20 and not listed else (0.0 if listed else -math.log(30))
        assert entry["bytes"] == [token]
        assert entry["logprob"] == pytest.approx(seen, abs=2e-6)


def test_row_top_logprobs_order():
    """Descending, ties by id, and the sampled token, D, only if it belongs."""
    model = letters({"D": -3.0, "C": 0.0, "B": 1.0, "A": 0.0, "E": 1.0})
    fields = {"logprobs": True, "temperature": 0, "logit_bias": {"68": 100}, "max_tokens": 1}
    (entry,) = entries(answer(model, top_logprobs=4, **fields))
    assert (entry["token"], [each["token"] for each in entry["top_logprobs"]]) == ("D", ["B", "E", "A", "C"])
    (entry,) = entries(answer(model, top_logprobs=5, **fields))
    assert [each["token"] for each in entry["top_logprobs"]] == ["B", "E", "A", "C", "D"]


@pytest.mark.parametrize("fields", [{}, {"top_logprobs": 0}])
def test_row_top_logprobs_0_or_left_out(fields):
    (entry,) = entries(answer(letters({"A": 0.0, "B": 0.0}), logprobs=True, seed=1, max_tokens=1, **fields))
    assert entry["top_logprobs"] == []
    assert entry["logprob"] == pytest.approx(-LOG2, abs=2e-6)


@pytest.mark.parametrize("stream", [False, True])
def test_row_end_token(stream):
    """It ends the choice and counts, and that is all."""
    response = letters({"A": 0.0}, {END: 0.0}).chat(ASK, stream=stream, logprobs=True, top_logprobs=1)
    response = joined(response) if stream else response
    (choice,) = response["choices"]
    assert (choice["message"]["content"], choice["finish_reason"], choice["stop_reason"]) == (
        "A",
        "stop",
        None,
    )
    assert [entry["token"] for entry in entries(choice)] == ["A"]
    assert response["usage"] == {"prompt_tokens": 18, "completion_tokens": 2, "total_tokens": 20}


def test_row_token():
    """Each by itself: what is no UTF-8 alone is the replacement character, and its bytes are still true."""
    choice = answer(saying(["né", "é".encode(), b"\xff"]), temperature=0, logprobs=True)
    assert [entry["token"] for entry in entries(choice)] == ["né", "\ufffd", "\ufffd", "\ufffd"]
    assert [entry["bytes"] for entry in entries(choice)] == [[110, 0xC3, 0xA9], [0xC3], [0xA9], [0xFF]]


def test_row_bytes():
    """Joined they are the message, whose text no token spells alone; before a stop string cuts it, that is."""
    text = "añ🙂 日本."
    whole = answer(saying(["a", "ñ🙂".encode(), " ", "日本".encode(), "."]), temperature=0, logprobs=True)
    assert whole["message"]["content"] == text
    assert bytes(byte for entry in entries(whole) for byte in entry["bytes"]) == text.encode()
    cut = answer(saying(["ab", "cde"]), temperature=0, logprobs=True, stop=["d"])
    assert cut["message"]["content"] == "abc"
    assert bytes(byte for entry in entries(cut) for byte in entry["bytes"]) == b"abcde"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "said", "reason"),
    [
        (["cde", "bc"], "xa", "bc"),  # completes first, though second in the list
        (["bc", "abc"], "xa", "bc"),  # both complete with the c: list order
        (["abc", "bc"], "x", "abc"),
        (["abd", "f"], "xabcde", "f"),
        (["xabcdefg"], "xabcdef", None),
    ],
)
def test_row_stop_strings(stream, stop, said, reason):
    response = saying(["xa", "bcd", "e", "f"]).chat(ASK, temperature=0, stop=stop, stream=stream)
    (choice,) = (joined(response) if stream else response)["choices"]
    assert (choice["message"]["content"], choice["stop_reason"]) == (said, reason)


def test_row_stop_strings_stream_holds_back_what_may_still_match():
    chunks = saying(["xa", "b", "c", "ab", "d"]).chat(ASK, temperature=0, stop=["abd"], stream=True)
    assert pieces(chunks) == ["x", "abc", ""]


def pieces(chunks: Any) -> list[str]:
    """The content of the chunks after the first."""
    parts = [part for chunk in chunks for part in chunk["choices"]]
    return [part["delta"]["content"] for part in parts if "content" in part["delta"]]


def test_row_partial_characters_in_a_stream():
    whole = saying(["a", "🙂".encode(), "b"]).chat(ASK, temperature=0, stream=True)
    assert pieces(whole) == ["a", "🙂", "b", ""]
    cut = saying(["a", "🙂".encode()[:3]]).chat(ASK, temperature=0, stream=True)
    assert pieces(cut) == ["a", "\ufffd", ""]


def test_row_seed_left_out():
    """The response says which it took, and with it replays; so does a stream."""
    model = letters(EVEN)
    first = model.chat(ASK, max_tokens=30)
    assert first["choices"][0]["message"]["content"] == drawn(EVEN, first["seed"], 30)
    assert model.chat(ASK, max_tokens=30, seed=first["seed"])["choices"] == first["choices"]
    streamed = joined(model.chat(ASK, max_tokens=30, stream=True))
    assert streamed["choices"][0]["message"]["content"] == drawn(EVEN, streamed["seed"], 30)
    seeds = [model.chat(ASK, max_tokens=1)["seed"] for _ in range(64)]
    assert len(set(seeds)) == 64
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) >= 2**63  # by chance, all of 64 are lower once in 2^64


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 7, 2**63, 2**64 - 1])
def test_row_seed_given(seed):
    """Choice i has the key (seed, i): the oracle's draws, for any n."""
    response = letters(EVEN).chat(ASK, seed=seed, n=3, max_tokens=20)
    said = [choice["message"]["content"] for choice in response["choices"]]
    assert said == [drawn(EVEN, seed, 20, choice) for choice in range(3)]
    assert len(set(said)) == 3
    assert content(letters(EVEN), seed=seed, max_tokens=20) == said[0]


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64, 0.5, "1"])
def test_row_seed_given_errors(seed):
    with pytest.raises(InvalidRequest, match=r"seed: got .*must be an integer from -9223372036854775808 to"):
        letters(EVEN).chat(ASK, seed=seed)


@pytest.mark.parametrize("threads", [1, 2])
def test_row_determinism(threads):
    """Alone, and in the third row of a batch that changes: the oracle's draws. Devices, compiled: tests/kernels."""
    before, expected = torch.get_num_threads(), drawn(EVEN, 3, 25)
    torch.set_num_threads(threads)
    try:
        model = letters(EVEN)
        assert content(model, seed=3, max_tokens=25) == expected
        batch = ChatBatch(model, dialect("qstash"), rows=6, capacity=100)
        batch.add(completion(model, n=2, seed=8, max_tokens=9, top_p=0.3, presence_penalty=1))
        batch.add(one := completion(model, seed=3, max_tokens=25))
        batch.prefill()
        batch.step()
        batch.add(completion(model, n=3, seed=3, max_tokens=5, logit_bias={"65": 3}, temperature=0))
        list(batch.run())
        assert one.response()["choices"][0]["message"]["content"] == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temprature", 1, "temprature: got 1, must be left out: there is no such field"),
        ("temperature", "1", "temperature: got '1', must be a number from 0 to 2"),
        ("temperature", 2.01, "temperature: got 2.01, must be a number from 0 to 2"),
        ("top_p", math.nan, "top_p: got nan, must be a number from 0 to 1"),
        ("frequency_penalty", -math.inf, "frequency_penalty: got -inf, must be a number from -2 to 2"),
        ("presence_penalty", -2.5, "presence_penalty: got -2.5, must be a number from -2 to 2"),
        ("top_logprobs", 21, "top_logprobs: got 21, must be an integer from 0 to 20"),
        ("logprobs", 1, "logprobs: got 1, must be true or false"),
    ],
)
def test_row_unknown_field_wrong_type_out_of_range_nan(name, value, message):
    """The field, the value and the range in Python's exception and in HTTP's 400 alike."""
    with pytest.raises(InvalidRequest, match=rf"^{message}(; or serve with --dialect [^;]+)?$") as refused:
        letters(EVEN).chat(ASK, **{name: value})
    assert refused.value.param == name


def test_row_null_counts_as_left_out():
    """For unknown fields, too."""
    asked = letters(EVEN).chat(ASK, seed=1, max_tokens=3)
    null = dict.fromkeys(("stop", "temperature", "n", "tools", "nobody_knows_this"))
    assert comparable(letters(EVEN).chat(ASK, seed=1, max_tokens=3, **null)) == comparable(asked)


@pytest.mark.parametrize("how", CHATTING)
def test_row_what_every_client_sends(how):
    """One stop string, text parts and stream_options in each; what only openai has to take is told; tools are refused."""
    parts = [{"role": "user", "content": [{"type": "text", "text": ASK[0]["content"]}]}]
    fields = {"dialect": how, "top_p": 0.9, "seed": 1, "max_tokens": 5}
    plain = letters(EVEN).chat(ASK, **fields, stop=["B"])
    assert comparable(letters(EVEN).chat(parts, **fields, stop="B")) == comparable(plain)
    *_, last = letters(EVEN).chat(
        ASK, **fields, stop="B", stream=True, stream_options={"include_usage": True}
    )
    assert last["usage"] == plain["usage"]
    with pytest.raises(InvalidRequest, match=r"^tools: got .* tools are not offered$"):
        letters(EVEN).chat(ASK, **fields, tools=[{"type": "function"}])


SENT = [
    {"max_completion_tokens": 5},
    {"user": "me"},
    {"store": True},
    {"metadata": {"a": "b"}},
    {"messages": [{"role": "developer", "content": "x"}, *ASK]},
    {"messages": [*ASK, {"role": "assistant", "content": None}, *ASK]},
]


@pytest.mark.parametrize("sent", SENT, ids=[str(index) for index in range(len(SENT))])
def test_row_what_every_client_sends_in_openai(sent):
    asked = {"messages": ASK, "max_tokens": 5, **sent}
    assert letters(EVEN).chat(**asked, dialect="openai")["usage"]["completion_tokens"] == 5
    with pytest.raises(InvalidRequest, match="or serve with --dialect openai"):
        letters(EVEN).chat(**asked)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (letters({"A": 0.0, "B": math.nan}), r"choice 0: NaN or \+infinity in the logits after the model"),
        (letters({"A": 0.0, "B": math.inf}), r"choice 0: NaN or \+infinity in the logits after the model"),
        (letters({}), "choice 0: nothing left to sample after the model"),
        (letters({}, padding=[0.0]), "choice 0: nothing left to sample after tokenizer_vocab_size"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_row_nan_or_nothing_left(model, message, stream):
    with pytest.raises(RowError, match=message):
        list(model.chat(ASK, stream=stream, max_tokens=2))


def test_row_nan_or_nothing_left_other_rows_go_on(monkeypatch):
    """NaN in row 1, from the second step on, of three."""
    model = letters(EVEN)
    forward = model.model.next_logits

    def broken(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        logits = forward(tokens, *rest)
        logits[1:2] = math.nan  # the prefill has one row only
        return logits

    monkeypatch.setattr(model.model, "next_logits", broken)
    batch = ChatBatch(model, dialect("qstash"), rows=3, capacity=100)
    three = [completion(model, seed=seed, max_tokens=9) for seed in range(3)]
    for one in three:
        batch.add(one)
    batch.prefill()
    while batch.running:
        batch.step()
    assert [one.error is None for one in three] == [True, False, True]
    for seed in (0, 2):
        assert three[seed].response()["choices"][0]["message"]["content"] == drawn(EVEN, seed, 9)


def test_row_content_length():
    """No room for a token is an error; otherwise the end of the context ends the message, whatever max_tokens says."""
    with pytest.raises(InvalidRequest, match=r"messages: got 'a prompt of 18 tokens'.* context of 18 tokens"):
        letters(EVEN, context=PROMPT_TOKENS).chat(ASK, max_tokens=1)
    for context, said in ((PROMPT_TOKENS + 1, "A"), (PROMPT_TOKENS + 3, "AAA")):
        choice = answer(letters({"A": 0.0}, context=context), max_tokens=1000)
        assert (choice["message"]["content"], choice["finish_reason"]) == (said, "length")


@pytest.mark.parametrize("how", CHATTING)
def test_row_text_that_looks_like_a_control_token(how):
    """A message of "<eos>" in place of "?" is five bytes, or one control token in dialects that say so."""
    model, message = letters({"A": 0.0}), [{"role": "user", "content": END}]
    tokens = model.chat(message, dialect=how, max_tokens=1)["usage"]["prompt_tokens"]
    assert tokens == (PROMPT_TOKENS if dialect(how).parse_control_tokens else PROMPT_TOKENS + 4)
    assert dialect(how).parse_control_tokens == (how not in ("qstash", "openai"))


def test_row_ids_past_the_tokenizer():
    """Padding at 50 is never sampled, not with a bias of 100 either; raw log probabilities are the model's own."""
    model = letters({"A": 1.0, "B": 0.0}, padding=[50.0, 50.0])
    choices = several(model, 64, logit_bias={str(WIDTH): 100})
    assert {choice["message"]["content"] for choice in choices} == {"A", "B"}
    for choice in choices:
        gap = 49 if choice["message"]["content"] == "A" else 50
        assert entries(choice)[0]["logprob"] == pytest.approx(-gap - LOG2, abs=1e-5)


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize("stream", [False, True])
def test_row_logprobs_that_are_minus_infinity(how, stream):
    fields = {"logprobs": True, "top_logprobs": 3, "max_tokens": 1, "stream": stream}
    response = letters({"A": 0.0, "B": 0.0}).chat(ASK, dialect=how, **fields)
    response = joined(response) if stream else response
    (entry,) = entries(response["choices"][0])
    assert [each["logprob"] for each in entry["top_logprobs"][:2]] == pytest.approx([-LOG2] * 2, abs=2e-6)
    assert [each["logprob"] for each in entry["top_logprobs"][2:]] == [-9999.0]
    json.dumps(response, allow_nan=False)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "said", "listed"),
    [
        (["END"], "one ", ["one", " E"]),  # a byte of " E" is content; "ND" is cut whole
        ([" END"], "one", ["one"]),
        (["x"], "one END", ["one", " E", "ND", "\ufffd", "\ufffd"]),
        (["é"], "one END", ["one", " E", "ND"]),
        (["one"], "", []),
    ],
)
def test_row_logprob_entries_and_stop_strings(stream, stop, said, listed):
    model = saying(["one", " E", "ND", "é".encode()])
    response = model.chat(ASK, temperature=0, logprobs=True, stop=stop, stream=stream)
    (choice,) = (joined(response) if stream else response)["choices"]
    assert choice["message"]["content"].rstrip("é") == said
    assert [entry["token"] for entry in (choice["logprobs"] or {"content": []})["content"]] == listed


def refusal(server: Live, **fields: Any) -> tuple[int, str, str | None]:
    """The status of an error, and what its body says of its kind and of the field."""
    reply = server.chat(messages=ASK, **fields)
    return reply.status, reply.error["type"], reply.error["param"]


def test_row_errors_400_401_404():
    with live(letters(EVEN), ServerOptions()) as server:
        assert refusal(server, temperature=3) == (400, "invalid_request_error", "temperature")
        assert refusal(server, stop=[""]) == (400, "invalid_request_error", "stop")
        assert refusal(server, model="another") == (404, "not_found_error", "model")
    with live(letters(EVEN), ServerOptions(api_key="key")) as server:
        assert refusal(server) == (401, "authentication_error", None)


def test_row_errors_429_500(monkeypatch):
    """One request is held up before its first step and another finds no room; the first fails, by the model's NaN."""
    held, step = threading.Event(), ChatBatch.step
    monkeypatch.setattr(ChatBatch, "step", lambda batch: step(batch) if held.wait(60) else None)
    model = letters({"A": 0.0}, {"A": math.nan})
    with live(model, ServerOptions(max_batch=1, max_queue=0)) as server, ThreadPoolExecutor() as pool:
        try:
            first = pool.submit(refusal, server, max_tokens=2)
            assert eventually(lambda: server.metric("sampling_rows_running") == 1)
            assert refusal(server, max_tokens=1) == (429, "rate_limit_error", None)
        finally:
            held.set()
        assert first.result() == (500, "server_error", None)


def test_joined_chunks_are_the_response():
    """What the tests above take for granted of `joined`."""
    model, fields = letters({**EVEN, END: -1.0}), {"seed": 6, "n": 3, "logprobs": True, "top_logprobs": 2}
    streamed = joined(model.chat(ASK, stream=True, **fields))
    assert comparable(streamed) == comparable(model.chat(ASK, **fields))
