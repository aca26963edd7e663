"""Long traces: what many lines have in common is checked and worked out once, and nothing is passed over for that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling import InvalidArgument, verify
from sampling.conformance.semantics import Semantics
from sampling.conformance.trace import steps
from sampling.conformance.trace.record import Reader, Record, checked, read_trace
from sampling.conformance.trace.steps import row_of, steps_of
from sampling.conformance.trace.tokens import Tokens
from sampling.core.reading import read_json
from sampling.dialects import DIALECTS

LISTED = [{"id": token, "logprob": math.log(share)} for token, share in ((1, 0.5), (7, 0.3), (4, 0.2))]


def line(token: int, **parts: object) -> dict[str, object]:
    """A completion of one token."""
    told = {
        "prompt_ids": [1, 2],
        "token_ids": [token],
        "params": {"temperature": 1, "top_p": 0.9},
        "top_logprobs": [LISTED],
        "engine": "m at http://127.0.0.1:8000/v1",
    }
    return {**told, **parts}


def written(path: Path, lines: list[object]) -> Path:
    """A trace; text stays as it is."""
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return path


def test_each_token_has_the_probability_of_its_own_situation(tmp_path: Path):
    """Against one token at a time, over lists, parameters and pasts that differ."""
    rng = np.random.default_rng(2)
    lines = []
    for _ in range(60):
        params = {
            "temperature": float(rng.choice([0.5, 2.0])),
            "presence_penalty": float(rng.choice([0, 1.5])),
        }
        lists = [LISTED[: rng.choice([3, 3, 2])] for _ in "12"]
        parts = {"token_ids": [1, int(rng.choice([1, 7]))], "params": params, "top_logprobs": lists}
        lines.append(line(1, **parts))
    found = [*steps_of(read_trace(written(tmp_path / "t", lines)))]
    tokens = Tokens.of(found)
    assert 4 <= len(tokens.situations) < len(found)
    for name in ("qstash", "llama.cpp"):
        own = Semantics.of(DIALECTS[name])
        alone = [row_of(step, own) for step in found]
        rows = tokens.rows(own)
        assert tokens.probabilities(rows).tolist() == [r[s.token] for r, s in zip(alone, found, strict=True)]
        below = [r[: s.token].sum() for r, s in zip(alone, found, strict=True)]
        assert tokens.below(rows) == pytest.approx(below, abs=1e-12)
    cold = tokens.where(lambda situation: situation.case.params["temperature"] < 1)
    kept = [step for step in found if step.situation.case.params["temperature"] < 1]
    assert [cold.situations[place] for place in cold.which] == [step.situation for step in kept]
    assert cold.drawn.tolist() == [step.token for step in kept]
    assert len(tokens.where(lambda _: False)) == len(Tokens.of([]).where(lambda _: True)) == 0


def test_what_lines_have_in_common_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls, plain = [0], steps.probabilities

    def counted(*given: object):
        calls[0] += 1
        return plain(*given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(steps, "probabilities", counted)
    seeded = [
        line(token, params={"temperature": 1, "top_p": 0.9, "seed": seed})
        for seed, token in enumerate([1, 7] * 400)
    ]
    taken = []
    for count in (2, 800):
        calls[0] = 0
        verify(written(tmp_path / "t", [*seeded[:count]]))
        taken.append(calls[0])
    assert 0 < taken[0] == taken[1]
    records = read_trace(tmp_path / "t")
    assert len({id(record.top_logprobs[0]) for record in records}) == 1
    assert [record.params["seed"] for record in records] == [*range(800)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"top_logprobs": [[{"id": True, "logprob": math.log(0.5)}, *LISTED[1:]]]},
            "top_logprobs.0.0.id: got True",
        ),
        (
            {"top_logprobs": [[{"id": 1.0, "logprob": math.log(0.5)}, *LISTED[1:]]]},
            "top_logprobs.0.0.id: got 1.0",
        ),
        ({"top_logprobs": [[{**LISTED[0], "rank": 1}, *LISTED[1:]]]}, "top_logprobs.0.0.rank"),
        ({"top_logprobs": [LISTED, LISTED]}, "top_logprobs: got 2, must be as long as token_ids"),
        ({"params": {"temperature": True, "top_p": 0.9}}, "params.temperature: got True"),
        ({"params": {"temperature": 1, "top_p": 0.9, "seed": True}}, "params.seed: got True"),
        ({"params": {"temperature": 1, "top_p": 0.9, "seed": 2**64}}, "params.seed: got 1844"),
        ({"choice": -1}, "choice: got -1"),
        ({"finish_reason": "eos"}, "finish_reason: got 'eos'"),
    ],
)
def test_what_looks_like_a_line_before_is_checked_by_itself(
    tmp_path: Path, change: dict[str, object], named: str
):
    with pytest.raises(InvalidArgument, match=f"trace, line 3.{named}"):
        read_trace(written(tmp_path / "t", [line(1), line(7), line(1, **change)]))


@pytest.mark.parametrize(
    ("old", "new", "twice"),
    [
        ('"token_ids": [1]', '"token_ids": [1], "token_ids": [1]', "token_ids"),
        ('"temperature": 1', '"temperature": 1, "temperature": 1', "temperature"),
        ('"id": 1,', '"id": 1, "id": 1,', "id"),
        ('"engine": "m', '"engine": "m\\u003a", "engine": "m', "engine"),
    ],
)
def test_a_key_that_a_line_has_twice_is_found_in_every_place(tmp_path: Path, old: str, new: str, twice: str):
    """Values with colons in them, escaped or not, hide none."""
    plain = json.dumps(line(1))
    assert old in plain
    with pytest.raises(InvalidArgument, match=f"trace, line 2: got '{twice}' twice in one object"):
        read_trace(written(tmp_path / "t", [plain, plain.replace(old, new, 1)]))


def test_numbers_that_json_does_not_have_are_none(tmp_path: Path):
    text = json.dumps(line(1, logprobs=[math.nan]))
    with pytest.raises(InvalidArgument, match="trace, line 1: got NaN, must be JSON"):
        read_trace(written(tmp_path / "t", [text]))


def outcome(read: Callable[[str], Record], text: str) -> tuple[object, str]:
    """What comes of reading a line: a record, or an error's words."""
    try:
        return read(text).model_dump(), ""
    except InvalidArgument as error:
        return None, str(error)


