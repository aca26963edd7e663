"""A host that generates one text at a time and calls a processor with arrays, against our own loop."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

from sampling import (
    FrequencyPenalty,
    History,
    InvalidArgument,
    RepetitionPenalty,
    Scope,
    Temperature,
    TopP,
    UnsampleableRow,
    chain,
    draw,
)
from sampling.adapters import hosts
from sampling.adapters.hosts import HOSTS
from sampling.adapters.one_sequence import OneSequence

EXTRAS = {"mlx_lm": "mlx"}
PROMPT, V = [5, 6, 5], 40
STAGES = chain(
    RepetitionPenalty(1.3, scope=Scope(prompt=True)), FrequencyPenalty(0.4), Temperature(1.2), TopP(0.9)
)
LOGITS = torch.randn(12, V, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture(autouse=True)
def host_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "version", lambda name: HOSTS[name][0])


def processor_of(text: OneSequence) -> Any:
    """What a host calls: of token ids [T] and logits [V], arrays both."""
    return lambda ids, row: text.next(ids.tolist(), torch.from_numpy(row.copy())[None])[0].numpy()


def own(seed: int, choice: int = 0) -> list[int]:
    history = History.start([PROMPT])
    for row in LOGITS:
        history.accept(draw(STAGES(row[None], history), seed=seed, choice=choice, history=history))
    return history.tokens[0, len(PROMPT) : int(history.lengths)].tolist()


def generated(processor: Any) -> list[int]:
    """What such a host does: it takes the most likely token."""
    ids = np.array(PROMPT, np.intc)
    for row in LOGITS.numpy():
        before = row.copy()
        scores = processor(ids, row)
        assert scores.dtype == row.dtype
        assert np.array_equal(row, before)
        ids = np.append(ids, np.intc(scores.argmax()))
    return ids[len(PROMPT) :].tolist()


@pytest.mark.parametrize("seed", [0, -7, 2**64 - 1])
def test_a_host_gets_the_tokens_of_our_own_loop(seed):
    assert generated(processor_of(OneSequence(STAGES, None, seed, 2))) == own(seed, 2)
    scores = processor_of(OneSequence(STAGES, None, seed))(np.array(PROMPT), LOGITS[0].numpy())
    assert np.isfinite(scores).sum() == 1


def test_a_pipeline_without_a_draw():
    processor = processor_of(OneSequence(STAGES, None, None))
    history = History.start([PROMPT])
    for step, token in enumerate([7, 7, 8]):
        scores = processor(np.array([*PROMPT, *[7, 7, 8][:step]]), LOGITS[step].numpy())
        assert np.array_equal(scores, STAGES(LOGITS[step][None], history)[0].numpy())
        history.accept(torch.tensor([token]))


def test_a_host_that_passes_the_last_token_of_the_prompt_alone():
    text, tokens = OneSequence(STAGES, PROMPT, 3), []
    for row in LOGITS:
        tokens.append(int(text.next([PROMPT[-1], *tokens], row[None]).argmax()))
    assert tokens == own(3)
    counted = OneSequence(RepetitionPenalty(2.0, scope=Scope(prompt=True)), PROMPT, None)
    assert counted.next([5], torch.full((1, V), 4.0))[0, 4:8].tolist() == [
        4.0,
        2.0,
        2.0,
        4.0,
    ]  # 6 as well as 5


@pytest.mark.parametrize("ids", [[5], [9, 9, 9, 9], [5, 6, 5, 1, 2]], ids=str)
def test_another_text_is_refused(ids):
    text = OneSequence(STAGES, None, 3)
    text.next(PROMPT, LOGITS[:1])
    with pytest.raises(InvalidArgument, match=r"token_ids: got .* make a new one for each text"):
        text.next(ids, LOGITS[:1])


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidArgument, match="temperature: got '2 values', must be one: a text is one row"):
        OneSequence(chain(Temperature([1.0, 2.0])), None, 1)
    with pytest.raises(InvalidArgument, match="seed"):
        OneSequence(STAGES, None, 2**64)
    with pytest.raises(UnsampleableRow, match="token 0 of the text cannot be sampled"):
        OneSequence(STAGES, None, 1).next(PROMPT, torch.full((1, V), -torch.inf))


@pytest.mark.parametrize("host", HOSTS)
def test_another_version_of_a_host_is_refused(monkeypatch, host):
    monkeypatch.setattr(hosts, "version", lambda name: "99.0")
    with pytest.raises(InvalidArgument, match=f"{host}: got '99.0', must be {re.escape(HOSTS[host][0])}"):
        hosts.check_host(host)


def test_a_host_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(HOSTS, "no-such-host", ("1.0",))  # pyright: ignore
    with pytest.raises(InvalidArgument, match=r"no-such-host: got 'not installed', must be 1\.0"):
        hosts.check_host("no-such-host")


def test_the_extras_install_what_the_adapters_were_tested_with():
    file = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(file.read_text())["project"]["optional-dependencies"]
    for host, versions in HOSTS.items():
        required = [Requirement(text) for text in extras[EXTRAS.get(host, host.replace("_", "-"))]]
        [specifier] = [one.specifier for one in required if one.name.replace("-", "_") == host]
        assert all(version in specifier for version in versions)
        assert "99.0" not in specifier
