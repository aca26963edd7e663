"""What a completion says and how it ends, token by token, with a model that follows a script."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted import byte_tokenizer, saying, scripted

from sampling import UnsampleableRow

ASK = [{"role": "user", "content": "?"}]


def answer(model, **fields):
    return model.chat(ASK, temperature=0, **fields)["choices"][0]


def tokens_of(choice):
    return [entry["token"] for entry in choice["logprobs"]["content"]]


def test_end_token_ends_counts_and_has_no_entry():
    response = saying(["Hi", "!"]).chat(ASK, temperature=0, logprobs=True)
    choice = response["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hi!"}
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", None)
    assert tokens_of(choice) == ["Hi", "!"]
    # "<bos>" "u" "s" "e" "r" ":" "?" "<eos>" "a".. "t" ":" are 1 + 5 + 1 + 1 + 10 tokens
    assert response["usage"] == {"prompt_tokens": 18, "completion_tokens": 3, "total_tokens": 21}


def test_max_tokens_ends_with_length():
    choice = answer(saying(["one ", "two ", "three "]), max_tokens=2)
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two ", "length")


def test_end_of_context_ends_with_length():
    choice = answer(saying(["a", "b", "c", "d"], context=18 + 3), max_tokens=100)
    assert (choice["message"]["content"], choice["finish_reason"]) == ("abc", "length")


def test_prompt_longer_than_context_is_an_error():
    with pytest.raises(
        ValueError, match=r"messages: got 'a prompt of 18 tokens', must be shorter: .*18 tokens"
    ):
        saying(["a"], context=18).chat(ASK)


@pytest.mark.parametrize(
    ("pieces", "stop", "content", "reason", "entries"),
    [
        (
            ["one", " END", " two"],
            ["END"],
            "one ",
            "END",
            ["one", " END"],
        ),  # one byte of " END" is in the content
        (["one ", "END", " two"], ["END"], "one ", "END", ["one "]),  # cut whole: no entry
        (["one E", "N", "D two"], ["END"], "one ", "END", ["one E"]),  # over three tokens
        (["ab", "c"], ["bc", "abc"], "a", "bc", ["ab"]),  # both complete at "c": list order
        (["ab", "c"], ["abc", "bc"], "", "abc", []),
        (["ab", "cd"], ["abcd", "bc"], "a", "bc", ["ab"]),  # "bc" completes first
        (["a", "aa", "b"], ["aab"], "a", "aab", ["a"]),  # the match may overlap a failed beginning
        (["EN", "X"], ["END"], "ENX", None, ["EN", "X"]),  # a beginning that came to nothing
        (["one", " EN"], ["END"], "one EN", None, ["one", " EN"]),  # released at the end
    ],
)
def test_stop_strings(pieces, stop, content, reason, entries):
    choice = answer(saying(pieces), stop=stop, logprobs=True)
    assert choice["message"]["content"] == content
    assert choice["stop_reason"] == reason
    assert choice["finish_reason"] == "stop"
    assert tokens_of(choice) == entries


def test_bytes_are_the_vocabularys_and_join_to_the_content():
    text = "é🙂x"
    choice = answer(saying([text.encode()]), logprobs=True)
    entries = choice["logprobs"]["content"]
    assert choice["message"]["content"] == text
    assert bytes(byte for entry in entries for byte in entry["bytes"]) == text.encode()
    assert [entry["token"] for entry in entries] == ["\ufffd"] * 6 + [
        "x"
    ]  # pieces of characters, shown alone


def test_character_cut_off_by_the_end_is_the_replacement_character():
    choice = answer(saying(["a", "🙂".encode()[:2]]), logprobs=True)
    assert choice["message"]["content"] == "a\ufffd"
    assert [entry["bytes"] for entry in choice["logprobs"]["content"]] == [[97], [0xF0], [0x9F]]


TEXTS = st.text("abc\u00e9\u4e2d\U0001f642", max_size=12)
STOPS = st.lists(st.text("abc\u00e9\u4e2d", min_size=1, max_size=3), max_size=4)


@given(TEXTS, STOPS)
def test_any_text_any_stop_equals_searching_the_whole_text(text, stop):
    """Token by token (single bytes) the content is what a search of the whole text finds."""
    ends = [(text.find(s) + len(s), rank, s) for rank, s in enumerate(stop) if s in text]
    first = min(ends)[:3] if ends else None
    expected = text if first is None else text[: first[0] - len(first[2])]
    choice = answer(saying([text.encode()]), stop=stop, max_tokens=100)
    assert choice["message"]["content"] == expected
    assert choice["stop_reason"] == (None if first is None else first[2])


def two_tokens(logits):
    """A model whose every step has these logits for tokens 0, 1, 2... and -inf for the rest."""
    tokenizer = byte_tokenizer()
    row = torch.full((1, len(tokenizer)), -math.inf)
    row[0, : len(logits)] = torch.tensor(logits)
    return scripted(row, tokenizer)


def test_logprobs_are_null_unless_asked_for():
    assert answer(saying(["a"]))["logprobs"] is None


def test_logprobs_without_alternatives_have_an_empty_list():
    (entry,) = answer(saying(["a"]), logprobs=True)["logprobs"]["content"]
    assert entry["top_logprobs"] == []
    assert entry["logprob"] == pytest.approx(0, abs=1e-6)


def test_raw_logprobs_do_not_move_with_the_parameters():
    model = two_tokens([math.log(3.0), 0.0])
    fields = {"logprobs": True, "top_logprobs": 2, "max_tokens": 1, "seed": 1}
    plain = model.chat(ASK, **fields)["choices"][0]["logprobs"]["content"][0]
    bent = model.chat(ASK, temperature=0.1, top_p=0.5, logit_bias={"0": 5}, **fields)["choices"][0]
    assert bent["logprobs"]["content"][0]["top_logprobs"] == plain["top_logprobs"]
    assert [e["logprob"] for e in plain["top_logprobs"]] == pytest.approx(
        [math.log(0.75), math.log(0.25)], abs=1e-6
    )


def test_outside_the_top_twenty_is_the_sentinel():
    """Token 20, forced by a bias, has raw rank 21; token 19 has rank 20. The sampled token is not forced in."""
    model = two_tokens([0.0] * 30)
    for token, expected in ((19, -math.log(30)), (20, -9999.0)):
        (entry,) = model.chat(
            ASK, temperature=0, logit_bias={str(token): 100}, logprobs=True, top_logprobs=3, max_tokens=1
        )["choices"][0]["logprobs"]["content"]
        assert entry["bytes"] == [token]
        assert entry["logprob"] == pytest.approx(expected, abs=1e-6)
        assert [e["bytes"] for e in entry["top_logprobs"]] == [[0], [1], [2]]  # ties by token id


def test_minus_infinity_is_the_sentinel_in_every_dialect():
    for name in ("qstash", "openai", "vllm-0.4", "vllm", "sglang", "llama.cpp"):
        (entry,) = two_tokens([0.0, -1.0]).chat(
            ASK, dialect=name, temperature=0.5, logprobs=True, top_logprobs=3, max_tokens=1, seed=1
        )["choices"][0]["logprobs"]["content"]
        assert entry["top_logprobs"][2]["logprob"] == -9999.0, name


def test_fresh_seed_is_named_and_replays():
    model = two_tokens([0.0] * 50)
    first = model.chat(ASK, max_tokens=8)
    again = model.chat(ASK, max_tokens=8, seed=first["seed"])
    assert again["choices"] == first["choices"]
    assert "seed" not in again
    assert model.chat(ASK, max_tokens=8)["seed"] != first["seed"]


def test_choices_are_distinct_and_independent_of_n():
    model = two_tokens([0.0] * 200)
    four = model.chat(ASK, n=4, seed=3, max_tokens=6)
    two = model.chat(ASK, n=2, seed=3, max_tokens=6)
    assert [c["index"] for c in four["choices"]] == [0, 1, 2, 3]
    assert four["choices"][:2] == two["choices"]
    assert len({c["message"]["content"] for c in four["choices"]}) == 4
    assert four["usage"]["completion_tokens"] == 24


def test_a_choice_that_ends_leaves_the_others_as_they_were():
    """Token 0 or the end token at each step: choices end at different times."""
    tokenizer = byte_tokenizer()
    row = torch.full((1, len(tokenizer)), -math.inf)
    row[0, 65], row[0, tokenizer.eos_token_id] = 2.0, 0.0
    model = scripted(row, tokenizer)
    together = model.chat(ASK, n=8, seed=5, max_tokens=40)["choices"]
    assert len({len(c["message"]["content"]) for c in together}) > 2
    for n in range(1, 8):
        assert model.chat(ASK, n=n, seed=5, max_tokens=40)["choices"] == together[:n]


def test_penalties_count_per_choice_and_never_the_prompt():
    """Three tokens, presence 2 over a gap of 1: greedy walks 63 ("?", also in the prompt), 1, 2, then 63 again."""
    tokenizer = byte_tokenizer()
    row = torch.full((1, len(tokenizer)), -math.inf)
    row[0, 63], row[0, 65], row[0, 66] = 3.0, 2.0, 1.5
    choice = answer(scripted(row, tokenizer), presence_penalty=2.0, max_tokens=5)
    # 63 at 3; then A at 2 > 1; then B at 1.5 > 1 and 0; then 63 at 1 > 0 > -0.5 for good
    assert choice["message"]["content"] == "?AB??"


def test_frequency_penalty_grows_with_the_count():
    tokenizer = byte_tokenizer()
    row = torch.full((1, len(tokenizer)), -math.inf)
    row[0, 65], row[0, 66] = 1.0, 0.0
    choice = answer(scripted(row, tokenizer), frequency_penalty=0.75, max_tokens=5)
    # A: 1, .25, -.5, .. ; B: 0, -.75: A A B, then A at -.5 beats B at -.75, then B (-.75) beats A (-1.25)
    assert choice["message"]["content"] == "AABAB"


def test_ids_past_the_tokenizer_are_not_sampled():
    tokenizer = byte_tokenizer()
    row = torch.full((1, len(tokenizer) + 6), 0.0)
    row[0, len(tokenizer) :] = 50.0
    row[0, 65] = 30.0
    choice = answer(scripted(row, tokenizer), max_tokens=2, logprobs=True, top_logprobs=1)
    assert choice["message"]["content"] == "AA"
    # raw log probabilities are the model's own, masked ids included
    assert choice["logprobs"]["content"][0]["logprob"] == pytest.approx(30 - 50 - math.log(6), abs=1e-5)
    assert choice["logprobs"]["content"][0]["top_logprobs"][0]["bytes"] is None


def test_nan_logits_name_the_choice_and_the_stage():
    model = two_tokens([0.0, math.nan])
    with pytest.raises(UnsampleableRow, match=r"choice 0: NaN or \+infinity in the logits after the model"):
        model.chat(ASK)