def strictly(text: str) -> Record:
    """Read a line by Python's parser, and look at all of it."""
    return checked(read_json(text, "trace, line 2"), 2)


WRITTEN = [
    json.dumps(line(1)),
    json.dumps(line(1), separators=(",", ":")),
    json.dumps(line(7, logprobs=None)),
]
JUNK = [
    "[",
    "]",
    "]]",
    "[[",
    "{",
    "}",
    ",",
    ":",
    '"',
    "\\",
    " ",
    "1",
    '"top_logprobs":[[',
    '"engine":"]]",',
    '"id":1,',
]


@given(st.data())
def test_a_line_that_differs_in_a_place_from_those_before_is_read_as_if_it_were_the_first(
    data: st.DataObject,
):
    text = data.draw(st.sampled_from(WRITTEN))
    for _ in range(data.draw(st.integers(1, 2))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 3, len(text))))
        text = text[:start] + data.draw(st.sampled_from(["", *JUNK])) + text[end:]
    reader = Reader()
    for number, plain in enumerate(WRITTEN):
        reader.read(plain, number)
    assert outcome(lambda one: reader.read(one, 2), text) == outcome(strictly, text)
    reader.read(WRITTEN[0], 3)
    assert outcome(lambda one: reader.read(one, 2), text) == outcome(strictly, text)


ODD = '{"prompt_ids":null,"token_ids":[1],"params":%s,"engine":"%s","top_logprobs":[[%s] ]%s}'
ENTRY = '{"id":1,"logprob":0.0}'
LISTS = '"top_logprobs":[[' + ENTRY + "]]"


@pytest.mark.parametrize(
    "text",
    [
        ODD % ("{}", "a", ENTRY, ""),
        ODD % ("{}", "]]", ENTRY, ""),
        (ODD % ("{}", "a", ENTRY + "] ,[" + ENTRY, "")).replace("] ]", "]]").replace("[1]", "[1,1]"),
        ODD % ("{}", "a", ENTRY, ',"version":"]]"'),
        ODD % ("{}", "a", ENTRY, ',"version":"","model":"x]]y"'),
        ODD % ("{" + LISTS + "}", "a", ENTRY, ""),
        ODD % ('{"logit_bias":{' + LISTS + "}}", "a", ENTRY, ""),
        (ODD % ("{}", "a", ENTRY, "")).replace("] ]", "]]")[:-1] + "," + LISTS + "}",
        (ODD % ("{}", "a", ENTRY, "")).replace("] ]", "]]")[:-1] + ',"top_logprobs":3}',
        '{"top_logprobs":3,' + (ODD % ("{}", "a", ENTRY, "")).replace("] ]", "]]")[1:],
        '{"top_logprobs":[[' + ENTRY + "]]}",
        '["top_logprobs",[[' + ENTRY + "]]]",
    ],
)
def test_brackets_in_odd_places_do_not_move_the_lists(text: str):
    reader = Reader()
    reader.read((ODD % ("{}", "a", ENTRY, "")).replace("] ]", "]]"), 1)
    for _ in range(3):
        assert outcome(lambda one: reader.read(one, 2), text) == outcome(strictly, text)


def test_lists_that_are_equal_are_one():
    """They are most of a trace."""
    reader, lines = Reader(), [json.dumps(line(1, params={"seed": seed})) for seed in range(3)]
    first = reader.read(lines[0], 1)
    for number in (1, 2):
        record = reader.read(lines[number], number + 1)
        assert record.params == {"seed": number}
        assert record.top_logprobs[0] is first.top_logprobs[0]
