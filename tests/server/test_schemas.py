"""JSON schemas over HTTP: what is refused is 400 and names the field, and one that takes its time holds up nobody else."""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from server.live import PATIENCE

from sampling.helper import Helper
from sampling.server import create_app, run
from sampling.text import grammar

PARAM = "response_format.json_schema.schema"
ENDLESS = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
GROWING = {
    "$defs": {
        "d0": {"type": "string"},
        **{
            f"d{i}": {"allOf": [{"items": {"$ref": f"#/$defs/d{i - 1}", "minItems": 1}}] * 2}
            for i in range(1, 20)
        },
        **{
            f"e{i}": {"prefixItems": [{"$ref": f"#/$defs/e{i - 1}", "minItems": 0}] * 2} for i in range(1, 20)
        },
        "e0": {"type": "string"},
    },
    "anyOf": [{"$ref": "#/$defs/d19"}, {"$ref": "#/$defs/e19"}],
}


def asked(server, schema, **fields):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return server.chat(response_format=form, max_tokens=20, temperature=0, **fields)


@pytest.mark.parametrize(
    ("schema", "param", "words"),
    [
        (ENDLESS, PARAM, "a schema that a finite text fits"),
        (GROWING, PARAM, "at most 5000 parts"),
        ({"properties": {f"p{i}": {} for i in range(10_000)}}, PARAM, "optional properties"),
        ({"items": {"$ref": "https://example.com/"}}, f"{PARAM}.items.$ref", "nothing is fetched"),
        ({"type": "objekt"}, PARAM, "Invalid type"),
        ({"x-guidance": {"lenient": True}}, f"{PARAM}.x-guidance", "left out"),
    ],
    ids=["endless", "growing", "large", "remote", "unknown type", "options"],
)
def test_a_schema_that_is_refused(server, schema, param, words):
    reply = asked(server, schema)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert words in reply.error["message"]
    assert len(reply.content) < 1000


def test_one_that_takes_its_time_holds_up_nobody_else(server, monkeypatch, tmp_path):
    """The trial waits for the test: meanwhile everybody else is answered, also with a schema that is known."""
    ready, gate, program = tmp_path / "ready", tmp_path / "gate", tmp_path / "program.py"
    program.write_text(
        "import time\nfrom pathlib import Path\n"
        f"def answer(question):\n    Path({str(ready)!r}).touch()\n"
        f"    while not Path({str(gate)!r}).exists():\n        time.sleep(0.01)\n"
    )
    known = {"enum": ["known"]}
    assert asked(server, known).json["choices"][0]["message"]["content"] == '"known"'
    slow = Helper(program, memory=2**30, longest=2**20)
    monkeypatch.setattr(grammar, "TRIAL", slow)
    monkeypatch.setattr(grammar, "SECONDS", PATIENCE)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asked, server, {"enum": ["waiting"]})
        while not ready.exists():
            assert not waiting.done()
        try:
            assert server.send("/health").status == 200
            assert server.chat(max_tokens=3).status == 200
            assert asked(server, known).status == 200
            assert not waiting.done()
        finally:
            gate.touch()
        assert waiting.result(PATIENCE).json["choices"][0]["message"]["content"] == '"waiting"'
    slow.close()


def test_a_message_is_read_as_it_was_meant(server):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 30}},
        "required": ["city"],
    }
    reply = asked(server, {**schema, "additionalProperties": False}, n=3)
    for choice in reply.json["choices"]:
        assert set(json.loads(choice["message"]["content"])) == {"city"}


def test_what_all_schemas_share_is_there_before_the_first_request(serving, toy, monkeypatch):
    """With a vocabulary of 128,000 tokens it takes seconds, in which no thread of Python's runs."""
    monkeypatch.delitem(vars(toy), "grammars", raising=False)
    serving()
    assert {"tokenizer", "json_object", "_json_value"} <= vars(toy.grammars).keys()


def test_the_collector_does_not_look_through_what_stays(toy, monkeypatch):
    """Half a million objects of torch and transformers would take it a while, each time."""
    frozen = []
    monkeypatch.setattr(run.Server, "run", lambda _, sockets: frozen.append((sockets, gc.get_freeze_count())))
    run.serve(create_app(toy), "socket", print)
    gc.unfreeze()
    ((sockets, count),) = frozen
    assert sockets == ["socket"]
    assert count > 100_000
