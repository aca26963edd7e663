"""llama.cpp: a Mersenne Twister for each sequence, one double a token, a running sum over the candidates as they lie.

The candidates lie in the order of their ids until top_k or top_p sorts them.

Source: llama.cpp b11549, src/llama-sampler.cpp (llama_sampler_dist_apply).
"""

from __future__ import annotations

from dataclasses import replace

from sampling_kernels.philox import WORD
from torch import Tensor

from sampling.sampler.rules.inverse_cdf import InverseCdf
from sampling.sampler.rules.mersenne_twister import uniform


def running_sums(logits: Tensor) -> Tensor:
    """Return the sums, in float64, of e^(l - max) rounded to float32."""
    d = logits - logits.amax(-1, keepdim=True)
    return d.double().exp().float().double().cumsum(-1)


LLAMA_CPP = InverseCdf(
    name="llama.cpp",
    source="llama.cpp b11549, src/llama-sampler.cpp (llama_sampler_dist_apply)",
    dialect="llama.cpp",
    no_seeds=(-1, WORD),
    when_sorted="llama.cpp-sorted",
    each_row_sorts=True,
    on_host=True,
    uniform=uniform,
    running=running_sums,
    inclusive=True,
    tolerance=2.0**-22,
)
SORTED = replace(LLAMA_CPP, name="llama.cpp-sorted", ranked=True, when_sorted=None)
