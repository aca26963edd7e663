"""`sampling verify` and `sampling record`, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from cli.redirection import redirected
from conformance.sockets import sending
from server.live import PATIENCE, eventually, live

from sampling import load
from sampling.cli.main import main
from sampling.cli.options import OneLineParser
from sampling.cli.verify_flags import add_endpoint_flags
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.trace.recorder import from_loop
from sampling.server import ServerOptions

SAMPLERS = """
from sampling.conformance.reference import reference
right, wrong = reference("qstash"), reference("llama.cpp")
number = 7
def raising(*question): return {}["logits"]
def narrow(logits): return 0
def silent(*question): return None
def leaving(*question): raise SystemExit(3)
def ending(*question): raise GeneratorExit("no more")
"""
CHECKS = ("--checks", "truncation.temperature-order", "bias.ban")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def _samplers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a module of samplers, where the command runs."""
    (tmp_path / "own_samplers.py").write_text(SAMPLERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture(scope="module")
def url():
    with live(load(None), ServerOptions()) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.mark.usefixtures("_samplers")
def test_a_callable_that_conforms(capsys):
    code, out, err = run(capsys, "verify", "--callable", "own_samplers:right", *CHECKS)
    assert (code, err) == (0, "")
    assert re.search(r"truncation.temperature-order +conforms", out)


@pytest.mark.usefixtures("_samplers")
def test_a_callable_that_deviates(capsys):
    code, out, _ = run(capsys, "verify", "--callable", "own_samplers:wrong", *CHECKS)
    assert code == 1
    assert re.search(r"truncation.temperature-order +deviates", out)


@pytest.mark.usefixtures("_samplers")
@pytest.mark.parametrize(
    "name", ["own_samplers", "own_samplers:none", "no_module:f", "own_samplers:number", ""]
)
def test_what_is_no_callable_is_refused(capsys, name: str):
    code, _, err = run(capsys, "verify", "--callable", name)
    assert code == 2
    assert err.startswith("sampling verify: callable: got ")


@pytest.mark.usefixtures("_samplers")
def test_json_goes_to_standard_output_alone(capsys):
    code, out, _ = run(capsys, "verify", "--callable", "own_samplers:right", *CHECKS, "--json")
    told = json.loads(out)
    assert code == told["exit_code"] == 0
    assert [*told["checks"]] == ["truncation.temperature-order", "bias.ban"]


def test_an_endpoint_with_all_outputs_and_reference_weights(capsys, url: str, tmp_path: Path):
    files = {name: tmp_path / name for name in ("json", "junit", "html")}
    flags = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    checks = ("--checks", "temperature.zero", "reported.bytes")
    code, out, _ = run(capsys, "verify", url, "--reference", "toy", *checks, *flags, "--methods")
    assert code == 0
    assert "the reference weights: 20 log probabilities differ" in re.sub(r"\s+", " ", out)
    assert "We verified sampling-toy at" in re.sub(r"\s+", " ", out)
    assert json.loads(files["json"].read_text())["header"]["legs"] == [
        "self-consistency",
        "reference weights",
    ]
    assert Xml.parse(files["junit"]).getroot().get("failures") == "0"
    assert files["html"].read_text().startswith("<!DOCTYPE html>")


def test_dry_run_sends_nothing(capsys):
    code, out, _ = run(capsys, "verify", "http://127.0.0.1:9", "--dry-run")
    assert code == 0
    requests = int(re.search(r"about ([\d,]+) requests", out)[1].replace(",", ""))  # pyright: ignore[reportOptionalSubscript]
    assert 1000 <= requests <= 1500


def test_nobody_there_is_2(capsys):
    """And is not waited for."""
    for model in (["--model", "m"], []):
        code, out, err = run(capsys, "verify", "http://127.0.0.1:9", *model)
        assert (code, out) == (2, "")
        words = "no answer in 1 try, the last with: ConnectError: Connection refused"
        assert err == f"sampling verify: {'m' if model else 'a model'} at http://127.0.0.1:9/v1: {words}\n"


def test_an_endpoint_that_is_starting_is_waited_for_and_that_is_told(capsys, monkeypatch):
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda *_: None)
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\nConnection: close\r\n\r\nloading"
    with sending(lambda: [answer]) as url:
        code, _, err = run(capsys, "verify", url, "--model", "m", "--tries", "4")
    *waits, last = err.splitlines()
    assert code == 2
    assert last == f"sampling verify: m at {url}/v1: no answer in 4 tries, the last with: HTTP 503: loading"
    assert waits
    told = r"sampling verify: http://.*: HTTP 503: loading; try [1-3] of 4, the next in \d+ s"
    assert all(re.fullmatch(told, words) for words in waits)


