"""CTranslate2: a Mersenne Twister for each worker, one double a token, over all rows of a batch, step by step.

top_k sorts a row, top_p does not.

Source: ctranslate2 4.8.5, src/sampling.cc and src/ops/multinomial_cpu.cc; libstdc++, std::discrete_distribution.
"""

from __future__ import annotations

from dataclasses import replace

from sampling_kernels.philox import WORD
from torch import Tensor

from sampling.sampler.rules.exponential_race import one_call_for_all_rows
from sampling.sampler.rules.inverse_cdf import InverseCdf
from sampling.sampler.rules.mersenne_twister import uniform


def running_sums(logits: Tensor) -> Tensor:
    """Return the sums, in float64, of float32 probabilities, divided by their sum."""
    p = logits.log_softmax(-1).softmax(-1).double()
    return (p / p.sum(-1, keepdim=True)).cumsum(-1)


CTRANSLATE2 = InverseCdf(
    name="ctranslate2",
    source="ctranslate2 4.8.5, src/sampling.cc (RandomSampler)",
    no_seeds=(WORD,),
    when_sorted="ctranslate2-sorted",
    sorted_by=("top_k",),
    on_host=True,
    stream=one_call_for_all_rows,
    uniform=uniform,
    running=running_sums,
    inclusive=True,
    tolerance=2.0**-20,
)
CTRANSLATE2_SORTED = replace(CTRANSLATE2, name="ctranslate2-sorted", ranked=True, when_sorted=None)
