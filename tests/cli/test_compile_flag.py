"""`--compile`: the same answers from compiled steps, and one line where nothing can be compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server.live import live
from torch._dynamo.callback import CallbackArgs, CallbackTrigger, callback_handler
from torch._dynamo.utils import counters

from sampling import load
from sampling.cli.main import main, parser
from sampling.generate.decode import before_compiling
from sampling.server import ServerOptions
from sampling.server.logs import logging_to_standard_error

TEXT = "Name a fruit."
MESSAGES = [{"role": "user", "content": TEXT}]
NUMBERS = {
    "temperature": 1.3,
    "top_p": 0.9,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "seed": 3,
    "max_tokens": 12,
}
GRAPHS = 3  # at least: the trial whether anything compiles, the model's step, the sampler's
FLAGS = [part for name, value in NUMBERS.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture
def log_of_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """Makes an announcement, and gives what a server writes to standard error for it."""

    def announce() -> str:
        with (tmp_path / "log").open("w") as errors:
            monkeypatch.setattr(sys, "stderr", errors)
            with logging_to_standard_error(), before_compiling(1):
                callback_handler.run_start_callbacks(CallbackArgs(CallbackTrigger.DYNAMO, "0/0"))
        return (tmp_path / "log").read_text()

    return announce


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The choice of the eager library."""
    return load(None).chat(MESSAGES, logprobs=True, **NUMBERS)["choices"][0]


def is_the_same(choice: dict[str, Any], told: dict[str, Any]) -> bool:
    """Whether a choice has the same text and ending, and the same log probabilities but for rounding."""
    pairs = zip(choice["logprobs"]["content"], told["logprobs"]["content"], strict=True)
    same = ("message", "finish_reason")
    return all(choice[name] == told[name] for name in same) and all(
        one["logprob"] == pytest.approx(other["logprob"], abs=1e-4) for one, other in pairs
    )


@pytest.mark.usefixtures("traced")
def test_a_compiled_chat_is_the_same_chat(capsys: pytest.CaptureFixture[str], told: dict[str, Any]) -> None:
    before = counters["stats"]["unique_graphs"]
    assert main(["chat", TEXT, *FLAGS, "--logprobs", "--json", "--compile"]) == 0
    assert counters["stats"]["unique_graphs"] >= before + GRAPHS
    assert is_the_same(json.loads(capsys.readouterr().out)["choices"][0], told)


@pytest.mark.usefixtures("traced")
def test_a_compiled_server_answers_the_same(told: dict[str, Any]) -> None:
    before = counters["stats"]["unique_graphs"]
    with live(load(None, compile=True), ServerOptions(max_batch=1)) as server:
        reply = server.chat(MESSAGES, logprobs=True, **NUMBERS)
    assert counters["stats"]["unique_graphs"] >= before + GRAPHS
    assert is_the_same(reply.json["choices"][0], told)


@pytest.mark.parametrize("command", [["chat", TEXT], ["explain", TEXT], ["serve"]])
def test_every_command_that_decodes_has_the_flag(command: list[str]) -> None:
    assert [parser().parse_args([*command, *flag]).compile for flag in ([], ["--compile"])] == [False, True]


def test_the_server_announces_in_its_log(log_of_the_server: Callable[[], str]) -> None:
    (line,) = log_of_the_server().splitlines()
    told = json.loads(line)
    assert (told["level"], told["event"].partition(":")[0]) == (
        "warning",
        "compiling the decode step of 1 row",
    )


def test_where_nothing_can_be_compiled_one_line_says_why() -> None:
    command = [sys.executable, "-m", "sampling", "chat", TEXT, "--compile"]
    environment = os.environ | {"CXX": "/no/such/compiler"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "sampling chat: compile: got True, must be False, since torch cannot compile here ("
    )
    assert "/no/such/compiler" in done.stderr
    assert done.stderr.count("\n") == 1


def test_compiled_steps_do_not_spread_over_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "0")
    assert main(["chat", TEXT, "--compile"]) == 2
    assert capsys.readouterr().err == "sampling chat: compile: got True, must be False with parallel\n"
