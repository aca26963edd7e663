"""Where values are elsewhere, no kernel looks at one: the device `meta` has none, so a look is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.normalizer_bounds import block_bounds, float32_bounds
from sampling_kernels.candidates.top import top_candidates, top_tokens_in_blocks
from sampling_kernels.inverse_cdf import inverse_cdf_sample, inverse_cdf_sample_blocked
from sampling_kernels.ranks import ranks_given_top
from sampling_kernels.truncation import min_p_mask, top_k_mask, top_p_mask
from sampling_kernels.validity import replace_invalid_rows
from sampling_kernels.weights import block_weights
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
        whole = BlockedLogits.of(logits)
        return kernel(whole.values, whole.maxima, *more)

    return called


def in_sight(logits: Tensor) -> CandidateBlocks:
    whole = BlockedLogits.of(logits)
    return CandidateBlocks.of(whole, integers(len(logits), 3), block_weights(whole.values, whole.maxima))


def words(rows: int) -> tuple[Tensor, Tensor]:
    return integers(rows), integers(rows)


KERNELS: dict[str, tuple[Callable[[Tensor], object], list[tuple[int, ...]]]] = {
    "replace_invalid_rows": (replace_invalid_rows, [(VOCABULARY,), ()]),
    "top_p": (lambda logits: top_p_mask(logits, integers(len(logits), 1)), [(VOCABULARY,)]),
    "top_k": (lambda logits: top_k_mask(logits, integers(len(logits), 1)), [(VOCABULARY,)]),
    "min_p": (lambda logits: min_p_mask(logits, integers(len(logits), 1)), [(VOCABULARY,)]),
    "inverse_cdf_sample": (lambda logits: inverse_cdf_sample(logits.long(), *words(len(logits))), [()]),
    "inverse_cdf_sample_blocked": (
        lambda logits: of_chunks(inverse_cdf_sample_blocked, *words(len(logits)))(logits),
        [()],
    ),
    "block_weights": (of_chunks(block_weights), [(16,)]),
    "top_candidates": (lambda logits: top_candidates(in_sight(logits), 128), [(129,), (129,)]),
    "places": (lambda logits: in_sight(logits).positions_of(integers(len(logits), 3)), [(3,)]),
    "top_tokens": (of_chunks(top_tokens_in_blocks, 20), [(20,)]),
    "ranks": (lambda logits: ranks_given_top(logits, *ids(len(logits))), [()]),
    "float32_bounds": (lambda logits: float32_bounds(in_sight(logits), floats(len(logits), 1)), [(1,), (1,)]),
    "block_bounds": (lambda logits: block_bounds(in_sight(logits), floats(len(logits), 1)), [(1,), (1,)]),
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
