"""What dialects say of a completion, end to end: the published example with the real vocabulary, and each quirk by hand."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace
from typing import Any

import oracle
import pytest
import torch
from chatting import CHATTING
from llama3_tokenizer import BOS, EOT, llama3_encoding
from pages import (
    ASK,
    END,
    PROMPT_TOKENS,
    WIDTH,
    answer,
    comparable,
    entries,
    joined,
    letters,
    log_softmax,
    token_of,
)
from scripted import saying, scripted

from sampling import dialect
from sampling.chat.language_model import LanguageModel
from sampling.core.errors import InvalidRequest

QUESTION = [{"role": "user", "content": "What is the capital of Turkey?"}]
ANSWER = "The capital of Turkey is Ankara."
SAYS = 5.0  # logit of what the model says; "I", "You" and the end token come next, all others are at -inf
NEXT = {"I": 3.0, "You": 2.0}


def speaker(tokenizer: Any, text: str) -> LanguageModel:
    """Says a text in the tokens of the real vocabulary, as tiktoken has them, and ends with <|eot_id|>."""
    ids = [*llama3_encoding().encode(text), EOT]
    script = torch.full((len(ids), len(tokenizer)), -math.inf)
    script[:, EOT] = 1.0
    for word, logit in NEXT.items():
        script[:, llama3_encoding().encode(word)[0]] = logit
    script[torch.arange(len(ids)), torch.tensor(ids)] = SAYS
    assert tokenizer.eos_token_id == EOT
    return scripted(script, tokenizer)


@pytest.fixture(scope="module")
def turkey(llama3_tokenizer) -> LanguageModel:
    return speaker(llama3_tokenizer, ANSWER)


def listing(entry: dict[str, Any]) -> list[tuple[str, float]]:
    """The tokens and log probabilities of an entry's alternatives."""
    return [(each["token"], each["logprob"]) for each in entry["top_logprobs"]]


def near(*pairs: tuple[str, float]) -> list[tuple[str, Any]]:
    return [(token, pytest.approx(value, abs=2e-6)) for token, value in pairs]


# The published example


def test_the_published_example(turkey):
    """Every field of it, and no other but the seed, which the page's request left out."""
    before = time.time()
    response = turkey.chat(
        QUESTION, dialect="vllm-0.4", model="meta-llama/Meta-Llama-3-8B-Instruct", seed=1, top_p=0.5
    )
    assert re.fullmatch(r"cmpl-[0-9a-f]{32}", response.pop("id"))
    assert int(before) <= response.pop("created") <= time.time()
    assert isinstance(response.pop("system_fingerprint"), str)
    assert response == {
        "object": "chat.completion",
        "model": "meta-llama/Meta-Llama-3-8B-Instruct",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER},
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": None,
            }
        ],
        "usage": {"prompt_tokens": 18, "completion_tokens": 8, "total_tokens": 26},
    }


def test_the_published_example_streamed(turkey):
    """One chunk for the role, one for each of seven tokens, one for the end with the reason and the usage."""
    chunks = list(turkey.chat(QUESTION, dialect="vllm-0.4", temperature=0, stream=True, seed=1))
    tokens = [llama3_encoding().decode([token]) for token in llama3_encoding().encode(ANSWER)]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas == [{"role": "assistant"}, *[{"content": token} for token in tokens], {"content": ""}]
    assert len(chunks) == 9
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert [chunk.get("usage") for chunk in chunks[:-1]] == [None] * 8
    assert chunks[-1]["usage"] == {"prompt_tokens": 18, "completion_tokens": 8, "total_tokens": 26}


@pytest.mark.parametrize("how", CHATTING)
def test_the_published_usage_comes_from_a_second_begin_token(turkey, how):
    """17 ids of the template, as tiktoken spells it by hand; one more where the dialect has two begin tokens."""
    text = "<|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of Turkey?<|eot_id|>"
    text += "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ids = [BOS, *llama3_encoding().encode(text, allowed_special="all")]
    usage = turkey.chat(QUESTION, dialect=how, temperature=1, top_p=0.5, seed=1)["usage"]
    assert usage["prompt_tokens"] == len(ids) + (how == "vllm-0.4")
    assert len(ids) == 17
    assert usage["completion_tokens"] == 8


