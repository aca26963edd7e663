"""Stop strings against the definition, read one character at a time."""

from __future__ import annotations

from codecs import getincrementaldecoder
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.core.errors import InvalidRequest
from sampling.text.stop import StopStrings

texts = st.text("ab", max_size=24)
stops = st.lists(st.text("ab", min_size=1, max_size=5), max_size=4)
cuts = st.lists(st.integers(0, 24), max_size=12)


def by_definition(stop: list[str], text: str) -> tuple[str, str | None]:
    for end in range(1, len(text) + 1):
        for string in stop:
            if text[:end].endswith(string):
                return text[: end - len(string)], string
    return text, None


def could_become_a_match(stop: list[str], text: str) -> int:
    beginnings = [s[:n] for s in stop for n in range(1, len(s))]
    return max((len(b) for b in beginnings if text.endswith(b)), default=0)


def split(text: str, places: list[int]) -> list[str]:
    return [text[a:b] for a, b in pairwise([0, *sorted(min(p, len(text)) for p in places), len(text)])]


@settings(max_examples=400)
@given(stops, texts, cuts)
@example(["b", "ab"], "aab", [2])
@example(["abab", "ba"], "aababab", [3])
def test_any_split_gives_the_definition(stop: list[str], text: str, places: list[int]) -> None:
    matcher = StopStrings(stop)
    content = "".join(map(matcher.feed, split(text, places))) + matcher.flush()
    assert (content, matcher.matched) == by_definition(stop, text)
    assert matcher.characters == len(content)


@settings(max_examples=300)
@given(stops, texts, st.integers(0, 24), cuts, cuts)
@example(["aba"], "ababa", 3, [], [])
def test_only_what_ends_in_the_part_that_is_looked_at_counts(
    stop: list[str], text: str, first: int, places: list[int], others: list[int]
) -> None:
    matcher = StopStrings(stop)
    early, late = text[:first], text[first:]
    given_out = [matcher.feed(piece, looking=False) for piece in split(early, places)]
    given_out += [matcher.feed(piece) for piece in split(late, others)]
    ends = [(end, string) for end in range(len(early) + 1, len(text) + 1) for string in stop]
    found = next(((end, string) for end, string in ends if text[:end].endswith(string)), None)
    expected = (text, None) if found is None else (text[: found[0] - len(found[1])], found[1])
    assert ("".join(given_out) + matcher.flush(), matcher.matched) == expected


@given(stops, texts, cuts)
def test_exactly_what_may_still_become_a_match_is_held_back(
    stop: list[str], text: str, places: list[int]
) -> None:
    matcher = StopStrings(stop)
    read = given_out = ""
    for piece in split(text, places):
        read += piece
        given_out += matcher.feed(piece)
        if matcher.matched is None:
            assert given_out == read[: len(read) - could_become_a_match(stop, read)]


@pytest.mark.parametrize(
    ("stop", "text", "content", "matched"),
    [
        (["bcd", "c"], "abcd", "ab", "c"),  # "bcd" begins earlier, "c" is complete earlier
        (["c", "bc"], "abcd", "ab", "c"),  # both complete at "c": the list decides
        (["bc", "c"], "abcd", "a", "bc"),
        (["\n\n"], "one\n\ntwo", "one", "\n\n"),
        (["aab"], "aaab", "a", "aab"),
        (["x"], "x", "", "x"),
        (["xyz"], "abxy", "abxy", None),
        ([], "abc", "abc", None),
        (["é🙂"], "né🙂!", "n", "é🙂"),
    ],
)
def test_hand_made_cases(stop: list[str], text: str, content: str, matched: str | None) -> None:
    matcher = StopStrings(stop)
    assert matcher.feed(text) + matcher.flush() == content
    assert matcher.matched == matched


def test_match_that_ends_in_the_middle_of_a_piece() -> None:
    matcher = StopStrings(["STOP"])
    assert [matcher.feed(piece) for piece in ("a ST", "OP and more", "still more")] == ["a ", "", ""]
    assert (matcher.matched, matcher.characters, matcher.flush()) == ("STOP", 2, "")


def test_held_text_is_released_when_the_match_fails_and_at_the_end() -> None:
    matcher = StopStrings(["STOP"])
    assert [matcher.feed(piece) for piece in ("ST", "A", "S")] == ["", "STA", ""]
    assert (matcher.flush(), matcher.characters) == ("S", 4)


def test_match_on_decoded_text_with_characters_split_over_tokens() -> None:
    decoder, matcher = getincrementaldecoder("utf-8")("replace"), StopStrings(["\ufffd!"])
    tokens = [b"ok \xf0\x9f", b"\x99\x82 \xe2", b"!"]
    assert [matcher.feed(decoder.decode(token)) for token in tokens] == ["ok ", "🙂 ", ""]
    assert matcher.matched == "\ufffd!"


@pytest.mark.parametrize("stop", [[""], ["a", ""], "END"])
def test_bad_stop_strings_are_refused(stop: list[str]) -> None:
    with pytest.raises(InvalidRequest, match=r"^stop: got .*, must be a list of strings that are not empty$"):
        StopStrings(stop)
