"""The command line, run as a user runs it."""

import json
import re
import subprocess
import sys

import pytest
from toy_variants import variant

from sampling.cli.main import main
from sampling.toy import CHECKPOINT

QUESTION = "What is the capital of Turkey?"
ANSWER = "The capital of Turkey is Ankara."


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_chat_prints_the_answer_then_a_line_about_the_run(capsys):
    code, out, err = run(capsys, "chat", QUESTION, "--temperature", "0", "--seed", "5")
    assert (code, out) == (0, ANSWER + "\n")
    assert err.startswith("8 tokens, ")
    assert err.endswith("tokens/s, seed 5\n")


def test_json_prints_the_response_and_nothing_else(capsys):
    code, out, err = run(capsys, "chat", QUESTION, "--json", "--temperature", "0", "--seed", "1")
    assert (code, err) == (0, "")
    response = json.loads(out)
    assert response["choices"][0]["message"]["content"] == ANSWER
    assert response["usage"]["completion_tokens"] == 8


def test_same_request_twice_gives_the_same_bytes(capsys):
    flags = ("chat", QUESTION, "--json", "--logprobs", "--top-logprobs", "5", "--seed", "1")
    first, second = (json.loads(run(capsys, *flags)[1]) for _ in range(2))
    assert first.pop("id") != second.pop("id")
    first.pop("created")
    second.pop("created")
    assert json.dumps(first) == json.dumps(second)
    entries = first["choices"][0]["logprobs"]["content"]
    content = first["choices"][0]["message"]["content"]
    assert bytes(byte for entry in entries for byte in entry["bytes"]) == content.encode()
    assert all(len(entry["top_logprobs"]) == 5 for entry in entries)


def test_probabilities_show_every_token(capsys):
    _, out, _ = run(capsys, "chat", QUESTION, "--temperature", "0", "--probabilities")
    table = out.removeprefix(ANSWER + "\n").splitlines()
    assert [line.split()[0] for line in table[1:]] == [
        "The",
        "·capital",
        "·of",
        "·Turkey",
        "·is",
        "·Ankara",
        ".",
        "<|eot_id|>",
    ]
    assert all("%" in line for line in table[1:])


def test_several_choices_are_numbered(capsys):
    _, out, _ = run(capsys, "chat", QUESTION, "--temperature", "0", "--n", "2")
    assert out == f"[0] {ANSWER}\n[1] {ANSWER}\n"


def test_prefill_is_the_beginning_of_the_answer(capsys):
    code, out, _ = run(capsys, "chat", QUESTION, "--prefill", "The capital of Turkey", "--temperature", "0")
    assert (code, out) == (0, " is Ankara.\n")


def test_what_a_checkpoint_says_is_told(capsys, tmp_path, caplog):
    """Its defaults of sampling, and what its chat template reads of the clock, which a flag pins."""
    dated = "{{ strftime_now('%Y') }}" + (CHECKPOINT / "chat_template.jinja").read_text()
    folder = variant(tmp_path, generation={"temperature": 0.0}, files={"chat_template.jinja": dated})
    flags = ("chat", QUESTION, "--model", str(folder), "--dialect", "vllm")
    code, _, err = run(capsys, *flags, "--seed", "1")
    assert code == 0
    assert "generation_config.json: temperature 0.0 where a request leaves them out" in caplog.text
    found = re.search(r"seed 1, chat template kwargs (.*)\n", err)
    assert found
    assert json.loads(found[1])["strftime_now"].keys() == {"%Y"}
    pinned = run(capsys, *flags, "--seed", "1", "--chat-template-kwargs", found[1])
    assert pinned[2].endswith("seed 1\n")


def test_explain_shows_each_stage_of_each_step(capsys):
    flags = ("--temperature", "0.8", "--top-p", "0.9", "--presence-penalty", "0.5", "--seed", "1")
    code, out, _ = run(capsys, "explain", "Name a fruit.", *flags)
    steps = out.split("\n\n")
    assert code == 0
    assert steps[-1].splitlines()[-1] == "seed 1"
    for step in steps[:-1]:
        names = [line.split()[0] for line in step.splitlines()[2:]]
        assert names == ["model", "presence_penalty", "temperature", "top_p"]


