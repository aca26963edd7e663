"""Draws of llama.cpp's own samplers, in the library of the xllamacpp wheel.

python llama_cpp.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]
import numpy as np  # noqa: E402
import torch  # noqa: E402
from streams import steps_of  # noqa: E402

from benchmarks.conformance.engines import llama_cpp_library as cpp  # noqa: E402

LIBRARY = cpp.library()
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def drawn(samplers: list, row: np.ndarray) -> tuple[int, np.ndarray]:
    """The token that a chain leaves, and the logits of its candidates, -inf for all others."""
    tokens = np.zeros(len(row), CANDIDATE)
    tokens["id"], tokens["logit"] = np.arange(len(row)), row
    data = tokens.ctypes.data_as(ctypes.POINTER(cpp.llama_token_data))
    array = cpp.llama_token_data_array(data=data, size=len(row), selected=-1, sorted=False)
    for sampler in samplers:
        LIBRARY.llama_sampler_apply(sampler, ctypes.byref(array))
    left = np.full_like(row, -np.inf)
    kept = [(array.data[i].id, array.data[i].logit) for i in range(array.size)]
    left[[token for token, _ in kept]] = [logit for _, logit in kept]
    return int(array.data[array.selected].id), left


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch of streams."""
    dists = [LIBRARY.llama_sampler_init_dist(seed) for seed in case["seed"][: case["rows"]]]
    filters = []
    if case["top_k"] is not None:
        filters.append(LIBRARY.llama_sampler_init_top_k(case["top_k"]))
    if case["top_p"] is not None:
        filters.append(LIBRARY.llama_sampler_init_top_p(case["top_p"], 1))
    got = [
        drawn([*filters, dist], row)
        for logits, _, _ in steps_of(case)
        for dist, row in zip(dists, logits.numpy(), strict=True)
    ]
    return torch.tensor([token for token, _ in got]), torch.from_numpy(np.stack([left for _, left in got]))


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
