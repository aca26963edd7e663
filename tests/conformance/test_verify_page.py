"""docs/verify.md: its commands run, its flags are there, its verdicts are all; tests/test_docs.py runs its Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from server.live import live

from sampling import load
from sampling.cli.main import main
from sampling.cli.options import OneLineParser
from sampling.cli.verify_flags import add_record_flags, add_verify_flags
from sampling.conformance.trace.record import write_trace
from sampling.conformance.trace.recorder import from_loop
from sampling.conformance.verdict import Verdict
from sampling.dialects.qstash import QSTASH
from sampling.server import ServerOptions

PAGE = Path(__file__).parents[2] / "docs" / "verify.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
ALL = re.findall(r"^    sampling (verify [^#\n]*[^# \n])", TEXT, re.MULTILINE)
WITH_A_RULE = [command for command in ALL if "--rule" in command]  # test_proof.py runs what they name
COMMANDS = [command for command in ALL if command not in WITH_A_RULE]
SAMPLER = "from sampling.conformance.reference import reference\nsample = reference('qstash')\n"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a source distribution holds no docs")


def test_each_kind_of_target_has_a_command():
    assert len(COMMANDS) == len(WITH_A_RULE) == 3


@pytest.mark.parametrize("command", WITH_A_RULE)
def test_the_commands_with_a_rule_are_understood(command: str):
    parser = OneLineParser()
    add_verify_flags(parser)
    assert parser.parse_args(command.split()[1:]).rule == "vllm-0.33"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(capsys, monkeypatch, tmp_path: Path, command: str):
    toy = load(None)
    (tmp_path / "engine.py").write_text(SAMPLER)
    write_trace(from_loop(toy, QSTASH, 16, seed=0), tmp_path / "engine.jsonl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    check = "reported.mass" if "--trace" in command else "bias.ban"
    with live(toy, ServerOptions()) as server:
        arguments = command.replace(":8000", f":{server.port}").split()
        assert main([*arguments, "--checks", check]) == 0
    assert re.search(rf"{check} +conforms", capsys.readouterr().out)


def test_the_flags_that_it_names_are_there():
    parser = OneLineParser()
    add_verify_flags(parser)
    recording = OneLineParser()
    add_record_flags(recording)
    known = {flag for one in (parser, recording) for action in one._actions for flag in action.option_strings}
    named = set(re.findall(r"--[a-z][a-z-]+", TEXT))
    assert named - known == set()


def test_every_verdict_is_explained():
    rows = re.findall(r"^\| ([a-z ]+) \| ", TEXT, re.MULTILINE)
    assert {*Verdict} <= {*rows}
