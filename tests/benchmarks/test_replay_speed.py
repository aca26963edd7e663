"""The benchmark of replays compares ways that say the same, and its traces can be replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.replay.memory import peak_during, write_trace
from benchmarks.replay.speed import HASHED, ours, plain
from sampling.cli.main import main
from sampling.sampler.rules import Rule


@pytest.mark.parametrize("cut", [{}, {"top_k": 30, "top_p": 0.8}], ids=["whole", "cut"])
@pytest.mark.parametrize("rule", HASHED)
def test_the_ways_agree(rule: Rule, cut: dict[str, Any]) -> None:
    logits = 2 * torch.randn(70, 3000, generator=torch.Generator().manual_seed(6))
    token_ids = logits.argmax(-1)
    one, other = ours(rule, logits, token_ids, cut), plain(rule, logits, token_ids, cut)
    assert torch.equal(one.drawn, other.drawn)
    assert torch.equal(one.runner_up, other.runner_up)
    assert torch.allclose(one.logprobs, other.logprobs, atol=1e-4)


def test_its_trace_is_replayed_under_watch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trace(tmp_path, 2, 200)
    files = [str(tmp_path / "trace.jsonl"), "--logits", str(tmp_path / "logits.safetensors")]
    peak, seconds = peak_during(lambda: main(["replay", *files, "--rule", "vllm-0.33"]))
    assert "256 tokens" in capsys.readouterr().out
    assert peak >= 0
    assert seconds > 0
