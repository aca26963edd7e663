"""Two processes with a part of the model each compute what one process with all of it computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from model.parallel_rank import QUESTION, REQUESTS, SHORTER, STEPS, TEXT, outgrown, replayed, seen
from vllm_draws import written

from sampling import load
from sampling.cli.main import main
from sampling.core.errors import InvalidArgument
from sampling.model import load_llama

SCRIPT = Path(__file__).with_name("parallel_rank.py")
PROCESSES = 2
PATIENCE = 600.0  # seconds; processes that disagree on what comes next wait for each other
GOOD: dict[str, dict[str, Any]] = {
    "good-groups": {"num_attention_heads": 8, "num_key_value_heads": 2},
    "good-tied": {"tie_word_embeddings": True},
    "good-wide-heads": {"head_dim": 24, "num_key_value_heads": 4},
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "bad-heads": (
        {"num_key_value_heads": 1},
        "InvalidArgument: num_key_value_heads: got 1, must be a multiple of the number of processes, which is 2",
    ),
    "bad-channels": (
        {"intermediate_size": 81},
        "InvalidArgument: intermediate_size: got 81, must be a multiple of the number of processes, which is 2",
    ),
}
TRACES = ("trace-changed", "trace-lost")


def torchrun(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in several processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*start, str(script), str(folder)], capture_output=True, text=True, env=environment, timeout=PATIENCE
    )


def cut_off(trace: Path) -> None:
    """Have the fourth record, the second process's, name logits that are not there."""
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    lines[3]["logits"] = "elsewhere"
    trace.write_text("\n".join(map(json.dumps, lines)))


@dataclass(frozen=True)
class Run:
    """What each process saw, what they wrote, and where the models are."""

    ranks: list[dict[str, Any]]
    stdout: str
    stderr: str
    folder: Path
    oracles: dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, new_oracle: Callable[..., Any]) -> Run:
    folder = tmp_path_factory.mktemp("parallel")
    oracles = {name: new_oracle(folder / name, **shape) for name, shape in GOOD.items()}
    for name, (shape, _) in BAD.items():
        new_oracle(folder / name, num_hidden_layers=1, **shape)
    for name in TRACES:
        (folder / name).mkdir()
        # the wrong rules survive the two tokens of the first record; the second and the third are replayed at a time
        written(folder / name, [1, 2, 30, 2**40, -7], changed=[(1, 17), (2, 5)], first=2)
    cut_off(folder / "trace-lost" / "trace.jsonl")
    ended = torchrun(SCRIPT, folder)
    assert ended.returncode == 0, ended.stderr
    ranks = [torch.load(folder / f"rank-{rank}.pt") for rank in range(PROCESSES)]
    return Run(ranks, ended.stdout, ended.stderr, folder, oracles)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("what", ["whole", "stepped"])
