"""Chat templates that refuse, fail, or do not end, over HTTP."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server.command import served
from server.live import ANSWER, PATIENCE, QUESTION, Live, Reply, eventually, live, read_reply
from toy_variants import variant

from sampling import load
from sampling.server import ServerOptions
from sampling.text import template
from sampling.toy import CHECKPOINT

TOY = (CHECKPOINT / "chat_template.jinja").read_text()
ENDLESS = "{% for a in range(9**5) %}{% for b in range(9**5) %}{% endfor %}{% endfor %}"

Serving = Callable[..., Live]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Serves the built-in model with a chat template of its own, or other changes to its files."""
    running: list[Any] = []

    def start(source: str = TOY, *, dialect: str = "qstash", **changes: Any) -> Live:
        loaded = load(variant(tmp_path, files={"chat_template.jinja": source}, **changes))
        manager = live(loaded, ServerOptions(dialect=dialect, names=("m",)))
        running.append(manager)
        return manager.__enter__()

    yield start
    for manager in running:
        manager.__exit__(None, None, None)


def test_what_a_template_refuses_is_a_400_in_the_user_s_own_words(serving):
    server = serving(
        f"{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no ' ~ messages[0].content) }}}}{{% endif %}}{TOY}"
    )
    system = [{"role": "system", "content": "<|eot_id|> é"}, *QUESTION]
    reply = server.chat(system)
    assert reply.status == 400
    assert reply.error["param"] == "messages"
    assert "accepts (it says: no <|eot_id|> é)" in reply.error["message"]
    assert server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("source", ["{% endfor %}", "{{ messages[0].content.x.y }}"])
def test_a_template_that_renders_nothing_says_so(serving, source, stream):
    reply = serving(source).chat(stream=stream)
    assert reply.status == 500
    assert reply.error["code"] == "checkpoint_error"
    assert reply.error["message"].startswith("tokenizer: chat template, ")


def test_one_that_fails_on_these_messages_only_is_a_400(serving):
    reply = serving("{{ messages[1].content.x.y if messages | length > 1 else 'a' }}").chat(QUESTION * 2)
    assert (reply.status, reply.error["param"]) == (400, "messages")


def test_variables_and_continued_messages_go_over_http(serving):
    server = serving("{{ strftime_now('%Y') }}{{ note }}" + TOY, dialect="vllm")
    start = [*QUESTION, {"role": "assistant", "content": "The capital of Turkey"}]
    reply = server.chat(
        start,
        temperature=0,
        continue_final_message=True,
        add_generation_prompt=False,
        chat_template_kwargs={"note": ""},
    )
    assert reply.json["choices"][0]["message"]["content"] == " is Ankara."
    assert reply.json["chat_template_kwargs"].keys() == {"note", "strftime_now"}
    pinned = server.chat(temperature=0, chat_template_kwargs=reply.json["chat_template_kwargs"])
    assert "chat_template_kwargs" not in pinned.json
    refused = server.chat(chat_template_kwargs={"messages": []})
    assert (refused.status, refused.error["param"]) == (400, "chat_template_kwargs.messages")
    both = server.chat(start, continue_final_message=True, add_generation_prompt=True)
    assert (both.status, both.error["param"]) == (400, "add_generation_prompt")


def test_the_checkpoint_s_defaults_are_a_dialect_s(serving):
    values = {"temperature": 0.0, "max_new_tokens": 3}
    server = serving(generation=values, dialect="vllm")
    answers = [server.chat(seed=seed).json for seed in range(4)]
    assert {answer["choices"][0]["message"]["content"] for answer in answers} == {"The capital of"}
    assert {answer["usage"]["completion_tokens"] for answer in answers} == {3}


def test_a_template_that_does_not_end_stops_nobody_else(serving, monkeypatch):
    """Its request ends at the deadline; the server answers meanwhile, and renders others afterwards."""
    monkeypatch.setattr(template, "SECONDS", 3.0)
    server = serving(f"{{% if messages[0].content == 'endless' %}}{ENDLESS}{{% endif %}}{TOY}")
    replies: list[Reply] = []
    asking = threading.Thread(
        target=lambda: replies.append(server.chat([{"role": "user", "content": "endless"}]))
    )
    asking.start()
    assert server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER
    assert server.send("/health").status == 200
    assert not replies
    asking.join(PATIENCE)
    assert replies[0].status == 400
    assert "that the chat template renders within 3 seconds" in replies[0].error["message"]
    assert server.chat(temperature=0).status == 200


def test_a_signal_ends_the_server_while_a_template_is_rendered(tmp_path):
    """By one operation that lets no other thread of its process run. Nothing is left of the process that renders.

    Before its first request the server has told what its dialect makes of the checkpoint's defaults.
    """
    endless = {"chat_template.jinja": "{{ 9 ** (9 ** (messages | length + 8)) }}"}
    folder = variant(tmp_path / "model", files=endless, generation={"temperature": 0.6})
    with served(tmp_path, "--model", str(folder), "--dialect", "sglang") as server:
        assert "generation_config.json: temperature 0.6 where a request" in server.log.read_text()
        asked = server.ask({"model": "model", "messages": QUESTION})
        assert eventually(lambda: renderers(server.process.pid) != [])
        numbers = renderers(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        assert read_reply(asked).status == 400
        asked.close()
        assert server.process.wait(PATIENCE) == 0
    assert not any(Path(f"/proc/{number}").exists() for number in numbers)


def renderers(parent: int) -> list[int]:
    """The processes that render for a server."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            of_parent = f"PPid:\t{parent}\n" in (process / "status").read_text()
            if of_parent and b"renderer.py" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found
