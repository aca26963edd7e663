"""llama.cpp's chain of samplers in its own default order, in the library of the xllamacpp wheel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.conformance.engines import llama_cpp_library as cpp
from benchmarks.conformance.engines.adapter import Adapter, Seeds, biases, known

LIBRARY = cpp.library()
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
SEEDS = 2**32  # llama_sampler_init_dist takes a uint32_t
WINDOW = 64  # common_params_sampling::penalty_last_n
DEFAULTS = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
}


class Candidates:
    """Tokens with their logits, as llama.cpp's samplers change them in place."""

    def __init__(self, tokens: NDArray[Any], selected: int = -1, sorted_: bool = False) -> None:
        self.tokens = tokens.copy()
        data = self.tokens.ctypes.data_as(ctypes.POINTER(cpp.llama_token_data))
        self.array = cpp.llama_token_data_array(
            data=data, size=len(tokens), selected=selected, sorted=sorted_
        )

    def apply(self, sampler: Any) -> None:
        """Let a sampler work on them."""
        LIBRARY.llama_sampler_apply(sampler, ctypes.byref(self.array))

    @property
    def left(self) -> NDArray[Any]:
        """The candidates that are left."""
        return self.tokens[: self.array.size]

    @property
    def chosen(self) -> int:
        """The token that was selected."""
        return int(self.array.data[self.array.selected].id)


class LlamaCppChain(Adapter):
    """The chain runs once for a question, the last sampler, which draws, once for each seed."""

    name = "llama.cpp chain"
    version = cpp.__version__
    dialect = "llama.cpp"
    through = (
        "llama_sampler_init_* in the order of common_sampler_init with its default window of 64 tokens; `dist` draws with a "
        "generator of its own for each seed"
    )

    def many(
        self,
        logits: NDArray[np.float32],
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Seeds,
    ) -> list[int]:
        """The candidates that the chain leaves, and a draw for each seed."""
        if any(seed is not None and seed >= SEEDS for seed in seeds):
            raise ValueError(f"seed: the engine takes those below {SEEDS}")
        fields = {**DEFAULTS, **known(params)}
        left = filtered(logits, fields, biases(params), [*prompt_ids, *output_ids])
        return [drawn(left, seed, len(output_ids)) for seed in seeds]


def samplers(fields: Mapping[str, Any], bias: Mapping[int, float], width: int) -> Iterator[Any]:
    """All samplers but the draw, in order."""
    entries = [cpp.llama_logit_bias(token, value) for token, value in bias.items()]
    yield LIBRARY.llama_sampler_init_logit_bias(
        width, len(entries), (cpp.llama_logit_bias * len(entries))(*entries)
    )
    penalties = [float(fields[f"{name}_penalty"]) for name in ("repetition", "frequency", "presence")]
    yield LIBRARY.llama_sampler_init_penalties(width, WINDOW, *penalties)
    yield LIBRARY.llama_sampler_init_top_k(int(fields["top_k"]))
    yield LIBRARY.llama_sampler_init_top_p(float(fields["top_p"]), 1)
    yield LIBRARY.llama_sampler_init_min_p(float(fields["min_p"]), 1)
    yield LIBRARY.llama_sampler_init_temp(float(fields["temperature"]))


def filtered(
    logits: NDArray[np.float32], fields: Mapping[str, Any], bias: Mapping[int, float], past: Sequence[int]
) -> NDArray[Any]:
    """The candidates after the chain."""
    chain = LIBRARY.llama_sampler_chain_init(LIBRARY.llama_sampler_chain_default_params())
    for sampler in samplers(fields, bias, len(logits)):
        LIBRARY.llama_sampler_chain_add(chain, sampler)
    for token in past:
        LIBRARY.llama_sampler_accept(chain, token)
    tokens = np.zeros(len(logits), CANDIDATE)
    tokens["id"], tokens["logit"] = np.arange(len(logits)), logits
    candidates = Candidates(tokens)
    candidates.apply(chain)
    LIBRARY.llama_sampler_free(chain)
    return candidates.left.copy()


def drawn(left: NDArray[Any], seed: int | None, position: int) -> int:
    """A token by `dist`, whose generator has drawn for every position before."""
    dist = LIBRARY.llama_sampler_init_dist(cpp.LLAMA_DEFAULT_SEED if seed is None else seed)
    for _ in range(position):
        Candidates(left).apply(dist)
    candidates = Candidates(left)
    candidates.apply(dist)
    LIBRARY.llama_sampler_free(dist)
    return candidates.chosen
