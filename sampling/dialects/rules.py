"""Dialects: how one API's or engine's sampling differs from another's, as data.

A dialect is an order of stages and a few named choices; no code asks which dialect it runs under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from sampling.core.errors import InvalidArgument
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, Scope
from sampling.core.params import LARGEST, PAGE, Ranges
from sampling.core.values import short_repr

Stage = str | tuple[str, ...]

Mode = Literal["raw", "penalised", "temperature", "processed"]
Ties = Literal["low", "high", "all", "arbitrary"]
Seen = Literal["run", "functions run", "read", "published"]
FrequencyForm = Literal["subtracted", "repetition"]
MODES: tuple[Mode, ...] = get_args(Mode)
TIES: tuple[Ties, ...] = get_args(Ties)
SEEN: tuple[Seen, ...] = get_args(Seen)
FREQUENCY_FORMS: tuple[FrequencyForm, ...] = get_args(FrequencyForm)
PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")
TRUNCATIONS = ("top_k", "top_p", "min_p")
STAGES = ("logit_bias", "min_tokens", *PENALTIES, "temperature", *TRUNCATIONS)


# What has one of a few names, and these.
NAMED: Mapping[str, tuple[str, ...]] = {
    "logprob_mode": MODES,
    "top_k_ties": TIES,
    "top_p_ties": TIES,
    "frequency_form": FREQUENCY_FORMS,
    "seen": SEEN,
}


def parts(stage: Stage) -> tuple[str, ...]:
    """Return the names in one entry of an order."""
    return stage if isinstance(stage, tuple) else (stage,)


# Engines without a bound of their own: where float32 ends, and as many stop strings as cost next to nothing.
ANY_BIAS = ANY_PENALTY = 1e6  # either way
ANY_TEMPERATURE = ("temperature", LARGEST)
MANY_STOP_STRINGS = 128
SAMPLING_DEFAULTS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")

WITH_DEVELOPER = ("developer", "system", "user", "assistant")
CONTINUOUS = ("include_usage", "continuous_usage_stats")


@dataclass(frozen=True, kw_only=True, repr=False)
class Rules:
    """What samplers differ in.

    Args:
        name: What they are called.
        order: Stages in order; a tuple of truncations looks at one distribution jointly.
        highest: The largest values of parameters where they are not the published page's; what may be negative there goes as
            far below 0.
        lowest: Their smallest values, where they are not that.
        substitutes: (parameter, value that is given, value that is used), such as a top_p of 0 that switches it off.
        repetition_scope: Which tokens the repetition penalty counts.
        top_k_ties: Which of the logits that equal the k-th one top_k keeps, where not all are wanted: the `low` ids, the `high`
            ids, `all` of them, or as many as there is room for in `arbitrary` order, where the engine's sort leaves them in
            none. What samples by such rules takes the low ids: the engine's own choice is not defined.
        top_p_ties: The same of the logits that equal the last one of a nucleus.
        top_p_stops_at_equality: Whether top_p stops at a mass of exactly p or takes one token more.
        min_p_strict: Whether a token min_p times as likely as the likeliest, to the precision of float32, goes, too.
        penalties_follow_sign: Whether frequency and presence penalty are added to negative logits instead of subtracted.
        frequency_form: `subtracted`, times the count; or a `repetition` penalty of 1 + f, once for each token in the scope of
            the frequency penalty.
        zero_temperature: Whether temperature 0 is allowed.
        greedy_below: Temperatures below this are greedy, with the changes of `greedy_overrides`. (0 itself needs none.)
        greedy_overrides: Parameters that a greedy request gets instead of its own.
        greedy_arg_max: Whether a greedy request takes the arg max after everything, its log probabilities untouched.
        lowest_temperature: Temperatures above 0 and below this become this.
        logprob_mode: Which distribution log probabilities are of: `raw`, `penalised` (after penalties and biases, before the
            temperature), `temperature` (after it, before truncations) or `processed` (after everything).
        max_reported_rank: A log probability of a higher rank than this is reported as -9999.0; None reports all.
        sampled_first: Whether the sampled token leads `top_logprobs`, before the K most likely.
        at_most_k: Whether `top_logprobs` has K entries even so, the last of them dropped for the sampled token.
        whole_characters: Whether a token that does not finish a character is shown as "" with no bytes, [], and the one that
            finishes it with the whole character.
        choices_follow_seeds: Whether choice i of a request with seed s is choice 0 of seed s + i.
        field_names: What an engine's own server calls a parameter, where it is not the usual name.
        neutral_fields: Fields of samplers that no other has, each with the value that switches it off.
    """

    name: str
    order: tuple[Stage, ...]
    highest: tuple[tuple[str, float], ...] = ()
    lowest: tuple[tuple[str, float], ...] = ()
    substitutes: tuple[tuple[str, float, float], ...] = ()
    repetition_scope: Scope = PROMPT_AND_OUTPUT
    top_k_ties: Ties = "low"
    top_p_ties: Ties = "low"
    top_p_stops_at_equality: bool = True
    min_p_strict: bool = False
    penalties_follow_sign: bool = False
    frequency_form: FrequencyForm = "subtracted"
    zero_temperature: bool = True
    greedy_below: float = 0.0
    greedy_overrides: tuple[tuple[str, float], ...] = ()
    greedy_arg_max: bool = False
    lowest_temperature: float = 0.0
    logprob_mode: Mode = "raw"
    max_reported_rank: int | None = None
    sampled_first: bool = False
    at_most_k: bool = True
    whole_characters: bool = False
    choices_follow_seeds: bool = False
    field_names: tuple[tuple[str, str], ...] = ()
    neutral_fields: tuple[tuple[str, float], ...] = ()

    def __repr__(self) -> str:
        return short_repr(self)

    @cached_property
    def ranges(self) -> Ranges:
        """Return what the values of parameters may be."""
        ends: dict[str, Any] = {}
        for name, high in self.highest:
            low, _ = getattr(PAGE, name)
            ends[name] = (-high if low < 0 else low, high)
        for name, low in self.lowest:
            ends[name] = (low, ends.get(name, getattr(PAGE, name))[1])
        return replace(PAGE, **ends)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Return the names of all stages, joint ones included."""
        return tuple(name for stage in self.order for name in parts(stage))


