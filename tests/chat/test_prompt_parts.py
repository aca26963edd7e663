"""Long prompts beside others: read part by part, in turns, and with the bits that they have alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from sampling import dialect, load
from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.language_model import LanguageModel
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.cli.main import main
from sampling.core.errors import NotEnoughMemory
from sampling.generate.prefill import PREFILL_CHUNK
from sampling.server import ServerOptions
from sampling.server.service import Service

QSTASH = dialect("qstash")
ENDLESS = {"logit_bias": {"2043": -100, "2047": -100}, "temperature": 1.5}
LONG = "What is the capital of Peru? " * 220  # four parts, the last one short


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    """The built-in checkpoint, as if it had a longer context."""
    loaded = load(None)
    loaded.model.config = replace(loaded.model.config, max_position_embeddings=4096)
    return loaded


@pytest.fixture
def work(toy: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What goes through the model: the width of each part of a prompt, 0 for a step."""
    seen: list[int] = []
    forward = toy.model.next_logits

    def noted(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(0 if len(tokens) > 1 else tokens.shape[1])
        return forward(tokens, *rest)

    monkeypatch.setattr(toy.model, "next_logits", noted)
    return seen


def completion(toy: LanguageModel, text: str, **fields: Any) -> Completion:
    request = ChatRequest.parse({"messages": [{"role": "user", "content": text}], **fields})
    return Completion(prepare(toy, request, QSTASH))


def batch_of(toy: LanguageModel, rows: int = 5) -> ChatBatch:
    return ChatBatch(toy, QSTASH, rows=rows, capacity=4096)


def turn(batch: ChatBatch) -> None:
    batch.prefill()
    if batch.decoding:
        batch.step()


def test_others_step_between_any_two_parts(toy, work):
    batch, stream = batch_of(toy), completion(toy, "Hi", seed=1, max_tokens=40, **ENDLESS)
    batch.add(stream)
    turn(batch)
    long = completion(toy, LONG, seed=2, max_tokens=3)
    batch.add(long)
    work.clear()
    while long.running:
        turn(batch)
    assert len(long.prepared.prompt_ids) > 3 * PREFILL_CHUNK
    assert work[: work.index(len(long.prepared.prompt_ids) % PREFILL_CHUNK)] == [PREFILL_CHUNK, 0] * 3
    assert len(stream.choices[0].tokens) == len(work) - 4 + 1


def test_several_long_prompts_take_turns(toy, work):
    batch = batch_of(toy)
    one, two = (completion(toy, LONG, seed=seed, max_tokens=2) for seed in (1, 2))
    batch.add(one)
    batch.prefill()
    batch.add(two)
    short = [completion(toy, "Hi", seed=seed, max_tokens=9) for seed in range(2)]
    for each in short:
        batch.add(each)
    turns: list[list[int]] = []
    through: list[Completion] = []
    while batch._coming:
        before = len(work)
        through += [completion for completion, _ in batch.prefill()]
        turns.append(work[before:])
    assert through == [*short, one, two]  # no short prompt waits for a long one to be through
    whole, last, width = (
        [PREFILL_CHUNK],
        len(one.prepared.prompt_ids) % PREFILL_CHUNK,
        len(short[0].prepared.prompt_ids),
    )
    assert turns == [whole, whole, [width, width], whole, whole, [last], whole, [last]]
    assert max(map(sum, turns)) <= PREFILL_CHUNK


def test_short_prompts_share_a_turn(toy, work):
    batch = batch_of(toy)
    for seed in range(5):
        batch.add(completion(toy, "Hi", seed=seed, max_tokens=2))
    assert len(batch.prefill()) == 5
    assert sum(work) <= PREFILL_CHUNK


FIELDS = {"seed": 7, "temperature": 1.3, "logprobs": True, "top_logprobs": 3, "max_tokens": 5}


@pytest.mark.parametrize(("length", "choices"), [(70, 1), (72, 3), (150, 1)])  # 500, 514 and 1,060 tokens
def test_a_prompt_beside_others_has_the_bits_that_it_has_alone(toy, length, choices):
    text = "What is the capital of Peru? " * length
    alone = completion(toy, text, n=choices, **FIELDS)
    batch = batch_of(toy)
    batch.add(alone)
    list(batch.run())
    batch, beside = batch_of(toy), completion(toy, text, n=choices, **FIELDS)
    batch.add(completion(toy, "Name a fruit.", seed=1, max_tokens=99, **ENDLESS))
    turn(batch)
    batch.add(beside)
    turn(batch)
    batch.add(completion(toy, LONG, seed=3, max_tokens=30, **ENDLESS))
    while beside.running:
        turn(batch)
    assert beside.response()["choices"] == alone.response()["choices"]


def test_neighbours_have_the_bits_that_they_have_alone(toy):
    """While another row outgrows its room, twice, and leaves."""
    fields = {"seed": 5, "max_tokens": 30, "logprobs": True, **ENDLESS}
    alone, beside = completion(toy, "Hi", **fields), completion(toy, "Hi", **fields)
    batch = batch_of(toy)
    batch.add(alone)
    list(batch.run())
    batch = batch_of(toy)
    batch.add(beside)
    turn(batch)
    base = completion(toy, "Peru? " * 160, seed=2).prepared.prompt_ids
    for missing in (512, 1024):
        other = completion(toy, "Peru? " * 160, seed=2, max_tokens=9, **ENDLESS)
        other.prepared = replace(other.prepared, prompt_ids=[*base * 4][: missing - 5])
        batch.add(other)
        while other.running:
            turn(batch)
    list(batch.run())
    assert beside.response()["choices"] == alone.response()["choices"]


def test_a_prompt_can_be_given_up_between_its_parts(toy, work):
    batch, long = batch_of(toy), completion(toy, LONG, seed=1, n=4)
    batch.add(long)
    batch.prefill()
    assert batch.running
    assert batch.free_rows == 1
    batch.remove(long)
    assert not batch.running
    assert batch.free_rows == 5
    assert batch.prefill() == []
    assert work == [PREFILL_CHUNK]


@pytest.mark.parametrize("part", [0, 2])
def test_a_fault_in_a_part_ends_its_completion_alone(toy, monkeypatch, part):
    batch, stream = batch_of(toy), completion(toy, "Hi", seed=1, max_tokens=9, **ENDLESS)
    batch.add(stream)
    turn(batch)
    long = completion(toy, LONG, seed=2)
    batch.add(long)
    for _ in range(part):
        turn(batch)
    forward = toy.model.next_logits

    def broken(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        if len(tokens) == 1:
            raise ArithmeticError("a fault of the test's")
        return forward(tokens, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(toy.model, "next_logits", broken)
        ((ended, _),) = batch.prefill()
    assert ended is long
    assert isinstance(long.error, ArithmeticError)
    assert batch.free_rows == 4
    list(batch.run())
    assert len(stream.choices[0].tokens) == 9


def test_an_answer_takes_memory_as_it_grows(toy, monkeypatch):
    """Without max_tokens, in a context of 4,096: room for 512 positions, and then an error that says what to do."""
    monkeypatch.setattr(
        "sampling.model.allocation.free_bytes", lambda _: 2_000_000
    )  # 1,024 positions are 2.6 MB
    with pytest.raises(NotEnoughMemory, match=r"max_tokens: memory ends \(2,624,000 bytes more are wanted"):
        toy.chat([{"role": "user", "content": "Peru? " * 245}], seed=1, **ENDLESS)
    answer = toy.chat([{"role": "user", "content": "Peru? " * 245}], seed=1, max_tokens=3, **ENDLESS)
    assert answer["usage"]["completion_tokens"] == 3


def test_a_context_takes_no_memory_until_it_is_used(toy, monkeypatch):
    """131,072 positions would take 335 MB a row."""
    sizes: list[int] = []

    def noted(make: Callable[[], Any], size: int, *_: Any) -> Any:
        sizes.append(size)
        return make()

    monkeypatch.setattr("sampling.model.llama.allocate", noted)
    monkeypatch.setattr(toy.model, "config", replace(toy.model.config, max_position_embeddings=131072))
    position = 5 * 2 * 2 * 32 * 4  # 5 layers, keys and values, 2 heads of 32 float32
    Service(toy, ServerOptions())
    assert sizes == [16 * 513 * position]
    sizes.clear()
    answer = toy.chat([{"role": "user", "content": "Hi"}], n=3, seed=1)
    assert sizes == [3 * 513 * position, (answer["usage"]["prompt_tokens"] + 1) * position]


def test_where_memory_ends_a_command_says_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sampling.model.allocation.free_bytes", lambda _: 10**6)
    assert main(["chat", "Hi"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        "sampling chat: max_tokens: memory ends (1,313,280 bytes more are wanted, 1,000,000"
    )
    assert err.count("\n") == 1