def test_a_model_that_is_not_there_is_one_line_with_the_servers_words(capsys, url: str):
    code, out, err = run(capsys, "verify", url, "--model", "another")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "HTTP 404" in err
    assert "another" in err.partition("HTTP 404")[2]


@pytest.mark.usefixtures("_samplers")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_samplers:raising", "KeyError: 'logits'"),
        ("own_samplers:narrow", "TypeError"),
        ("own_samplers:silent", "got None, which is no token id"),
        ("own_samplers:leaving", "SystemExit: 3"),
        ("own_samplers:ending", "GeneratorExit: no more"),
    ],
)
def test_a_callable_that_never_answers_is_one_line(capsys, name: str, words: str):
    code, out, err = run(capsys, "verify", "--callable", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.usefixtures("_samplers")
@pytest.mark.parametrize("text", ["def f(:", "1 / 0", "import sys; sys.exit(0)"])
def test_a_module_that_can_not_be_imported_is_one_line(capsys, tmp_path: Path, text: str):
    (tmp_path / "broken_samplers.py").write_text(text)
    code, _, err = run(capsys, "verify", "--callable", "broken_samplers:f")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("sampling verify: callable: got ")


@pytest.mark.parametrize(("more", "words"), [((), "--transcript"), (("--transcript", "t"), "goes on from")])
def test_an_interruption_says_how_to_go_on(capsys, monkeypatch, tmp_path, more: tuple[str, ...], words: str):
    def interrupted(*_target: object, **_settings: object):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sampling.conformance.endpoint.target.EndpointTarget.reach", interrupted)
    code, _, err = run(capsys, "verify", "http://127.0.0.1:9", *more)
    assert (code, err.count("\n")) == (130, 1)
    assert words in err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_interrupted_goes_on_where_it_was(
    capsys, url: str, tmp_path: Path, sent: signal.Signals
):
    command = ("verify", url, "--checks", "truncation.temperature-order", "--json", "--transcript")
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    first = subprocess.Popen(
        [sys.executable, "-m", "sampling", *command, str(parts)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert eventually(lambda: lines_of(parts) > 10)
        first.send_signal(sent)
        out, err = first.communicate(timeout=PATIENCE)
    finally:
        first.kill()
    if first.returncode == 0:
        pytest.skip("it had finished before the signal came")
    assert first.returncode == 2
    assert err == f"sampling verify: interrupted; the same command goes on from {parts}\n"
    partial = json.loads(out)
    assert partial["ended"] == "interrupted"
    assert partial["checks"]["truncation.temperature-order"]["verdict"] == "inconclusive"
    kept = parts.read_text()
    resumed, uninterrupted = run(capsys, *command, str(parts)), run(capsys, *command, str(whole))
    assert lines_of(whole) > len(kept.splitlines()), "it was interrupted too late to show anything"
    assert parts.read_text().startswith(kept)
    assert lines_of(parts) == lines_of(whole), "something was asked twice, or not at all"
    assert json.loads(resumed[1])["checks"] == json.loads(uninterrupted[1])["checks"]


def lines_of(file: Path) -> int:
    """How many lines a file has; none if it is not there."""
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_budget_and_a_transcript(capsys, url: str, tmp_path: Path):
    flags = ("--checks", "temperature.zero", "--transcript", str(tmp_path / "t"))
    first = run(capsys, "verify", url, *flags, "--max-requests", "10")
    assert first[0] == 2
    assert "--max-requests" in first[1]
    assert run(capsys, "verify", url, *flags, "--max-requests", "35")[0] == 0


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        ((), "target"),
        (("http://a", "--trace", "b"), "target"),
        (("ftp://a",), "url"),
        (("http://a", "--dialect", "gpt"), "dialect"),
        (("http://a", "--checks", "bias.none"), "checks"),
        (("http://a", "--max-requests", "0"), "max_requests"),
        (("http://a", "--timeout", "soon"), "timeout"),
        (("http://a", "--timeout", "1e10"), "timeout"),
        (("http://a", "--html", "/no/such/folder/x"), "html"),
        (("http://a", "--junit", "/"), "junit"),
        (("http://", "--dry-run"), "url"),
        (("http://a", "--transcript", "/"), "transcript"),
        (("--callable", "a:b", "--model", "m"), "model"),
        (("--callable", "a:b", "--transcript", "t"), "transcript"),
        (("--callable", "a:b", "--timeout", "60"), "timeout"),
        (("--callable", "a:b", "--tries", "6"), "tries"),
        (("--callable", "a:b", "--seed", "-1"), "callable"),
        (("--trace", "t", "--timeout", "60"), "timeout"),
        (("--trace", "t", "--tries", "6"), "tries"),
        (("--trace", "t", "--seed", "0"), "seed"),
        (("--callable", "a:b", "--reference", "toy"), "reference"),
        (("http://a", "--tries", "0"), "tries"),
        (("http://a", "--seed", "-1"), "seed"),
        (("http://a", "--json", "--methods"), "methods"),
        (
            ("http://a", "--json", "x", "--html", "./x"),
            "html: got './x', must be another file than that of json",
        ),
        (("http://a", "--transcript", "x", "--junit", "x"), "junit"),
        (("--trace", "x", "--json", "x"), "json"),
        (
            ("http://a", "--html", "-", "--junit", "-"),
            "html: got '-', must be another file than that of junit",
        ),
        (("--trace", "/no/such/file"), "trace"),
    ],
)
def test_wrong_flags_are_named(capsys, flags: tuple[str, ...], field: str):
    code, out, err = run(capsys, "verify", *flags)
    assert (code, out) == (2, "")
    assert err.startswith(f"sampling verify: {field}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (("--model", "m"), "model"),
        (("--timeout", "60"), "timeout"),
        (("--tries", "6"), "tries"),
        (("--max-requests", "9"), "max_requests"),
        (("--dialect", ""), "dialect"),
        (("--requests", "0"), "requests"),
        (("http://a", "--dialect", "qstash"), "dialect"),
        (("http://a", "--reference", "toy"), "reference"),
        (("http://a", "--difr", "d"), "difr"),
        (("http://a", "--seed", "x"), "seed"),
    ],
)
def test_wrong_flags_of_record_are_named(capsys, tmp_path: Path, flags: tuple[str, ...], field: str):
    (tmp_path / "t").write_text("an older trace")
    code, out, err = run(capsys, "record", "--out", str(tmp_path / "t"), *flags)
    assert (code, out) == (2, "")
    assert err.startswith(f"sampling record: {field}: got ")
    assert err.count("\n") == 1
    assert (tmp_path / "t").read_text() == "an older trace"