ERRORS = [
    (
        ("chat", "x", "--logit-bias", '{"1": 1, "1": 2}'),
        "logit_bias: got '1' twice in one object, must be JSON that names each key once",
    ),
    (
        ("chat", "x", "--temperature", "2.1"),
        "sampling chat: temperature: got 2.1, must be a number from 0 to 2",
    ),
    (
        ("chat", "x", "--temperature", "warm"),
        "sampling chat: temperature: got 'warm', must be a number from 0 to 2",
    ),
    (
        ("chat", "x", "--temperature", "nan"),
        "sampling chat: temperature: got nan, must be a number from 0 to 2",
    ),
    (("chat", "x", "--seed", "1.5"), "sampling chat: seed: got 1.5, must be an integer from"),
    (("chat", "x", "--logit-bias", "oops"), "sampling chat: logit_bias: got 'oops', must be JSON (Expecting"),
    (("chat", "x", "--logit-bias", "[]"), "sampling chat: logit_bias: got [], must be an object"),
    (
        ("chat", "x", "--logit-bias", '{"99999": 1}'),
        "sampling chat: logit_bias: got 99999, must be token ids below",
    ),
    (
        ("chat", "x", "--top-logprobs", "2"),
        "sampling chat: top_logprobs: got 2, must be left out (or 0) unless",
    ),
    (
        ("chat", "x", *["--stop", "a"] * 5),
        "sampling chat: stop: got ['a', 'a', 'a', 'a', 'a'], must be a list of at",
    ),
    (("chat", "x", "--dialect", "gpt"), "sampling chat: dialect: got 'gpt', must be one of qstash"),
    (("chat", "x", "--dtype", "int8"), "sampling chat: dtype: got 'int8', must be one of float32, bfloat16"),
    (("chat", "x", "--device", "gpu"), "sampling chat: device: got 'gpu', must be "),
    (("chat", "x", "--model", "/no/such/place"), "sampling chat: /no/such/place: not a directory"),
    (
        ("chat", "x", "--stream-options", '{"include_usage": true}'),
        "sampling chat: stream_options: got {'include_usage': True}, must be left out unless stream is true",
    ),
    (
        ("chat", "x", "--dialect", "openai", "--top-k", "5"),
        "top_k: got 5, must be left out: the dialect 'openai' has no top_k; or serve with --dialect qstash (",
    ),
    (
        ("chat", "x", "--min-tokens", "5"),
        "the dialect 'qstash' has no min_tokens; or serve with --dialect vllm-0.4 (",
    ),
    (
        ("chat", "x", "--ignore-eos"),
        "the dialect 'qstash' has no ignore_eos; or serve with --dialect vllm-0.4 (",
    ),
    (
        ("chat", "x", "--response-format", '{"type": "xml"}'),
        "response_format.type: got 'xml', must be one of",
    ),
    (
        ("chat", "x", "--chat-template-kwargs", '{"tools": []}'),
        "sampling chat: chat_template_kwargs.tools: got [], must be left out: tools and documents are not offered",
    ),
    (
        ("chat", "x", "--prefill", "y", "--dialect", "openai"),
        "sampling chat: continue_final_message: got True, must be left out: the dialect 'openai' has no",
    ),
    (("chat", "x" * 3000, "--max-tokens", "5"), "sampling chat: messages: got 'a prompt of "),
    (("explain", "x", "--n", "2"), "sampling: unrecognized arguments: --n 2"),
    (("explain", "x", "--stream-options", "{}"), "sampling: unrecognized arguments: --stream-options {}"),
    (("chat",), "sampling chat: the following arguments are required: text"),
    (
        ("chta", "x"),
        "sampling: argument {chat,explain,serve,verify,probe,record,replay}: invalid choice: 'chta'",
    ),
    (("chat", "x", "--tmp", "1"), "sampling: unrecognized arguments: --tmp 1"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[str(index) for index in range(len(ERRORS))])
def test_errors_are_one_line_and_exit_code_two(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "sampling", "chat", QUESTION, "--temperature", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "sampling chat: temperature: got 3, must be a number from 0 to 2; or serve with "
    )
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m sampling explain '{QUESTION}' --temperature 0 | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_fields_of_engines(capsys):
    """Twelve tokens whatever the model wants to say, and an end at a token of one's own."""
    flags = ("--dialect", "vllm", "--temperature", "0", "--top-k", "-1", "--json")
    ending = ("--max-tokens", "12", "--min-tokens", "12", "--ignore-eos")
    code, out, _ = run(capsys, "chat", "Hi", *flags, *ending)
    assert (code, json.loads(out)["usage"]["completion_tokens"]) == (0, 12)
    code, out, _ = run(capsys, "chat", "Hi", *flags, "--stop-token-ids", json.dumps([*range(128)]))
    assert code == 0
    assert json.loads(out)["choices"][0]["finish_reason"] == "stop"