@dataclass(frozen=True, kw_only=True, repr=False)
class Dialect(Rules):
    """How an API or engine samples and answers: the `Rules` of its sampler, and these.

    Args:
        source: Where its facts come from.
        versions: The versions that they hold for, as far as that was looked at.
        seen: How: the engine was `run`, or its `functions run` by themselves; its source was `read`; or a page `published` it.
        defaults: What the engine does where a request leaves a field out and the checkpoint says nothing; this library has the
            page's neutral defaults in every dialect.
        defects: What the engine is known to do otherwise than its rules, in words; the dialect does not do it.
        penalty_scope: Which tokens the frequency and presence penalties count.
        double_bos: Whether the rendered chat template is tokenised with a second BOS in front.
        parse_control_tokens: Whether text in a message that looks like a control token becomes one.
        id_prefix: What response ids begin with.
        request_id_is_whole: Whether an id that the request gives is all of the response's, without the prefix.
        gives_stop_reason: Whether choices have a `stop_reason`.
        end_token_entry: Whether the token that ends a choice has an entry in `logprobs.content`.
        blank_special_tokens: Whether special tokens are shown as "" with no bytes, [], instead of by name and null.
        special_tokens_have_bytes: Whether those that are shown by name have its bytes, instead of null.
        usage_when_asked: Whether a stream tells the usage in a chunk of its own, and only when `stream_options` asks for it;
            otherwise it is in the last chunk.
        fields: Request fields that it takes beyond those of every dialect; `sampling.chat.fields` has them all.
        stream_options: The members of `stream_options`.
        continuous_needs_usage: Whether `continuous_usage_stats` has no effect without `include_usage`.
        stop_strings_from: Stop strings count from the token of number `min_tokens` plus this on; None: from the first.
        ignore_eos_ignores_stop_ids: Whether `ignore_eos` goes on after `stop_token_ids`, too.
        roles: The roles of messages.
        silent_assistant: Whether a message of the assistant may have no content.
        assistant_parts: The types of parts that the assistant's messages may have; the others' have text alone.
        part_separator: What joins the texts of a message whose content is a list of parts.
        most_stop_strings: How many stop strings a request may have.
        top_k_off: What requests may say for no top_k.
        max_tokens_minus_one: Whether max_tokens may be -1, which is no limit.
        seed_minus_one: Whether a seed of -1 is none.
        append_final_message: Whether a final message that is continued is put behind the prompt as it is; otherwise the chat
            template renders it.
        generation_defaults: Fields of a checkpoint's `generation_config.json` that hold where a request leaves them out.
    """

    source: str
    versions: str = ""
    seen: Seen = "read"
    defaults: tuple[tuple[str, float], ...] = ()
    defects: tuple[str, ...] = ()
    penalty_scope: Scope = OUTPUT
    double_bos: bool = False
    parse_control_tokens: bool = False
    id_prefix: str = "chatcmpl-"
    request_id_is_whole: bool = False
    gives_stop_reason: bool = True
    end_token_entry: bool = False
    blank_special_tokens: bool = False
    special_tokens_have_bytes: bool = False
    usage_when_asked: bool = False
    fields: tuple[str, ...] = ()
    stream_options: tuple[str, ...] = ("include_usage",)
    continuous_needs_usage: bool = False
    stop_strings_from: int | None = None
    ignore_eos_ignores_stop_ids: bool = False
    roles: tuple[str, ...] = ("system", "user", "assistant")
    silent_assistant: bool = False
    assistant_parts: tuple[str, ...] = ("text",)
    part_separator: str = ""
    most_stop_strings: int = 4
    top_k_off: tuple[int, ...] = (0,)
    max_tokens_minus_one: bool = False
    seed_minus_one: bool = False
    append_final_message: bool = False
    generation_defaults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the stages and what has names."""
        for stage in self.order:
            allowed = TRUNCATIONS if isinstance(stage, tuple) else STAGES
            unknown = next((name for name in parts(stage) if name not in allowed), None)
            if unknown is not None:
                raise InvalidArgument("order", unknown, f"one of {', '.join(allowed)}")
        for name, allowed in NAMED.items():
            if getattr(self, name) not in allowed:
                raise InvalidArgument(name, getattr(self, name), f"one of {', '.join(allowed)}")
