"""llama.cpp's chain of samplers, through llama-cpp-python where that is installed."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.harness.outcome import NotAvailable
from benchmarks.sampler.engine import Engine, Job, Step

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def chain_of(cpp: Any, job: Job) -> Any:
    """Bias, penalties, temperature, top_p and the draw: the job's order, where llama.cpp's own has top_p first."""
    params = job.params
    biases = [cpp.llama_logit_bias(token, bias) for token, bias in params.logit_bias.items()]
    table = (cpp.llama_logit_bias * len(biases))(*biases)
    penalties = (params.repetition_penalty, params.frequency_penalty, params.presence_penalty)
    chain = cpp.llama_sampler_chain_init(cpp.llama_sampler_chain_default_params())
    for sampler in (
        cpp.llama_sampler_init_logit_bias(job.vocabulary, len(biases), table),
        cpp.llama_sampler_init_penalties(job.vocabulary, job.sampled, *penalties),
        cpp.llama_sampler_init_temp(params.temperature),
        cpp.llama_sampler_init_top_p(params.top_p, 1),
        cpp.llama_sampler_init_dist(0),
    ):
        cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def build(job: Job) -> Step:
    """The token of one row of logits [1, V]."""
    if job.rows > 1:
        raise NotAvailable("it samples one row at a time")
    if job.device != "cpu":
        raise NotAvailable("it samples on the CPU")
    import llama_cpp as cpp

    chain = chain_of(cpp, job)
    for token in job.history()[0].tolist():
        cpp.llama_sampler_accept(chain, token)
    blank = np.zeros(job.vocabulary, CANDIDATE)
    blank["id"] = np.arange(job.vocabulary)

    def step(logits: Tensor) -> int:
        candidates = blank.copy()
        candidates["logit"] = logits[0].numpy()
        data = candidates.ctypes.data_as(ctypes.POINTER(cpp.llama_token_data))
        array = cpp.llama_token_data_array(data=data, size=job.vocabulary, selected=-1, sorted=False)
        cpp.llama_sampler_apply(chain, ctypes.byref(array))
        token = array.data[array.selected].id
        cpp.llama_sampler_accept(chain, token)
        return token

    return step


ENGINE = Engine(
    build,
    "llama_sampler chain: logit_bias, penalties, temp, top_p, dist; its candidates are filled by numpy, on one thread",
    "log probabilities, ranks; B = 1 only",
)
