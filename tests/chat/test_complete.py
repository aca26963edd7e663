"""Texts that are continued: what a response says of each token of prompt and text, against transformers and by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import byte_tokenizer, saying, scripted
from transformers import AutoModelForCausalLM

from sampling import InvalidRequest, UnsampleableRow, load, logprobs
from sampling.chat.text_request import TextRequest
from sampling.dialects import DIALECTS
from sampling.generate import prefill
from sampling.toy import CHECKPOINT

TEXT = "The capital of Turkey is Ankara."
START = "The capital of"
LISTS = ("tokens", "token_logprobs", "top_logprobs", "text_offset", "bytes")


@pytest.fixture(scope="module")
def toy():
    return load(None)


@pytest.fixture(scope="module")
def theirs():
    """What transformers says of the token after each: ln p, float64 [T, V]."""
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32)

    @torch.no_grad()
    def table(ids):
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)

    return table


def only(response):
    (choice,) = response["choices"]
    return choice


def consistent(choice):
    """Whether the tokens are the text, and stand where they say."""
    text, told = choice["text"], choice["logprobs"]
    assert {len(told[name]) for name in told} == {len(told["tokens"])}
    assert tuple(told) == LISTS
    assert "".join(told["tokens"]) == text
    for token, offset in zip(told["tokens"], told["text_offset"], strict=True):
        assert text[offset:].startswith(token)
    return True


# --- log probabilities ---


@pytest.mark.parametrize("prompt", [TEXT, "é🙂 <|eot_id|>\n", [2042, 5, 9, 5], " and".join(["x"] * 240)])
def test_echoed_log_probabilities_are_those_of_transformers(toy, theirs, prompt, monkeypatch):
    monkeypatch.setattr(prefill, "PREFILL_CHUNK", 100)  # so that the longest has several parts
    choice = only(
        toy.complete(prompt, echo=True, max_tokens=0, logprobs=3, dialect="vllm", return_token_ids=True)
    )
    ids = choice["prompt_token_ids"]
    expected = toy.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
    assert ids == expected
    table, told = theirs(ids)[:-1], choice["logprobs"]
    assert (told["token_logprobs"][0], told["top_logprobs"][0]) == (None, None)
    values = table[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    assert torch.tensor(told["token_logprobs"][1:]).sub(values).abs().max() < 1e-5
    assert sum(told["token_logprobs"][1:]) == pytest.approx(values.sum().item(), abs=1e-5 * len(ids))
    for row, listed, own in zip(table, told["top_logprobs"][1:], told["token_logprobs"][1:], strict=True):
        assert sorted(listed.values(), reverse=True)[:3] == pytest.approx(
            row.topk(3).values.tolist(), abs=1e-5
        )
        assert own in listed.values()
        assert len(listed) in (3, 4)
    assert consistent(choice)


def test_prompt_logprobs_have_ranks_and_alternatives(toy, theirs):
    tokens = toy.prompt_logprobs(TEXT, top_logprobs=20)
    ids = [token["token_id"] for token in tokens]
    assert ids == toy.tokenizer(TEXT)["input_ids"]
    assert (tokens[0]["logprob"], tokens[0]["rank"], tokens[0]["top_logprobs"]) == (None, None, [])
    for row, token in zip(theirs(ids), tokens[1:], strict=False):
        own = row[token["token_id"]]
        assert token["logprob"] == pytest.approx(own.item(), abs=1e-5)
        assert (row > own + 1e-5).sum() < token["rank"] <= (row > own - 1e-5).sum()
        assert [other["token_id"] for other in token["top_logprobs"]] == row.topk(20).indices.tolist()
    assert b"".join(bytes(token["bytes"] or []) for token in tokens).decode() == TEXT
    without = toy.prompt_logprobs(ids[1:])
    assert [token["token_id"] for token in without] == ids[1:]
    assert [t["token_id"] for t in toy.prompt_logprobs(TEXT, add_special_tokens=False)] == ids[1:]


def test_they_are_the_bits_of_a_sampler(toy):
    tokens = toy.prompt_logprobs(TEXT)
    ids = [token["token_id"] for token in tokens]
    found = logprobs(toy.logits(ids)[:-1], ids[1:])
    assert [token["rank"] for token in tokens[1:]] == found.ranks.tolist()
    assert [token["logprob"] for token in tokens[1:]] == pytest.approx(found.logprobs.tolist(), abs=1e-6)


def test_in_the_form_of_vllm(toy):
    fields = {"max_tokens": 1, "prompt_logprobs": 1, "return_token_ids": True, "temperature": 0}
    choice = only(toy.complete(TEXT, dialect="vllm", **fields))
    scored = toy.prompt_logprobs(TEXT, top_logprobs=1)
    assert choice["prompt_logprobs"][0] is None
    for told, token in zip(choice["prompt_logprobs"][1:], scored[1:], strict=True):
        own = told[str(token["token_id"])]
        assert own == {"logprob": token["logprob"], "rank": token["rank"], "decoded_token": token["token"]}
        assert {one["rank"] for one in told.values()} == {1, token["rank"]}
    assert choice["prompt_token_ids"] == [token["token_id"] for token in scored]
    assert len(choice["token_ids"]) == 1
    assert not choice["text"].startswith("The")  # nothing is echoed that was not asked for


def test_the_rule_of_the_twenty_likeliest_is_of_chats(toy):
    """A sum of log probabilities would be lost by it."""
    told = only(toy.complete(TEXT, echo=True, max_tokens=0, logprobs=0))["logprobs"]
    ranks = [token["rank"] for token in toy.prompt_logprobs(TEXT)[1:]]
    assert max(ranks) > 20
    assert min(told["token_logprobs"][1:]) > -100


def test_a_prompt_whose_logits_are_no_numbers_is_an_error(toy):
    weight = toy.model.norm.weight
    kept = weight.detach().clone()
    try:
        weight.data[:] = math.nan
        with pytest.raises(UnsampleableRow, match="within the prompt"):
            toy.prompt_logprobs("Hi")
    finally:
        weight.data[:] = kept


# --- text and tokens ---


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 2047), min_size=1, max_size=12),
    st.integers(0, 3),
    st.sampled_from([(), ("a",), ("o", "\ufffd"), ("ei", "th"), (" c", "ng", " Th", "apit")]),
)
def test_tokens_are_the_text_and_a_stream_says_the_same(ids, most, stop):
    toy = load_once()
    fields = {"echo": True, "logprobs": 1, "max_tokens": 7 * most, "temperature": 2, "seed": 3, "n": 2}
    fields |= {"dialect": "vllm", "return_token_ids": True, "stop": [*stop] or None, "ignore_eos": True}
    whole = toy.complete(ids, **fields)
    chunks = list(toy.complete(ids, stream=True, **fields))
    for choice in whole["choices"]:
        assert consistent(choice)
        assert len(choice["logprobs"]["tokens"]) == len(ids) + len(choice["token_ids"])
        sampled = "".join(choice["logprobs"]["tokens"][len(ids) :])
        assert not any(string in sampled for string in stop)
        parts = [
            c["choices"][0] for c in chunks if c["choices"] and c["choices"][0]["index"] == choice["index"]
        ]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [i for part in parts for i in part.get("token_ids", [])] == choice["token_ids"]
        assert parts[0]["prompt_token_ids"] == choice["prompt_token_ids"] == ids
        for name in LISTS:
            told = [one for part in parts if part["logprobs"] for one in part["logprobs"][name]]
            assert told == choice["logprobs"][name]
        for part in parts:
            assert part["logprobs"] is None or "".join(part["logprobs"]["tokens"]) == part["text"]
        assert [part["finish_reason"] for part in parts if part["finish_reason"]] == [choice["finish_reason"]]


LOADED = []


def load_once():
    if not LOADED:
        LOADED.append(load(None))
    return LOADED[0]


@pytest.mark.parametrize(
    ("pieces", "stop", "text", "tokens"),
    [
        (["Hi", "!"], None, "Hi!", ["Hi", "!", ""]),  # the end token has an entry and no text
        ([b"\xc3", b"\xa9", "x"], None, "éx", ["", "é", "x", ""]),
        ([b"\xf0", b"\x9f", "x"], None, "\ufffdx", ["", "", "\ufffdx", ""]),
        ([b"\xf0", b"\x9f"], None, "\ufffd", ["", "", "\ufffd"]),
        (["one", " END", " two"], "END", "one ", ["one", " "]),  # cut within a token
        (["one ", "EN", "D two"], "END", "one ", ["one ", "", ""]),
        (["one", " EN"], "END", "one EN", ["one", " EN", ""]),
        (["one E", "ND two"], "END", "one ", ["one ", ""]),  # a stream must hold the first one back
    ],
)
def test_sampled_tokens(pieces, stop, text, tokens):
    model = saying(pieces)
    fields = {"temperature": 0, "stop": stop, "logprobs": 0}
    choice = only(model.complete("?", **fields))
    assert (choice["text"], choice["logprobs"]["tokens"]) == (text, tokens)
    assert consistent(choice)
    assert choice["finish_reason"] == "stop"
    assert choice["stop_reason"] == (stop if "END" in "".join(map(str, pieces)) else None)
    raw = [piece if isinstance(piece, bytes) else piece.encode() for piece in pieces]
    assert [bytes(own or []) for own in choice["logprobs"]["bytes"]][: len(raw)] == raw[: len(tokens)]
    streamed = [part["choices"][0] for part in model.complete("?", stream=True, **fields)]
    assert "".join(part["text"] for part in streamed) == text


def test_echo_is_the_prompt_as_it_was_sent(toy):
    for prompt in (TEXT, "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "é🙂", ""):
        choice = only(toy.complete(prompt, echo=True, max_tokens=0, logprobs=0))
        assert choice["text"] == prompt
        assert choice["logprobs"]["tokens"][0] == ""  # the tokenizer's own BOS
    ids = toy.tokenizer(TEXT)["input_ids"]
    named = "<|begin_of_text|>"
    assert only(toy.complete(ids, echo=True, max_tokens=0))["text"] == named + TEXT  # given, so it is shown


def test_a_prompt_that_ends_within_a_character(toy):
    (first, second) = toy.tokenizer("é", add_special_tokens=False)["input_ids"]
    force = {"logit_bias": {second: 100}, "max_tokens": 1, "temperature": 0}
    assert only(toy.complete([first], **force))["text"] == "\ufffd"
    choice = only(toy.complete([first], echo=True, logprobs=0, **force))
    assert choice["text"] == "\ufffd\ufffd"
    assert [bytes(own) for own in choice["logprobs"]["bytes"]] == [b"\xc3", b"\xa9"]


def test_names_in_top_logprobs():
    tokenizer = byte_tokenizer("yes")
    script = torch.full((1, len(tokenizer) + 2), -20.0)
    for place, token in enumerate((256, 0xE2, tokenizer.eos_token_id, len(tokenizer) + 1)):
        script[0, token] = 20.0 - place
    told = only(scripted(script, tokenizer).complete("?", temperature=0, logprobs=4, max_tokens=1))[
        "logprobs"
    ]
    assert [*told["top_logprobs"][0]] == ["yes", "bytes:\\xe2", "<eos>", f"token_id:{len(tokenizer) + 1}"]


def test_echo_and_log_probabilities_do_not_change_what_is_sampled(toy):
    plain = {"temperature": 2, "seed": 9, "max_tokens": 24, "n": 3}
    expected = [choice["text"] for choice in toy.complete(START, **plain)["choices"]]
    assert len({*expected}) == 3
    for more in ({"logprobs": 2}, {"echo": True}, {"echo": True, "logprobs": 2}):
        texts = [choice["text"] for choice in toy.complete(START, **plain, **more)["choices"]]
        assert [text.removeprefix(START if "echo" in more else "") for text in texts] == expected


# --- prompts ---


def test_prompts_of_a_list_have_choices_of_one_seed(toy):
    fields = {"temperature": 2, "seed": 4, "max_tokens": 12}
    alone = [choice["text"] for choice in toy.complete(START, n=4, **fields)["choices"]]
    both = toy.complete([START, START], n=2, **fields)
    assert [choice["index"] for choice in both["choices"]] == [0, 1, 2, 3]
    assert [choice["text"] for choice in both["choices"]] == alone
    assert len({*alone}) == 4
    prompt = 2 * len(toy.tokenizer(START)["input_ids"])
    completion = both["usage"]["completion_tokens"]
    assert both["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    *_, last = toy.complete([START, START], n=2, stream=True, **fields)
    assert last["usage"] == both["usage"]


def test_ids_are_taken_as_they_are(toy):
    ids = [*toy.tokenizer(TEXT)["input_ids"]]
    fields = {"temperature": 0, "max_tokens": 4, "logprobs": 2}
    by_text, by_ids = (only(toy.complete(prompt, **fields)) for prompt in (TEXT, ids))
    assert by_text == by_ids
    assert toy.complete([ids, ids[1:]], max_tokens=1)["usage"]["prompt_tokens"] == 2 * len(ids) - 1


def test_text_is_tokenised_as_the_tokenizer_does_it(llama3_tokenizer):
    from sampling.text import plain_prompt

    for text in ("", "Hi", "<|begin_of_text|>Hi <|eot_id|>", "é🙂  1234\n\n"):
        for special in (True, False):
            prompt = plain_prompt(llama3_tokenizer, text, add_special_tokens=special)
            assert prompt.ids == llama3_tokenizer(text, add_special_tokens=special)["input_ids"]
            assert prompt.added == ({0} if special else set())


# --- limits and refusals ---


def test_sixteen_tokens_unless_it_says_otherwise():
    assert saying(["a"] * 40).complete("?")["usage"]["completion_tokens"] == 16
    model = saying(["a"] * 40, context=30)
    assert model.complete("?" * 20)["usage"]["completion_tokens"] == 10
    assert model.complete("?", max_tokens=None, dialect="llama.cpp")["usage"]["completion_tokens"] == 16
    assert model.complete("?", max_tokens=-1, dialect="llama.cpp")["usage"]["completion_tokens"] == 29


def test_a_prompt_may_fill_the_context_where_nothing_follows_it():
    model = saying(["a"], context=20)
    choice = only(model.complete("?" * 20, echo=True, max_tokens=0))
    assert (choice["text"], choice["finish_reason"]) == ("?" * 20, "length")
    with pytest.raises(InvalidRequest, match=r"prompt: got 'a prompt of 20 tokens', must be shorter"):
        model.complete("?" * 20, max_tokens=1)
    with pytest.raises(InvalidRequest, match=r"prompt\[1\]: got 'a prompt of 21 tokens', must be shorter"):
        model.complete(["?", "?" * 21], echo=True, max_tokens=0)


REFUSED = [
    ({"prompt": []}, "prompt"),
    ({"prompt": {}}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": True}, "prompt"),
    ({"prompt": [[]]}, "prompt[0]"),
    ({"prompt": [[1], []]}, "prompt[1]"),
    ({"prompt": ["a", [1]]}, "prompt[1]"),
    ({"prompt": [[1], "a"]}, "prompt[1]"),
    ({"prompt": [1, "a"]}, "prompt[1]"),
    ({"prompt": [1, [1]]}, "prompt[1]"),
    ({"prompt": [True]}, "prompt[0]"),
    ({"prompt": [1.5]}, "prompt[0]"),
    ({"prompt": [-1]}, "prompt[0]"),
    ({"prompt": [[1, 2, 2048]]}, "prompt[0][2]"),
    ({"prompt": [2048]}, "prompt[0]"),
    ({"prompt": "\ud800"}, "prompt"),
    ({"prompt": ["a"] * 1025}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"logprobs": 21}, "logprobs"),
    ({"logprobs": -1}, "logprobs"),
    ({"logprobs": True}, "logprobs"),
    ({"logprobs": False}, "logprobs"),
    ({"logprobs": "1"}, "logprobs"),
    ({"top_logprobs": 1}, "top_logprobs"),
    ({"echo": 1}, "echo"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1, "echo": True}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"suffix": "end"}, "suffix"),
    ({"best_of": 2}, "best_of"),
    ({"best_of": True}, "best_of"),
    ({"n": 0}, "n"),
    ({"messages": [{"role": "user", "content": "?"}]}, "messages"),
    ({"max_completion_tokens": 5}, "max_completion_tokens"),
    ({"prompt_logprobs": 1}, "prompt_logprobs"),
    ({"prompt_logprobs": 21, "dialect": "vllm"}, "prompt_logprobs"),
    ({"prompt_logprobs": 1, "stream": True, "dialect": "vllm"}, "prompt_logprobs"),
    ({"return_token_ids": 1, "dialect": "vllm"}, "return_token_ids"),
    ({"chat_template_kwargs": {}, "dialect": "vllm"}, "chat_template_kwargs"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"temperature": 3}, "temperature"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"nope": 1}, "nope"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_is_refused_is_named(toy, fields, param):
    with pytest.raises(InvalidRequest) as caught:
        toy.complete(**{"prompt": "?", **fields})
    assert caught.value.param == param
    assert str(caught.value).startswith(f"{param}: got ")


def test_a_text_without_tokens_is_no_prompt():
    with pytest.raises(InvalidRequest, match=r"prompt\[1\]: got '', must be of at least one token"):
        saying(["a"]).complete(["?", ""])


@pytest.mark.parametrize("name", DIALECTS)
def test_what_changes_nothing_is_taken_in_every_dialect(name):
    fields = {
        "suffix": "",
        "best_of": 1,
        "user": "me",
        "echo": False,
        "logprobs": None,
        "nope": None,
        "seed": 6.0,
    }
    asked = TextRequest.parse({"prompt": [1.0, 2], **fields}, name)
    assert (asked.prompt.each, asked.params.seed, asked.echo) == (((1, 2),), 6, False)