def test_other_names_of_a_file_are_the_file(capsys, tmp_path: Path):
    trace, hard, soft, away = (tmp_path / name for name in ("t", "hard", "soft", "away"))
    trace.write_text("an older trace")
    hard.hardlink_to(trace)
    soft.symlink_to(trace)
    away.symlink_to(tmp_path / "no folder" / "x")
    for file, flag, words in (
        (hard, "json", "another file than that of trace"),
        (soft, "junit", "another file"),
    ):
        code, _, err = run(capsys, "verify", "--trace", str(trace), f"--{flag}", str(file))
        assert (code, err.startswith(f"sampling verify: {flag}: got "), words in err) == (2, True, True)
    code, _, err = run(capsys, "record", "--out", str(away))
    assert (code, "a file in a folder that exists" in err) == (2, True)
    assert trace.read_text() == "an older trace"


def test_a_trace_and_its_other_form_are_two_files(capsys, tmp_path: Path):
    file = str(tmp_path / "t")
    code, _, err = run(capsys, "record", "--out", file, "--difr", file)
    assert (code, err) == (2, f"sampling record: difr: got {file!r}, must be another file than that of out\n")
    code, _, err = run(capsys, "record", "--out", os.devnull, "--difr", file)
    assert (code, err.partition(", must")[0]) == (2, f"sampling record: out: got {os.devnull!r}")


