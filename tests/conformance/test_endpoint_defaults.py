"""Defaults of an endpoint's own are found, each under its name, and a server without any has none."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from conformance.letters import lettered
from conformance.quirks import Quirk, defaults, without

from sampling.conformance.endpoint import defaults as module
from sampling.conformance.endpoint.defaults import HYPOTHESES, Seen, defaults_of, evidence, seen_in
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.reply import Choice, Message
from sampling.conformance.semantics import Semantics
from sampling.dialects.qstash import QSTASH


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch):
    """What is looked for here shows in fewer."""
    monkeypatch.setattr(module, "ENOUGH", 300)


def told(ask: Quirk) -> str:
    """What is said about an endpoint's defaults."""
    return defaults_of(EndpointContext(lettered(ask=ask), Semantics.of(QSTASH)))


def test_no_default_is_found_where_there_is_none():
    found = told(lambda asked: asked)
    assert found.startswith("no default with an effect was noticed")
    assert "a temperature of 0.8" in found


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": 0.6, "top_p": 0.9}, ("temperature of about 0.", "top_p of about 0.")),  # vLLM's
        ({"temperature": 0}, ("temperature of 0",)),  # mlx_lm.server's
        ({"top_k": 5}, ("top_k of about 5",)),
        (  # llama.cpp's
            {"temperature": 0.8, "top_p": 0.95, "min_p": 0.05},
            ("temperature of about 0.", "top_p of about 0.9", "min_p of about 0.0"),
        ),
    ],
)
def test_defaults_are_found_under_their_names(values: dict[str, float], words: tuple[str, ...]):
    found = told(defaults(**values))
    assert found.startswith("defaults are in force where fields are left out: ")
    assert all(part in found for part in words)
    assert not any(name in found for name in ("temperature", "top_p", "top_k", "min_p") if name not in values)
    for name, low, high in re.findall(r"(\w+) of (?:about )?[\d.]+ \(([\d.]+) to ([\d.]+) fit\)", found):
        assert float(low) <= values[name] <= float(high), found


def test_defaults_are_found_by_biases_where_no_log_probabilities_are_listed():
    def ask(asked):
        return defaults(temperature=0.5)(without("logprobs", "top_logprobs")(asked))

    assert "temperature of about 0." in told(ask)


def seen(own: dict[str, object], *listed: dict[str, object]) -> list[Seen]:
    """The one position of a message."""
    content = [{**own, "top_logprobs": [*listed]}]
    return seen_in(Choice(message=Message(content="x"), logprobs={"content": content}))


def test_a_sampled_token_is_found_by_its_id_or_not_looked_at():
    """llama.cpp shows a part of a character as "" in the entry and as U+FFFD in the list."""
    letter = {"token": "A", "logprob": -1.5, "id": 6}
    part = {"token": "\ufffd", "logprob": -0.5, "id": 5}
    (found,) = seen({"token": "", "logprob": -0.5, "id": 5}, letter, part)
    assert found.place == 0
    without_ids = ({name: value for name, value in entry.items() if name != "id"} for entry in (letter, part))
    assert seen({"token": "", "logprob": -0.5}, *without_ids) == []
    (rare,) = seen({"token": "Z", "logprob": -9.0, "id": 7}, letter, part)
    assert rare.place is None


def test_evidence_is_what_is_computed_by_hand_for_lists_of_any_length():
    """Of the probabilities 1/2, 1/4, 1/8, the third came before; of 3/4, 1/8, the token drawn is none of both."""
    long = np.log([0.5, 0.25, 0.125]), np.array([False, False, True])
    short = np.log([0.75, 0.125]), np.array([False, False])
    drawn = [Seen(0, *long), Seen(2, *long), Seen(None, *short)]
    sharpened = (
        0.25 + 0.0625 + 0.015625 + 0.125 * 0.125
    )  # at half the temperature; others as if each were the least of the listed
    ratios = {
        ("temperature", 0): [2.0, 0.0, 0.0],
        ("temperature", 0.5): [
            0.25 / sharpened / 0.5,
            0.015625 / sharpened / 0.125,
            0.015625 / (0.5625 + 0.015625 + 0.015625) / 0.125,
        ],
        ("top_p", 0.7): [1 / 0.75, 0.0, 0.0],
        ("top_k", 1): [2.0, 0.0, 0.0],
        ("min_p", 0.4): [1 / 0.75, 0.0, 0.0],
        ("a penalty", 1.0): [1 / (0.875 + 0.125 / math.e), 1 / math.e / (0.875 + 0.125 / math.e), 1.0],
    }
    hypotheses = [HYPOTHESES[name][value] for name, value in ratios]
    expected = [sum(math.log(0.99 * ratio + 0.01) for ratio in drawn) for drawn in ratios.values()]
    assert evidence(drawn, hypotheses) == pytest.approx(expected)
