"""mlx-lm's samplers and its server: everything before the temperature, penalties by a short window."""

from __future__ import annotations

from sampling.core.history import Scope
from sampling.dialects.fields import fields_of
from sampling.dialects.rules import ANY_BIAS, ANY_PENALTY, ANY_TEMPERATURE, MANY_STOP_STRINGS, Dialect

LAST_20 = Scope(prompt=True, last=20)

MLX_LM = Dialect(
    name="mlx-lm",
    source="mlx-lm 0.32.2, mlx_lm/sample_utils.py (make_logits_processors, make_sampler) and mlx_lm/server.py",
    versions="0.32",
    seen="run",
    order=(
        "logit_bias",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "top_p",
        "min_p",
        "top_k",
        "temperature",
    ),
    substitutes=(("top_p", 0.0, 1.0),),
    repetition_scope=LAST_20,
    penalty_scope=LAST_20,
    top_k_ties="arbitrary",
    top_p_ties="all",
    logprob_mode="penalised",
    parse_control_tokens=True,
    silent_assistant=True,
    fields=fields_of("mlx_lm"),
    highest=(
        ANY_TEMPERATURE,
        ("frequency_penalty", ANY_PENALTY),
        ("presence_penalty", ANY_PENALTY),
        ("logit_bias", ANY_BIAS),
    ),
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("temperature", 0.0), ("max_tokens", 512)),
    defects=(
        "penalties of a seeded request see the part of its prompt alone that the prompt cache does not hold (_serve_single)",
        "with top_logprobs, content[i] is the first of the most likely tokens, which are in no order, and not the sampled one; "
        "at most 11 of them; a stream has none",
        "characters before a stop string are lost where the text makes a false start at it",
        "a top_k of the vocabulary's size or more is refused",
        "one global generator: a seed sets it for everything that follows",
    ),
)