def test_a_pipe_is_a_file_that_can_be_written():
    command = [sys.executable, "-m", "sampling", "record", "--requests", "2", "--out", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2


def test_a_fault_of_the_library_is_no_result(capsys, monkeypatch):
    monkeypatch.setattr("sampling.cli.verify.target_of", lambda _: 1 / 0)
    code, out, err = run(capsys, "verify", "http://127.0.0.1:9")
    assert (code, out) == (2, "")
    assert "ZeroDivisionError" in err


def test_a_recording_that_is_interrupted_says_what_it_kept(capsys, tmp_path: Path, monkeypatch):
    def three(*given: object):
        yield from [*from_loop(*given)][:3]
        raise KeyboardInterrupt

    monkeypatch.setattr("sampling.cli.record.from_loop", three)
    file = tmp_path / "t"
    code, _, err = run(capsys, "record", "--out", str(file), "--requests", "4")
    assert (code, err) == (130, f"sampling record: interrupted; 3 completions in {file}\n")
    assert lines_of(file) == 3


def test_the_help_tells_the_defaults_that_hold(monkeypatch):
    monkeypatch.setattr(RetryPolicy, "seconds", 7.5)
    monkeypatch.setattr(RetryPolicy, "tries", 11)
    parser = OneLineParser()
    add_endpoint_flags(parser)
    told = re.sub(r"\s+", " ", parser.format_help())
    assert "seconds for an answer (default: 7.5)" in told
    assert "how often to send a request (default: 11)" in told


def test_record_then_verify_the_trace(capsys, tmp_path: Path):
    file, other = tmp_path / "trace.jsonl", tmp_path / "difr.json"
    code, _, err = run(capsys, "record", "--out", str(file), "--difr", str(other), "--requests", "224")
    assert (code, err) == (0, f"224 completions in {file}\n")
    assert len(json.loads(other.read_text())["samples"][0]["outputs"]) == 224
    code, out, _ = run(
        capsys, "verify", "--trace", str(file), "--checks", "reported.mass", "temperature.zero"
    )
    assert code == 0
    assert re.search(r"temperature.zero +conforms", out)


def test_record_an_endpoint(capsys, url: str, tmp_path: Path):
    code, _, _ = run(capsys, "record", url, "--out", str(tmp_path / "t"), "--requests", "20")
    assert code == 0
    assert len((tmp_path / "t").read_text().splitlines()) == 20


def test_a_trace_stays_until_the_endpoint_answers(capsys, tmp_path: Path):
    (tmp_path / "t").write_text("an older trace")
    code, _, err = run(capsys, "record", "http://127.0.0.1:9", "--model", "m", "--out", str(tmp_path / "t"))
    assert (code, err.count("\n")) == (2, 1)
    assert "ConnectError" in err
    assert err.endswith(f"; {tmp_path / 't'} is as it was\n")
    assert (tmp_path / "t").read_text() == "an older trace"


@pytest.mark.usefixtures("_samplers")
def test_a_report_on_standard_output_comes_behind_the_table(tmp_path: Path):
    """Nothing of either is lost where standard output is a file, nor what was in the file before."""
    (tmp_path / "report").write_text("an older report\n")
    flags = ("--callable", "own_samplers:right", "--checks", "bias.ban", "--json", "/dev/stdout")
    with (tmp_path / "report").open("a") as file:
        done = subprocess.run(
            [sys.executable, "-m", "sampling", "verify", *flags],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
        )
    table, brace, report = (tmp_path / "report").read_text().partition("{\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert table.startswith("an older report\nown_samplers:right, ")
    assert "bias.ban  conforms" in table
    assert json.loads(brace + report)["checks"]["bias.ban"]["verdict"] == "conforms"


@pytest.mark.parametrize("place", ["file", os.devnull])
def test_what_is_read_again_is_no_standard_stream(capsys, tmp_path: Path, place: str):
    with redirected(1, tmp_path / place):
        code, _, err = run(capsys, "verify", "http://127.0.0.1:9", "--transcript", "/dev/stdout")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("sampling verify: transcript: got '/dev/stdout', must be another file than")


def test_a_pipe_is_no_transcript(capsys, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    code, _, err = run(capsys, "verify", "http://127.0.0.1:9", "--transcript", str(tmp_path / "pipe"))
    assert (code, "must be an ordinary file" in err, err.count("\n")) == (2, True, 1)
