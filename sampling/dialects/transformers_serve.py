"""transformers' own server: `transformers serve`."""

from __future__ import annotations

from dataclasses import replace

from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects.transformers import TRANSFORMERS

LEAST_FREQUENCY = -1 + 1e-6  # 1 + f is a repetition penalty

TRANSFORMERS_SERVE = replace(
    TRANSFORMERS,
    name="transformers-serve",
    source="transformers 5.23, cli/serving (_build_generation_config) and generation/logits_process.py; it reports no log "
    "probabilities; do_sample=False is a temperature below every float32",
    versions="5.23 and 5.24",
    seen="run",
    order=("logit_bias", "frequency_penalty", "temperature", "top_k", "top_p"),
    frequency_form="repetition",
    penalty_scope=PROMPT_AND_OUTPUT,
    lowest=(("frequency_penalty", LEAST_FREQUENCY),),
    generation_defaults=("do_sample", "temperature", "top_p", "top_k", "max_new_tokens"),
    defects=(
        "temperature and top_p sample only where the checkpoint's generation_config says do_sample; else all is greedy",
        "presence_penalty, n, logprobs, response_format, and in completions logit_bias are taken and do nothing",
        "whole numbers as logit_bias, and a frequency_penalty of -1 or less, end in HTTP 500",
        "the stop string stays in the text; a stream has no [DONE]",
        "with continuous batching the first request's parameters rule all later ones (CBGenerateManager.init_cb)",
    ),
)
