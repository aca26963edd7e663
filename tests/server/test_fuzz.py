"""Some hundred generated requests of `benchmarks/soak/fuzz.py`; and that its judge notices when a server is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import sampling.chat.completion
import sampling.chat.prepared
import sampling.server.errors
import sampling.server.values
from sampling.core.errors import InvalidRequest

pytest.importorskip("benchmarks.soak", reason="a source distribution holds no benchmarks")
BODIES, CASES, WIRE = 300, 120, 60


@pytest.fixture(scope="module")
def soak() -> Iterator[Any]:
    """The scripts as modules."""
    from schemathesis.python import asgi

    from benchmarks.soak import fuzz, judge, serving

    yield SimpleNamespace(fuzz=fuzz, judge=judge, serving=serving)
    asgi.shutdown_lifespans()


def test_no_request_is_answered_wrongly_and_the_known_answer_comes_in_between(soak):
    parts = soak.fuzz.run(BODIES, CASES, 0)
    for part in parts:
        assert part.failures == []
    assert sum(part.statuses.total() for part in parts) >= 0.9 * (BODIES + CASES)
    assert sum(part.known_answers for part in parts) >= 0.09 * (BODIES + CASES)
    bodies, valid, invalid = (part.statuses for part in parts)
    assert min(bodies[status] for status in ("200", "400", "413")) > 0
    # the rest: what the judge takes for refusable, such as long prompts, and final messages that cannot be continued
    assert valid["200"] >= 0.75 * valid.total()
    assert valid["200"] + valid["400"] == valid.total()
    # a model of another name, which many of them have, is 404 whatever else is wrong
    assert invalid["400"] > 0.25 * invalid.total()


def test_nor_is_one_over_a_socket(soak, server):
    part = soak.fuzz.wire(soak.serving.Address(server.port), WIRE, 0)
    assert part.failures == []
    assert part.known_answers >= 5


def failures(soak, seed: int = 1) -> list[str]:
    """What is wrong with the answers to some bodies."""
    (part, *_) = soak.fuzz.run(60, 0, seed, ())  # the largest show none of these faults, and take longest
    return [failure["what"] for failure in part.failures]


def test_it_notices_what_is_no_json(soak, monkeypatch):
    monkeypatch.setattr(sampling.server.values, "read_json", lambda body: json.loads(body, strict=False))
    found = failures(soak, 3)  # the first seed whose bodies have this fault among few
    assert any(what.startswith("200 for None; the description blames ['body']") for what in found)


def test_it_notices_a_fault_of_the_server(soak, monkeypatch):
    original = sampling.chat.prepared.servable_params

    def fault(params, *others):
        if params.seed is None:
            raise RuntimeError("a fault of the test's")
        return original(params, *others)

    monkeypatch.setattr(sampling.chat.prepared, "servable_params", fault)
    assert "the message does not name None" in failures(soak)


def test_it_notices_that_another_field_is_blamed(soak, monkeypatch):
    original = sampling.server.errors.api_error

    def other(error):
        if isinstance(error, InvalidRequest) and error.param == "messages":
            return original(InvalidRequest("seed", error.value, error.allowed))
        return original(error)

    monkeypatch.setattr("sampling.server.replies.api_error", other)
    assert any(what.startswith("400 for 'seed'; the description blames") for what in failures(soak))


def test_it_notices_an_answer_that_is_not_as_described(soak, monkeypatch):
    original = sampling.chat.completion.choice_object
    monkeypatch.setattr(
        sampling.chat.completion, "choice_object", lambda *given: original(*given) | {"finish_reason": "end"}
    )
    assert "no Completion as described" in failures(soak)


def test_it_notices_that_one_request_changes_another(soak, monkeypatch):
    original, seen = sampling.server.values.read_json, []

    def counting(body):
        seen.append(body)
        value = original(body)
        later = len(seen) > 20 and isinstance(value, dict) and value.get("seed") == 1
        return value | {"max_tokens": 2} if later else value

    monkeypatch.setattr(sampling.server.values, "read_json", counting)
    assert any(what.startswith("the known answer is ") for what in failures(soak))


VALID = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
JUDGED = [
    (b"{", {"body"}, {400}),
    (b"\xff", {"body"}, {400}),
    (b'{"a": NaN}', {"body"}, {400}),
    (b'{"a": 1, "a": 1}', {"body"}, {400}),
    (b"[" * 100_000, {"body"}, {400}),
    (b"[" * 100 + b"]" * 100, {"body"}, {400}),
    (b"[]", {"body"}, {400}),
    (b" " * (2**20 + 1), {"body"}, {413}),
    (json.dumps(VALID).encode(), set(), {400}),
    (json.dumps({**VALID, "n": None}).encode(), set(), {400}),
    (json.dumps({**VALID, "n": 0}).encode(), {"n"}, {400}),
    (json.dumps({**VALID, "n": 1.0}).encode(), set(), {400}),
    (json.dumps({**VALID, "n": 1.5}).encode(), {"n"}, {400}),
    (json.dumps({**VALID, "n": True}).encode(), {"n"}, {400}),
    (json.dumps({**VALID, "model": "other"}).encode(), {"model"}, {404}),
    (json.dumps({**VALID, "model": "other", "n": 0}).encode(), {"model", "n"}, {400, 404}),
    (json.dumps({**VALID, "model": "\ud800"}).encode(), {"model"}, {400}),
    (
        json.dumps({"messages": [{"role": "user", "content": "\udfff"}]}).encode(),
        {"model", "messages"},
        {400},
    ),
    (json.dumps({**VALID, "\ud800": 1}).encode(), {"\\ud800"}, {400}),
]


@pytest.mark.parametrize(
    ("body", "faults", "status"), JUDGED, ids=[str(index) for index in range(len(JUDGED))]
)
def test_what_a_body_deserves(soak, body, faults, status):
    request = {
        "type": "object",
        "properties": {
            "model": {"enum": ["m"]},
            "messages": {"type": "array", "minItems": 1},
            "n": {"type": ["integer", "null"], "minimum": 1},
        },
        "required": ["model", "messages"],
        "additionalProperties": False,
    }
    verdict = soak.judge.Judge({"components": {"schemas": {"Request": request}}}).verdict(body)
    assert (verdict.faults, verdict.status) == (faults, status)


def test_a_hundred_levels_are_json(soak):
    assert soak.judge.deepest("[" * 100 + '"[[[\\"["' + "]" * 100) == 100
    assert soak.judge.strictly_read(b'{"a": ' * 100 + b"1" + b"}" * 100)
