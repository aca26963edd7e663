"""Where values are elsewhere, no kernel looks at one: the device `meta` has none, so a look is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sampling_kernels.chunks import Chunks
from sampling_kernels.faults import without_faults
from sampling_kernels.keyed_draw import draw_by_chunk, draw_by_weight
from sampling_kernels.leading import Sight, leading_tokens, top_tokens_in_chunks
from sampling_kernels.logprobs import ranks_of_listed
from sampling_kernels.totals import quick_bounds, total_bounds
from sampling_kernels.truncation import keep_min_p, keep_top_k, keep_top_p
from sampling_kernels.weights import chunk_weights
from torch import Tensor

VOCABULARY = 1003


def floats(*shape: int) -> Tensor:
    return torch.zeros(shape, device="meta")


def integers(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64, device="meta")


def of_chunks(
    kernel: Callable[..., Tensor | tuple[Tensor, ...]], *more: object
) -> Callable[[Tensor], object]:
    def called(logits: Tensor) -> object:
        whole = Chunks.of(logits)
        return kernel(whole.values, whole.maxima, *more)

    return called


def in_sight(logits: Tensor) -> Sight:
    whole = Chunks.of(logits)
    return Sight.of(whole, integers(len(logits), 3), chunk_weights(whole.values, whole.maxima))


def words(rows: int) -> tuple[Tensor, Tensor]:
    return integers(rows), integers(rows)


KERNELS: dict[str, tuple[Callable[[Tensor], object], list[tuple[int, ...]]]] = {
    "without_faults": (without_faults, [(VOCABULARY,), ()]),
    "top_p": (lambda logits: keep_top_p(logits, integers(len(logits), 1)), [(VOCABULARY,)]),
    "top_k": (lambda logits: keep_top_k(logits, integers(len(logits), 1)), [(VOCABULARY,)]),
    "min_p": (lambda logits: keep_min_p(logits, integers(len(logits), 1)), [(VOCABULARY,)]),
    "draw_by_weight": (lambda logits: draw_by_weight(logits.long(), *words(len(logits))), [()]),
    "draw_by_chunk": (lambda logits: of_chunks(draw_by_chunk, *words(len(logits)))(logits), [()]),
    "chunk_weights": (of_chunks(chunk_weights), [(16,)]),
    "leading_tokens": (lambda logits: leading_tokens(in_sight(logits), 128), [(129,), (129,)]),
    "places": (lambda logits: in_sight(logits).places(integers(len(logits), 3)), [(3,)]),
    "top_tokens": (of_chunks(top_tokens_in_chunks, 20), [(20,)]),
    "ranks": (lambda logits: ranks_of_listed(logits, *ids(len(logits))), [()]),
    "total_bounds": (lambda logits: total_bounds(in_sight(logits), floats(len(logits), 1)), [(1,), (1,)]),
    "quick_bounds": (lambda logits: quick_bounds(in_sight(logits), floats(len(logits), 1)), [(1,), (1,)]),
}


def ids(rows: int) -> tuple[Tensor, Tensor]:
    return integers(rows), integers(rows, 20)


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("name", KERNELS)
def test_shapes_without_values(name: str, rows: int) -> None:
    kernel, shapes = KERNELS[name]
    found = kernel(floats(rows, VOCABULARY))
    results = found if isinstance(found, tuple) else (found,)
    assert [tuple(one.shape) for one in results] == [(rows, *shape) for shape in shapes]
    assert {one.device.type for one in results} == {"meta"}