def test_the_published_examples_logprobs(turkey):
    """Eight entries: seven tokens and the end token, which is "" with no bytes. Of what top_p leaves: 5 and 3."""
    choice = turkey.chat(
        QUESTION, dialect="vllm-0.4", logprobs=True, top_logprobs=4, temperature=0.5, top_p=0.99, seed=2
    )["choices"][0]
    ids = llama3_encoding().encode(ANSWER)
    said = [
        (llama3_encoding().decode([token]), [*llama3_encoding().decode_single_token_bytes(token)])
        for token in ids
    ]
    likely = math.log(1 / (1 + math.exp(-4)))  # 5 and 3 at T = 0.5 are 10 and 6; 0.980 < 0.99, so both stay
    assert [(entry["token"], entry["bytes"]) for entry in entries(choice)] == [*said, ("", [])]
    for entry in entries(choice):
        assert listing(entry)[:2] == near((entry["token"], likely), ("I", likely - 4))
        assert [value for _, value in listing(entry)[2:]] == [-9999.0, -9999.0]
    json.dumps(choice, allow_nan=False)


def test_the_pages_logprobs_of_the_same_answer(turkey):
    """Seven entries, of the model's own distribution: 5 3 2 1."""
    fields = {"logprobs": True, "top_logprobs": 5, "temperature": 0.5, "top_p": 0.99, "seed": 2}
    choice = turkey.chat(QUESTION, **fields)["choices"][0]
    assert "".join(entry["token"] for entry in entries(choice)) == ANSWER
    for entry in entries(choice):
        own = log_softmax({entry["token"]: SAYS, **NEXT, "<|eot_id|>": 1.0})
        assert listing(entry)[:4] == near(*own.items())
        assert listing(entry)[4][1] == -9999.0
        assert [each["bytes"] for each in entry["top_logprobs"][1:4]] == [[73], [*b"You"], None]


def test_tokens_that_split_characters_keep_their_bytes(llama3_tokenizer):
    """Of the real vocabulary some hold a part of a character; joined they are the message."""
    text = "naïve 🙂🏽 日本語 ﷽ Ж"
    ids = llama3_encoding().encode(text)
    own = [llama3_encoding().decode_single_token_bytes(token) for token in ids]
    choice = speaker(llama3_tokenizer, text).chat(QUESTION, temperature=0, logprobs=True)["choices"][0]
    assert choice["message"]["content"] == text
    assert [bytes(entry["bytes"]) for entry in entries(choice)] == own
    assert [entry["token"] for entry in entries(choice)] == [part.decode(errors="replace") for part in own]
    assert any("\ufffd" in entry["token"] for entry in entries(choice))


# Alternatives: A, B, C, D are likely in this order

FOUR = {"A": 1.0, "B": 0.5, "C": 0.0, "D": -0.5}
OWN = log_softmax(FOUR)


def seed_of(token: str) -> int:
    """A seed with which a token is drawn first."""
    row = [-math.inf] * WIDTH
    for character, value in FOUR.items():
        row[token_of(character)] = value
    return next(seed for seed in range(1000) if oracle.draw(row, seed, 0) == ord(token))