def test_logits_are_those_of_one_process(run: Run, name: str, what: str) -> None:
    expected = seen(load_llama(run.folder / name))[what]
    assert expected.abs().max() > 2  # so that the tolerance means something
    assert (run.ranks[0]["models"][name][what] - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("name", GOOD)
def test_logits_are_those_of_transformers(run: Run, name: str) -> None:
    found, oracle = run.ranks[0]["models"][name], run.oracles[name]
    assert (found["whole"] - oracle.logits(TEXT)).abs().max() <= 2e-5
    for row, length in enumerate((len(TEXT), SHORTER)):
        assert found["stepped"][row].argmax(-1).tolist() == oracle.greedy(TEXT[:length], STEPS + 1)


@pytest.mark.parametrize("name", GOOD)
def test_logits_are_the_same_bits_everywhere(run: Run, name: str) -> None:
    first, *others = (rank["models"][name] for rank in run.ranks)
    for other in others:
        assert torch.equal(first["whole"], other["whole"])
        assert torch.equal(first["stepped"], other["stepped"])
    assert all(torch.equal(run.ranks[0]["logits"], rank["logits"]) for rank in run.ranks)


@pytest.mark.parametrize("name", GOOD)
def test_each_process_holds_its_share(run: Run, name: str) -> None:
    whole = load_llama(run.folder / name)
    cut = [parameter.numel() for parameter in whole.parameters() if parameter.ndim == 2]
    norms = sum(parameter.numel() for parameter in whole.parameters() if parameter.ndim == 1)
    held = [rank["models"][name]["weights"] - norms for rank in run.ranks]
    assert sum(held) == sum(cut)
    assert max(held) <= sum(cut) / PROCESSES + 2 * 64  # a vocabulary of 97 is cut into 49 and 48
    keys = seen(whole)["cache"]
    assert [rank["models"][name]["cache"] for rank in run.ranks] == [keys // PROCESSES] * PROCESSES


@pytest.mark.parametrize("request_name", [name for name in REQUESTS if name != "no seed"])
def test_answers_are_those_of_one_process(run: Run, request_name: str) -> None:
    expected = load(None).chat(QUESTION, **REQUESTS[request_name])
    for rank in run.ranks:
        found = rank["answers"][request_name]
        assert found["usage"] == expected["usage"]
        for choice, other in zip(found["choices"], expected["choices"], strict=True):
            assert choice["message"] == other["message"]
            assert choice["finish_reason"] == other["finish_reason"]


def test_rows_that_outgrow_their_room_are_those_of_one_process(run: Run) -> None:
    expected = outgrown(load(None), full=False)["tokens"]
    assert [rank["outgrown"]["tokens"] for rank in run.ranks] == [expected] * PROCESSES


def test_where_memory_of_one_process_ends_all_refuse(run: Run) -> None:
    first, second = (rank["outgrown"]["refused"] for rank in run.ranks)
    assert first.startswith("max_tokens: memory ends (in another process)")
    assert second.startswith("max_tokens: memory ends (1,3")  # half of the keys and values of 1,024 positions


def test_a_fresh_seed_is_one_for_all(run: Run) -> None:
    first, *others = (rank["answers"]["no seed"] for rank in run.ranks)
    for other in others:
        assert other["seed"] == first["seed"]
        assert other["choices"] == first["choices"]


def test_the_fingerprint_is_one_for_all_and_tells_that_the_model_is_split(run: Run) -> None:
    (found,) = {rank["answers"]["greedy"]["system_fingerprint"] for rank in run.ranks}
    assert found != load(None).fingerprint("qstash")


@pytest.mark.parametrize("name", BAD)
def test_a_shape_that_can_not_be_divided_is_refused(run: Run, name: str) -> None:
    assert {rank["refused"][name] for rank in run.ranks} == {BAD[name][1]}


def test_the_command_answers_once(run: Run) -> None:
    expected = load(None).chat(QUESTION, temperature=1.5, seed=3)
    assert run.stdout == expected["choices"][0]["message"]["content"] + "\n"
    assert run.stderr.count("tokens/s") == 1


def test_a_replay_reports_what_that_of_one_process_does(run: Run) -> None:
    trace = run.folder / "trace-changed" / "trace.jsonl"
    report = trace.with_name("report.json")
    together = report.read_bytes()
    report.unlink()
    code, printed = replayed(trace)
    assert code == 1
    assert [rank["replayed"]["trace-changed"] for rank in run.ranks] == [(1, printed), (1, "")]
    assert together == report.read_bytes()


def test_a_record_that_one_process_cannot_replay_is_named_by_all(run: Run) -> None:
    trace = run.folder / "trace-lost" / "trace.jsonl"
    assert not trace.with_name("report.json").exists()
    refused = replayed(trace)
    assert "record 4.logits: got 'elsewhere'" in str(refused[0])
    assert [rank["replayed"]["trace-lost"] for rank in run.ranks] == [refused] * PROCESSES


def test_a_server_does_not_spread(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "0")
    assert main(["serve", "--port", "0"]) == 2
    words = "torchrun: got 'serve', must be chat, explain or replay: a server does not spread over processes"
    assert capsys.readouterr().err == f"sampling serve: {words}\n"


def test_outside_torchrun_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(InvalidArgument, match=r"^parallel: got True, must be False outside torchrun$"):
        load(None, parallel=True)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("cuda:1", r"^device: got 'cuda:1', must be 'cpu', or 'cuda', of which each process takes its own$"),
        ("cuda", r"^device: got 'cuda', must be one with a GPU for each of the 2 processes; 1 are there$"),
    ],
)
def test_a_device_that_does_not_suffice_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, words: str
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidArgument, match=words):
        load(None, device=device, parallel=True)
