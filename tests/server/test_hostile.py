"""A short run of `benchmarks/soak/hostile.py`; and that it notices when a server is wrong."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from sampling.server.protocol import HttpConnection

pytest.importorskip("benchmarks.soak", reason="a source distribution holds no benchmarks")
DEADLINES = {"keep_alive": 0.3, "head_timeout": 0.2, "body_timeout": 0.2, "write_timeout": 0.2}
ALWAYS = ("half a head", "half a body", "a body byte by byte", "late bytes", "leaves", "too large a body")
ALSO = ("chunks without end", "idle", "no HTTP", "one side closed")


@pytest.fixture(scope="module")
def soak() -> SimpleNamespace:
    """The scripts as modules."""
    from benchmarks.soak import disconnects, hostile, load, mischief, mix, serving

    return SimpleNamespace(
        disconnects=disconnects, hostile=hostile, load=load, mischief=mischief, mix=mix, serving=serving
    )


def endings(soak, port: int, *kinds: str) -> Any:
    """How clients that misbehave end, some in each way."""
    address, chance = soak.serving.Address(port), random.Random(3)
    return soak.hostile.counted(
        [(kind, soak.hostile.ended(address, kind, chance)) for kind in kinds for _ in range(2)]
    )


def test_each_way_to_misbehave_ends_as_it_should_and_others_get_their_answers(soak, serving):
    server = serving(**DEADLINES)
    address, pool = soak.serving.Address(server.port), soak.mix.mixed(6, 7)
    expected = soak.load.alone(address, pool)
    found = endings(soak, server.port, *ALWAYS, *ALSO)
    assert found["wrong_endings"] == {}
    assert {key.partition(":")[0] for key in found["by_kind_and_ending"]} == {*ALWAYS, *ALSO}
    assert soak.load.alone(address, pool) == expected
    assert soak.serving.seconds_until(lambda: not soak.disconnects.occupied(address)) is not None


def test_all_ways_are_looked_at(soak):
    assert {*soak.mischief.MISCHIEF} == {*ALWAYS, *ALSO, "never reads", "reads in drops"}


def test_it_notices_a_client_that_is_not_answered(soak, serving, monkeypatch):
    monkeypatch.setattr(HttpConnection, "eof_received", lambda _: False)
    server = serving(**DEADLINES)
    assert endings(soak, server.port, "one side closed")["wrong_endings"] == {"one side closed: closed": 2}


def test_it_notices_a_head_that_is_waited_for(soak, serving, monkeypatch):
    monkeypatch.setattr(soak.mischief, "PATIENCE", 0.5)
    server = serving(**{**DEADLINES, "head_timeout": 60})
    assert endings(soak, server.port, "half a head")["wrong_endings"] == {"half a head: open": 2}
