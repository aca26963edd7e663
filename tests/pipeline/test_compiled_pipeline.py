"""A whole pipeline, functions among its stages, with the draw behind it, compiled into one graph: the same bits as eager."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sampling import (
    FrequencyPenalty,
    History,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    chain,
    draw,
)

ROWS, VOCABULARY = 4, 1003


def plus_sampled(logits: torch.Tensor, history: History) -> torch.Tensor:
    return logits + history.sampled[:, None]


def halved(logits: torch.Tensor) -> torch.Tensor:
    return logits / 2


@pytest.mark.compiled
def test_pipeline_and_draw_in_one_graph(compiled: Callable[[Any], Any]) -> None:
    torch.manual_seed(0)
    history = History.start([[1, 2, 3], [4], [5, 6], [7]])
    for _ in range(5):
        history.accept(torch.randint(0, VOCABULARY, (ROWS,)))
    pipeline = chain(
        plus_sampled,
        LogitBias([{1: 2.0, 5: -3.0}, {}, {2: 1.0}, {9: 5.0}]),
        RepetitionPenalty([1.3, 1.0, 2.0, 0.7]),
        FrequencyPenalty([0.5, 0.0, 1.0, -1.0]),
        PresencePenalty([0.5, 0.1, 1.0, -1.0]),
        halved,
        Temperature([0.7, 1.0, 0.0, 1.5]),
        TopK([50, 0, 5, 100]),
        TopP([0.9, 1.0, 0.5, 0.8]),
        MinP([0.01, 0.0, 0.1, 0.05]),
    )
    seeds = torch.tensor([1, 2, 3, 4])

    def step(logits: torch.Tensor, history: History) -> tuple[torch.Tensor, torch.Tensor]:
        processed = pipeline(logits, history)
        return processed, draw(processed, seed=seeds, position=history.sampled)

    graph = compiled(step)
    for scale in (0.5, 1.0, 3.0, 10.0):
        for logits in (
            scale * torch.randn(ROWS, VOCABULARY),
            (scale * torch.randn(ROWS, VOCABULARY)).round(),
        ):
            for got, expected in zip(graph(logits, history), step(logits, history), strict=True):
                assert torch.equal(got, expected)
