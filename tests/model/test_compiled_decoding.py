"""Compiled decoding: the tokens of eager decoding and of transformers, for rows that come and go, from few graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from sampling import SamplingParams, dialect
from sampling.core.errors import CacheFull, InvalidArgument
from sampling.generate.decode import Decoder
from sampling.model import Llama, load_llama, pack
from sampling.model.forward import forward_of

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled")]
traced = pytest.mark.usefixtures("traced_on_a_cpu")

GREEDY = SamplingParams(temperature=0)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.fixture(scope="module")
def oracle(new_oracle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return new_oracle(tmp_path_factory.mktemp("plain"), num_hidden_layers=2, max_position_embeddings=1024)


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=CUDA)])
def model(request: pytest.FixtureRequest, oracle: Any) -> Llama:
    ours = load_llama(oracle.directory, device=request.param)
    pack(ours)
    return ours


@pytest.fixture
def traced_on_a_cpu(request: pytest.FixtureRequest, model: Llama) -> None:
    """What the machine code computes is asked in other tests, but on CUDA, where steps are captured."""
    if model.embed_tokens.weight.device.type == "cpu":
        request.getfixturevalue("traced")


def decoder(model: Llama, rows: int, *, capacity: int = 300, compiled: bool = True) -> Decoder:
    size = model.config.vocab_size
    return Decoder(
        model,
        rows=rows,
        capacity=capacity,
        tokenizer_vocab_size=size,
        dialect=dialect("qstash"),
        compile=compiled,
    )


def prompt(length: int, start: int) -> list[int]:
    return [(7 * place + start) % 97 for place in range(length)]


def tokens(running: Decoder, steps: int) -> list[dict[int, int]]:
    """The token of each row in each step."""
    return [{row: one.token_id for row, one in running.step().items()} for _ in range(steps)]


def alone(running: Decoder, text: list[int], steps: int) -> list[int]:
    """What a text is continued with in a decoder without others."""
    (row,) = running.add(text, GREEDY, max_tokens=steps)
    told = [step[row] for step in tokens(running, steps)]
    running.remove([row])
    return told


@pytest.mark.parametrize(
    ("rows", "compiles"), [(1, False), (3, False), (1, True)], ids=["eager-1", "eager-3", "compiled-1"]
)
def test_greedy_tokens_are_those_of_transformers(model, oracle, rows, compiles):
    """Different lengths, one of them past the first block of positions that are looked at."""
    texts = [prompt(length, row) for row, length in enumerate((505, 3, 60)[:rows])]
    running = decoder(model, rows, capacity=600, compiled=compiles)
    for text in texts:
        running.add(text, GREEDY, max_tokens=20)
    steps = tokens(running, 20)
    for row, text in enumerate(texts):
        assert [step[row] for step in steps] == oracle.greedy(text, 20)


@traced
def test_rows_that_come_and_go_leave_the_others_alone(model, oracle):
    """Compiled, with a row that stays free: each number of rows is a graph, and so is a batch without a free one."""
    running = decoder(model, rows=3)
    long, short, late = prompt(250, 1), prompt(5, 2), prompt(40, 3)
    running.add(long, GREEDY, max_tokens=12)
    steps = tokens(running, 2)
    running.add(short, GREEDY, max_tokens=4)
    steps += tokens(running, 4)
    running.remove([1])
    steps += tokens(running, 1)
    assert running.add(late, GREEDY, max_tokens=5) == [1]
    steps += tokens(running, 5)
    assert [step[0] for step in steps] == oracle.greedy(long, 12)
    assert [step[1] for step in steps[2:6]] == oracle.greedy(short, 4)
    assert [step[1] for step in steps[7:]] == oracle.greedy(late, 5)


@traced
@pytest.mark.parametrize("rows", [1, 3])
def test_nothing_compiles_after_the_first_steps(model, rows):
    """Other texts, lengths, capacities, blocks of positions; a row that joins, one that leaves."""
    first = decoder(model, rows)
    alone(first, prompt(9, 0), 3)
    compiled = counters["stats"]["unique_graphs"]
    alone(first, prompt(250, 3), 30)
    alone(decoder(model, rows, capacity=500), prompt(480, 4), 20)
    if rows == 3:
        first.add(prompt(4, 0), GREEDY, max_tokens=30)
        tokens(first, 2)
        first.add(prompt(8, 0), GREEDY, max_tokens=30)
        tokens(first, 2)
    assert counters["stats"]["unique_graphs"] == compiled


@traced
def test_rows_that_grow_go_on_as_before_and_compile_nothing(model, oracle):
    """Out of 512 positions into 1,024, alone; then from the start in 1,024, after a longer text has been there."""
    running = decoder(model, 1, capacity=1024)
    alone(running, prompt(9, 0), 3)
    compiled = counters["stats"]["unique_graphs"]
    text = prompt(500, 4)
    grown = alone(running, text, 30)
    (row,) = running.add(prompt(700, 2), GREEDY, max_tokens=3)
    tokens(running, 2)
    running.remove([row])
    assert grown == alone(running, text, 30) == oracle.greedy(text, 30)
    assert counters["stats"]["unique_graphs"] == compiled


def bytes_held(running: Decoder) -> int:
    """What keys and values take."""
    cache = running._forward.cache.now
    return sum(stored.nbytes for stored in (*cache.stored_keys, *cache.stored_values))


@traced
def test_memory_follows_the_longest_row_until_none_is_in_use(model):
    running = decoder(model, 1, capacity=1024)
    least = bytes_held(running)
    (row,) = running.add(prompt(500, 0), GREEDY, max_tokens=30)
    assert bytes_held(running) == least
    tokens(running, 14)
    assert bytes_held(running) == least // 513 * 1025
    running.remove([row])
    assert bytes_held(running) == least
    running.add(prompt(512, 0), GREEDY, max_tokens=30)
    tokens(running, 2)
    assert bytes_held(running) == least // 513 * 1025


@CUDA
def test_captured_steps_are_forgotten_before_what_they_read_is_freed(model, monkeypatch):
    if model.embed_tokens.weight.device.type != "cuda":
        pytest.skip("a step is captured on CUDA only")
    running, order = decoder(model, 3, capacity=1024), []
    running.add(prompt(500, 0), GREEDY, max_tokens=30)
    running.add(prompt(7, 0), GREEDY, max_tokens=30)
    tokens(running, 8)
    cache = running._forward.cache.now
    monkeypatch.setattr(running._replay, "forget", lambda: order.append(running._forward.cache.now is cache))
    tokens(running, 8)
    assert order == [True]


@traced
def test_one_graph_serves_every_capacity(model):
    device = model.embed_tokens.weight.device
    told: list[list[int]] = []
    graphs: list[int] = []
    for capacity in (40, 100, 512, 700):
        logits = torch.zeros(1, 97, device=device)
        forward = forward_of(model, capacity, logits, compiled=True)
        text = [1]
        for _ in range(30):
            forward.reserve(torch.ones(1, dtype=torch.int64))
            forward.run(torch.tensor([text[-1]], device=device))
            text.append(int(logits.argmax()))
        told.append(text)
        graphs.append(counters["stats"]["unique_graphs"])
    assert told == [told[0]] * 4
    assert graphs == [graphs[0]] * 4


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
def test_bfloat16(new_oracle, tmp_path, device):
    """Accumulated in float32: at most 2.5% of the logits' spread from eager bfloat16, in the mean square."""
    oracle = new_oracle(tmp_path, num_hidden_layers=1)
    model = load_llama(oracle.directory, device=device, dtype=torch.bfloat16)
    logits = {compiled: torch.zeros(1, 97, device=device) for compiled in (False, True)}
    for compiled, row in logits.items():
        forward = forward_of(model, 64, row, compiled=compiled)
        for token in prompt(30, 5):
            forward.reserve(torch.ones(1, dtype=torch.int64))
            forward.run(torch.tensor([token], device=device))
    exact = oracle.logits(prompt(30, 5))
    difference = (logits[True] - logits[False]).square().mean().sqrt()
    assert difference <= 0.025 * exact.std()


@traced
def test_a_row_that_outgrows_its_room_is_refused(model):
    running = decoder(model, 1, capacity=512)
    running.add(prompt(510, 0), GREEDY, max_tokens=2)
    tokens(running, 3)
    with pytest.raises(CacheFull, match="row 0: 512 positions and 1 new ones do not fit"):
        running.step()
    with pytest.raises(
        InvalidArgument, match="max_tokens: got 290, must be with the prompt's 11 at most 300"
    ):
        decoder(model, 1).add(prompt(11, 0), GREEDY, max_tokens=290)


@traced
def test_compiling_is_announced_once(model, caplog):
    running = decoder(model, 1)
    with caplog.at_level(logging.WARNING, "sampling"):
        alone(running, prompt(3, 0), 4)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "compiling the decode step of 1 row"
    ]
