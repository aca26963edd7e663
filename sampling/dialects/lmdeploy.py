"""LMDeploy's PyTorch engine."""

from __future__ import annotations

from sampling.core.history import OUTPUT
from sampling.core.params import SMALLEST
from sampling.dialects.rules import MANY_STOP_STRINGS, TRUNCATIONS, Dialect

LMDEPLOY = Dialect(
    name="lmdeploy",
    source="lmdeploy 0.18.0, lmdeploy/pytorch/engine/logits_process.py and lmdeploy/messages.py",
    versions="0.18, its PyTorch engine",
    seen="functions run",
    order=("repetition_penalty", "temperature", *TRUNCATIONS),
    repetition_scope=OUTPUT,
    top_k_ties="arbitrary",
    top_p_ties="arbitrary",
    top_p_stops_at_equality=False,
    greedy_below=SMALLEST,
    greedy_overrides=(("temperature", 1.0), ("top_k", 1)),
    parse_control_tokens=True,
    silent_assistant=True,
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("temperature", 0.8), ("top_k", 50), ("max_tokens", 512)),
    defects=(
        "in a batch the repetition penalty counts the padding of shorter rows, token 0 where the model names none",
        "log probabilities are off unless the engine was started with a logprobs_mode",
        "presence_penalty, frequency_penalty and logit_bias are taken and do nothing",
        "without do_sample, which is off in Python and on in its server, it is greedy",
        "bad words are banned after the temperature",
    ),
)