@pytest.mark.parametrize(
    ("how", "sampled", "listed"),
    [
        ("vllm-0.4", "A", "AB"),
        ("vllm-0.4", "B", "BA"),
        ("vllm-0.4", "C", "CA"),  # the second of two is dropped
        ("vllm-0.4", "D", "DA"),
        ("vllm", "A", "AB"),
        ("vllm", "B", "BA"),
        ("vllm", "C", "CAB"),  # one more than asked for
        ("vllm", "D", "DAB"),
        *[(name, "D", "AB") for name in CHATTING if "vllm" not in name],
        *[(name, "B", "AB") for name in CHATTING if "vllm" not in name],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_two_alternatives(how, sampled, listed, stream):
    response = letters(FOUR).chat(
        ASK, dialect=how, logprobs=True, top_logprobs=2, max_tokens=1, seed=seed_of(sampled), stream=stream
    )
    (entry,) = entries((joined(response) if stream else response)["choices"][0])
    assert entry["token"] == sampled
    assert entry["logprob"] == pytest.approx(OWN[sampled], abs=2e-6)
    assert listing(entry) == near(*[(token, OWN[token]) for token in listed])


BENT = {"temperature": 0.5, "logit_bias": {"66": 0.5}, "min_p": 0.0}  # A 2, B 2, C 0, D -1


@pytest.mark.parametrize(
    ("how", "logits"),
    [
        ("vllm-0.4", {"A": 2.0, "B": 2.0, "C": 0.0, "D": -1.0}),
        ("transformers", {"A": 2.0, "B": 2.0, "C": 0.0, "D": -1.0}),
        ("sglang", {"A": 2.0, "B": 2.0, "C": 0.0, "D": -1.0}),
        *[(name, FOUR) for name in ("qstash", "openai", "vllm", "vllm-v1", "llama.cpp")],
    ],
)
def test_of_which_distribution_log_probabilities_are(how, logits):
    choice = answer(letters(FOUR), dialect=how, logprobs=True, top_logprobs=5, max_tokens=1, seed=1, **BENT)
    (entry,) = entries(choice)
    own = log_softmax(logits)
    assert {token: value for token, value in listing(entry) if value > -9999} == pytest.approx(own, abs=2e-6)
    assert entry["logprob"] == pytest.approx(own[entry["token"]], abs=2e-6)
    assert (-9999.0 in [value for _, value in listing(entry)]) == (len(entry["top_logprobs"]) > 4)


@pytest.mark.parametrize("how", CHATTING)
def test_after_truncation_only_where_the_dialect_says_so(how):
    """Half of the mass is A and B. Truncated, they are all there is, and the others are at -9999.0."""
    fields = {"logprobs": True, "top_logprobs": 4, "max_tokens": 1, "top_p": 0.5, "seed": 1}
    (entry,) = entries(answer(letters(FOUR), dialect=how, **fields))
    values = dict(listing(entry))
    left = log_softmax({"A": 1.0, "B": 0.5}) if how in ("vllm-0.4", "transformers") else OWN
    assert {token: value for token, value in values.items() if value > -9999} == pytest.approx(left, abs=2e-6)


@pytest.mark.parametrize("how", CHATTING)
def test_a_rank_past_20_is_listed_but_by_the_page_and_openai(how):
    """30 equal tokens from "A" on; "]" is the 29th."""
    model = letters({chr(65 + index): 0.0 for index in range(30)})
    row = [0.0 if 65 <= token < 95 else -math.inf for token in range(WIDTH)]
    seed = next(seed for seed in range(1000) if oracle.draw(row, seed, 0) == ord("]"))
    (entry,) = entries(answer(model, dialect=how, logprobs=True, max_tokens=1, seed=seed))
    unlisted = how in ("qstash", "openai")
    assert entry["token"] == "]"
    assert entry["logprob"] == pytest.approx(-9999.0 if unlisted else -math.log(30), abs=2e-6)


# The end token

ENDS = {"A": 0.0}, {END: 1.0, "A": 0.0}
END_ENTRY = {"vllm-0.4": ("", []), "vllm": (END, [*END.encode()]), "vllm-v1": (END, [*END.encode()])}


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize("stream", [False, True])
def test_the_end_token_has_an_entry_in_vllm_alone(how, stream):
    """Both tokens of the second step, as each dialect shows them; alternatives are shown like the token itself."""
    fields = {"logprobs": True, "top_logprobs": 2, "temperature": 1, "seed": end_seed()}
    response = letters(*ENDS).chat(ASK, dialect=how, stream=stream, **fields)
    response = joined(response) if stream else response
    choice = response["choices"][0]
    shown = [(entry["token"], entry["bytes"]) for entry in entries(choice)]
    assert choice["message"]["content"] == "A"
    assert choice["finish_reason"] == "stop"
    assert shown == [("A", [65]), *([END_ENTRY[how]] if how in END_ENTRY else [])]
    if how in END_ENTRY:
        top = entries(choice)[1]["top_logprobs"]
        assert [(each["token"], each["bytes"]) for each in top] == [END_ENTRY[how], ("A", [65])]
        own = log_softmax({END: 1.0, "A": 0.0})
        assert [each["logprob"] for each in top] == pytest.approx([own[END], own["A"]], abs=2e-6)


def end_seed() -> int:
    """A seed with which the second token is the end."""
    row = [-math.inf] * WIDTH
    row[token_of("A")], row[token_of(END)] = 0.0, 1.0
    return next(seed for seed in range(1000) if oracle.draw(row, seed, 1) == token_of(END))


@pytest.mark.parametrize("how", CHATTING)
def test_without_an_end_token_there_is_no_entry_for_it(how):
    choice = answer(saying(["a", "b", "c"]), dialect=how, top_p=0.9, seed=1, logprobs=True, max_tokens=2)
    assert [entry["token"] for entry in entries(choice)] == ["a", "b"]
    stopped = answer(saying(["a", "b", "c"]), dialect=how, top_p=0.9, seed=1, logprobs=True, stop=["b"])
    assert [entry["token"] for entry in entries(stopped)] == ["a"]


# The rest of a response


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize("stream", [False, True])
def test_ids(how, stream):
    response = saying(["a"]).chat(ASK, dialect=how, stream=stream)
    ids = {chunk["id"] for chunk in response} if stream else {response["id"]}
    (one,) = ids
    prefix = "cmpl-" if how in ("qstash", "vllm-0.4") else "chatcmpl-"
    assert re.fullmatch(prefix + "[0-9a-f]{32}", one)
    assert saying(["a"]).chat(ASK, dialect=how)["id"] != one


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize("stream", [False, True])
def test_stop_reason(how, stream):
    """The stop string, or null for an end token; OpenAI's choices have no such field."""
    for stop, reason in ((["b"], "b"), ([], None)):
        response = saying(["a", "b"]).chat(ASK, dialect=how, top_p=0.9, stop=stop, stream=stream)
        choice = (joined(response) if stream else response)["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert choice.get("stop_reason", "none") == ("none" if how == "openai" else reason)


ASKS_FOR_USAGE = ("openai", "vllm", "vllm-v1", "sglang")


@pytest.mark.parametrize("how", CHATTING)
def test_usage_of_a_stream(how):
    fields = {"dialect": how, "stream": True, "n": 2, "top_p": 0.9}
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 4, "total_tokens": PROMPT_TOKENS + 4}
    chunks = list(saying(["a"]).chat(ASK, **fields))
    if how not in ASKS_FOR_USAGE:
        assert [chunk.get("usage") for chunk in chunks] == [None] * (len(chunks) - 1) + [usage]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        return
    assert all("usage" not in chunk for chunk in chunks)
    off = list(saying(["a"]).chat(ASK, stream_options={"include_usage": False}, **fields))
    assert all("usage" not in chunk for chunk in off)
    asked = list(saying(["a"]).chat(ASK, stream_options={"include_usage": True}, **fields))
    assert len(asked) == len(chunks) + 1
    assert [chunk["usage"] for chunk in asked] == [None] * len(chunks) + [usage]
    assert asked[-1]["choices"] == []
    assert {chunk["id"] for chunk in asked} == {asked[0]["id"]}
    assert {chunk["object"] for chunk in asked} == {"chat.completion.chunk"}


@pytest.mark.parametrize("how", CHATTING)
def test_stream_options_where_they_mean_nothing(how):
    wanted = {"stream_options": {"include_usage": True}}
    with pytest.raises(InvalidRequest, match=r"stream_options: got .*left out unless stream is true$"):
        saying(["a"]).chat(ASK, dialect=how, **wanted)


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize(
    "fields",
    [
        {"n": 3, "logprobs": True, "top_logprobs": 2},
        {"n": 2, "stop": ["AB", "C"], "top_p": 0.9},
        {"logprobs": True, "max_tokens": 7},
        {"temperature": 0.7, "logit_bias": {str(token_of(END)): 2}, "logprobs": True, "top_logprobs": 5},
    ],
)
def test_streamed_and_unstreamed_agree(how, fields):
    model = letters({**FOUR, END: -2.0}, context=PROMPT_TOKENS + 30)
    options = {"stream_options": {"include_usage": True}} if how in ASKS_FOR_USAGE else {}
    for seed in range(4):
        whole = model.chat(ASK, dialect=how, seed=seed, **fields)
        chunks = model.chat(ASK, dialect=how, seed=seed, stream=True, **fields, **options)
        assert comparable(joined(chunks)) == comparable(whole)


def test_the_published_example_streamed_and_unstreamed_agree(turkey):
    fields = {"dialect": "vllm-0.4", "logprobs": True, "top_logprobs": 3, "temperature": 0, "seed": 1}
    whole, chunks = turkey.chat(QUESTION, **fields), turkey.chat(QUESTION, stream=True, **fields)
    assert comparable(joined(chunks)) == comparable(whole)


# Quirks are fields


QUIRKS = (
    "logprob_mode",
    "max_reported_rank",
    "double_bos",
    "parse_control_tokens",
    "id_prefix",
    "gives_stop_reason",
    "end_token_entry",
    "blank_special_tokens",
    "special_tokens_have_bytes",
    "whole_characters",
    "sampled_first",
    "at_most_k",
    "usage_when_asked",
)


def said(model: LanguageModel, how: Any, stream: bool, **fields: Any) -> list[dict[str, Any]]:
    """A response, or its chunks, without what is different every time; the id's beginning stays."""
    got = model.chat(ASK, dialect=how, stream=stream, **fields)
    dropped = ("created", "system_fingerprint")
    return [
        {**{key: value for key, value in each.items() if key not in dropped}, "id": each["id"][:-32]}
        for each in (got if stream else [got])
    ]


@pytest.mark.parametrize("mine", CHATTING)
@pytest.mark.parametrize("theirs", CHATTING)
def test_any_dialect_can_have_anothers_quirks(mine, theirs):
    """Where their ways of sampling agree, a copy with their fields answers as they do."""
    how = replace(dialect(mine), **{name: getattr(dialect(theirs), name) for name in QUIRKS})
    model = letters({**FOUR, END: -1.0})
    fields = {
        "logprobs": True,
        "top_logprobs": 2,
        "temperature": 0.5,
        "stop": ["DD"],
        "n": 2,
        "seed": 4,
        "max_tokens": 8,
    }
    for stream in (False, True):
        assert said(model, how, stream, **fields) == said(model, theirs, stream, **fields)


def test_each_quirk_by_itself_on_the_default_dialect(turkey):
    """The default's own way first, then what one changed field makes of it."""
    own = dialect("qstash")

    def first(how: Any, **fields: Any) -> dict[str, Any]:
        sampled = {"logprobs": True, "top_logprobs": 2, "seed": seed_of("D"), "max_tokens": 1, **fields}
        return entries(answer(letters(FOUR), dialect=how, **sampled))[0]

    def tokens(how: Any) -> str:
        return "".join(token for token, _ in listing(first(how)))

    assert (tokens(own), tokens(replace(own, sampled_first=True))) == ("AB", "DA")
    assert tokens(replace(own, sampled_first=True, at_most_k=False)) == "DAB"
    assert tokens(replace(own, at_most_k=False)) == "AB"
    assert first(replace(own, max_reported_rank=3))["logprob"] == -9999.0
    truncated = first(replace(own, logprob_mode="processed"), temperature=0)
    assert listing(truncated) == [("A", 0.0), listing(truncated)[1]]
    assert listing(truncated)[1][1] == -9999.0

    ended = replace(own, end_token_entry=True)
    fields = {"logprobs": True, "seed": end_seed()}
    shown = [entries(answer(letters(*ENDS), dialect=how, **fields))[1:] for how in (own, ended)]
    assert [[(entry["token"], entry["bytes"]) for entry in each] for each in shown] == [[], [(END, None)]]
    (blank,) = entries(answer(letters(*ENDS), dialect=replace(ended, blank_special_tokens=True), **fields))[
        1:
    ]
    assert (blank["token"], blank["bytes"]) == ("", [])

    assert turkey.chat(QUESTION, temperature=0)["usage"]["prompt_tokens"] == 17
    doubled = turkey.chat(QUESTION, dialect=replace(own, double_bos=True), temperature=0)
    assert doubled["usage"]["prompt_tokens"] == 18
    assert "stop_reason" not in answer(saying(["a"]), dialect=replace(own, gives_stop_reason=False))
    assert saying(["a"]).chat(ASK, dialect=replace(own, id_prefix="mine/"))["id"].startswith("mine/")
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    *_, last = saying(["a"]).chat(ASK, dialect=replace(own, usage_when_asked=True), **asked)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2)
