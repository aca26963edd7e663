"""Bitmasks of 32 token ids in an int32: from a plain object, by hand, and from llguidance, beside a regular expression."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from sampling import AllowedTokens, History, InvalidArgument, Sampler, SamplingParams
from sampling.adapters import TokenBitmask

LETTERS, END = 70, 69  # token ids are bytes up to 68, then an end token; the logits are wider


class Written:
    """A matcher that says what it is told, in xgrammar's methods."""

    def __init__(self, *words: int, ends_after: int = 99) -> None:
        self.words, self.ends_after = torch.tensor(words, dtype=torch.int32), ends_after
        self.taken: list[int] = []
        self.resets = 0

    def fill_next_token_bitmask(self, mask: Tensor, index: int) -> None:
        for place, word in enumerate(self.words):
            mask[index, place] = word

    def accept_token(self, token_id: int) -> bool:
        self.taken.append(token_id)
        return token_id != 3

    def is_terminated(self) -> bool:
        return self.ends_after in self.taken

    def reset(self) -> None:
        self.taken, self.resets = [], self.resets + 1


def allowed(constraint: TokenBitmask, *sampled: int) -> list[int]:
    return constraint.allowed(sampled).nonzero()[:, 0].tolist()


def test_bits_by_hand():
    """2^31 is the sign of an int32; bits from the width on mean nothing."""
    constraint = TokenBitmask(Written(0b1001, -(2**31), 0b1111), width=66)
    assert allowed(constraint) == [0, 3, 63, 64, 65]
    assert constraint.allowed([]).shape == (66,)


def test_ids_past_its_width_are_banned():
    stage = AllowedTokens([TokenBitmask(Written(-1, -1, -1), width=70), None])
    masked = stage(torch.zeros(2, 100), History.start([[], []]))
    assert (masked[0] == 0).tolist() == [True] * 70 + [False] * 30
    assert (masked[1] == 0).all()
    sampler = Sampler(num_slots=1, vocab_size=100)
    sampler.add(
        SamplingParams(seed=1, temperature=2.0), [], constraint=TokenBitmask(Written(4, 0, 0), width=70)
    )
    logits = torch.zeros(1, 100)
    logits[0, 99] = 50.0
    assert [sampler.step(logits).token_ids.item() for _ in range(3)] == [2, 2, 2]


def test_tokens_are_taken_once_and_again_after_they_were_taken_back():
    matcher = Written(-1)
    constraint = TokenBitmask(matcher, width=32)
    for sampled in ([], [1], [1, 2], [1, 2]):
        constraint.allowed(sampled)
        assert matcher.taken == sampled
    assert matcher.resets == 1
    constraint.allowed([1, 4, 5])
    assert (matcher.taken, matcher.resets) == ([1, 4, 5], 2)


@pytest.mark.parametrize("sampled", [[5], [5, 1], [1, 3], [3, 1], [40]], ids=str)
def test_nothing_follows_the_end_nor_what_does_not_fit(sampled):
    constraint = TokenBitmask(Written(-1, ends_after=5), width=32)
    assert allowed(constraint, *sampled) == []
    assert len(allowed(constraint, 1)) == 32


def llguidance_matcher(pattern: str) -> Any:
    """The real one, over single bytes."""
    from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

    class Bytes(TokenizerWrapper):
        def __init__(self) -> None:
            self.is_tokenizer_wrapper = True
            self.bos_token_id = None
            self.eos_token_id = END
            self.tokens = [bytes([32 + token]) for token in range(END)] + [b""]
            self.special_token_ids = [END]

    return LLMatcher(LLTokenizer(Bytes()), LLMatcher.grammar_from_regex(pattern), log_level=0)


def text_of(tokens: list[int]) -> str:
    return "".join(chr(32 + token) for token in tokens)


def test_llguidance_allows_what_a_regular_expression_allows():
    constraint = TokenBitmask(llguidance_matcher("[0-9]{1,3}(\\+[A-C])?"), width=LETTERS)
    begins = re.compile("[0-9]{1,3}(\\+([A-C])?)?")
    complete = re.compile("[0-9]{1,3}(\\+[A-C])?")
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        tokens: list[int] = []
        while END not in tokens:
            expected = [t for t in range(END) if begins.fullmatch(text_of([*tokens, t]))]
            expected += [END] if complete.fullmatch(text_of(tokens)) else []
            assert allowed(constraint, *tokens) == expected
            tokens.append(expected[torch.randint(len(expected), (), generator=generator)])
        assert allowed(constraint, *tokens) == []


def test_a_request_with_a_grammar_of_llguidance_is_drawn_exactly():
    sampler = Sampler(num_slots=1, vocab_size=100)
    constraint = TokenBitmask(llguidance_matcher("[0-9]{3}"), width=LETTERS)
    sampler.add(SamplingParams(seed=2), [], constraint=constraint)
    logits = torch.randn(4, 100, generator=torch.Generator().manual_seed(1))
    tokens = [sampler.step(row[None]).token_ids.item() for row in logits]
    assert re.fullmatch("[0-9]{3}", text_of(tokens[:3]))
    assert tokens[3] == END


class Broken(Written):
    def is_error(self) -> bool:
        return len(self.taken) > 1


def test_nothing_follows_an_error_of_the_matcher():
    constraint = TokenBitmask(Broken(-1), width=32)
    assert len(allowed(constraint, 1)) == 32
    assert allowed(constraint, 1, 2) == []


class WithEnd(Written):
    stop_token_ids = (70, 31)


@pytest.mark.parametrize(
    ("matcher", "width", "message"),
    [
        (object(), 8, "matcher: got .*an object with a method fill_next_token_bitmask or compute_bitmask or"),
        (Written(-1), 0, "width: got 0, must be an integer of at least 1"),
        (
            Written(-1, -1, -1),
            64,
            "width: got 64, must be the number of token ids that Written was made for .it says",
        ),
        (
            llguidance_matcher("[0-9]"),
            64,
            "width: got 64, must be .* LLMatcher was made for .it says: it has 3 words",
        ),
        (WithEnd(-1, -1, -1), 70, "width: got 70, must be more than 70, an end token of the matcher"),
    ],
)
def test_what_is_too_narrow_or_no_matcher_is_refused(matcher, width, message):
    with pytest.raises(InvalidArgument, match=message):
        TokenBitmask(matcher, width)
