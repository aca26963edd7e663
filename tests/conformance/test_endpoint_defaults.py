"""Defaults of an endpoint's own are found, each under its name, and a server without any has none."""

from __future__ import annotations

import pytest
from conformance.letters import lettered
from conformance.quirks import Quirk, defaults, without

from sampling.conformance.endpoint import defaults as module
from sampling.conformance.endpoint.defaults import defaults_of
from sampling.conformance.endpoint.lab import EndpointLab
from sampling.conformance.semantics import Semantics
from sampling.dialects.qstash import QSTASH


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch):
    """What is looked for here shows in fewer."""
    monkeypatch.setattr(module, "ENOUGH", 300)


def told(ask: Quirk) -> str:
    """What is said about an endpoint's defaults."""
    return defaults_of(EndpointLab(lettered(ask=ask), Semantics.of(QSTASH)))


def test_no_default_is_found_where_there_is_none():
    assert told(lambda asked: asked).startswith("no default with an effect was noticed")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": 0.6, "top_p": 0.9}, ("temperature of about 0.", "top_p of about 0.")),  # vLLM's
        ({"temperature": 0}, ("temperature of 0",)),  # mlx_lm.server's
        ({"top_k": 5}, ("top_k of about 5",)),
    ],
)
def test_defaults_are_found_under_their_names(values: dict[str, float], words: tuple[str, ...]):
    found = told(defaults(**values))
    assert found.startswith("defaults are in force where fields are left out: ")
    assert all(part in found for part in words)
    assert not any(name in found for name in ("temperature", "top_p", "top_k", "min_p") if name not in values)


def test_defaults_are_found_by_biases_where_no_log_probabilities_are_listed():
    def ask(asked):
        return defaults(temperature=0.5)(without("logprobs", "top_logprobs")(asked))

    assert "temperature of about 0." in told(ask)
