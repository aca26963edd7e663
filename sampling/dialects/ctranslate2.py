"""CTranslate2's `generate_batch` of decoder-only models."""

from __future__ import annotations

from sampling.core.history import Scope
from sampling.dialects.rules import ANY_TEMPERATURE, MANY_STOP_STRINGS, Dialect

CTRANSLATE2 = Dialect(
    name="ctranslate2",
    source="CTranslate2 4.8.5, src/sampling.cc, src/decoding.cc and src/models/language_model.cc",
    versions="4.8",
    seen="run",
    order=("repetition_penalty", "top_k", "temperature", "top_p"),
    repetition_scope=Scope(prompt=True, skipped=1),
    top_p_ties="arbitrary",
    logprob_mode="penalised",
    parse_control_tokens=True,
    silent_assistant=True,
    highest=(ANY_TEMPERATURE,),
    most_stop_strings=MANY_STOP_STRINGS,
    defaults=(("top_k", 1), ("temperature", 1.0), ("max_tokens", 512)),
    defects=(
        "which of a prompt's tokens are penalised depends on the others in its batch (language_model.cc, run_generation)",
        "the samples of one prompt come sorted by score, so that the first is no sample (decoding.cc, sort_hypotheses)",
        "a score is a sum over a length that counts the prompt: the same tokens score nearer to 0 behind a longer prompt",
        "all workers run through one stream of random numbers; set_random_seed does nothing to one that has drawn (random.cc)",
        "a negative temperature is taken and turns the order of the tokens round",
        "with include_prompt_in_result=False no token of the prompt is penalised, but for what the batch does",
        "a top_p of 0 is refused",
        "max_length counts the prompt, unless it is left out of the result",
    ),
)
