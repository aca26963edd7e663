"""What a checkpoint says about sampling, in `generation_config.json`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampling.core.errors import CheckpointError, InvalidArgument, shown
from sampling.core.params import SamplingParams, json_integer
from sampling.dialects import DIALECTS, Dialect
from sampling.model.files import is_there
from sampling.model.json_object import LARGEST, JsonObject
from sampling.pipeline.effective import NEUTRAL, effective_params, top_k_of

NAME = "generation_config.json"


def between(low: float, high: float = sys.float_info.max) -> Callable[[JsonObject, str], float]:
    """Read a finite number of a closed range."""
    words = f"a finite number of at least {low:g}" if high > 1 else f"a number from {low:g} to {high:g}"

    def read(file: JsonObject, name: str) -> float:
        value = file.get(name)
        if type(value) not in (int, float) or not low <= value <= high:
            raise file.error(name, value, words)
        return float(value)

    return read


def top_k(file: JsonObject, name: str) -> int:
    """Read how many tokens to keep; 0 or -1 for all."""
    try:
        return json_integer(name, file.get(name), -1, LARGEST)
    except InvalidArgument as error:
        raise file.error(name, error.value, error.allowed) from None


# What some engine can make sense of; a dialect may take less.
READERS: Mapping[str, Callable[[JsonObject, str], float]] = {
    "do_sample": JsonObject.flag,
    "temperature": between(0),
    "top_p": between(0, 1),
    "top_k": top_k,
    "min_p": between(0, 1),
    "repetition_penalty": JsonObject.number,
    "presence_penalty": between(-sys.float_info.max),
    "frequency_penalty": between(-sys.float_info.max),
    "max_new_tokens": JsonObject.integer,
}
OTHERS: Mapping[str, object] = {
    **dict.fromkeys(
        ("epsilon_cutoff", "eta_cutoff", "no_repeat_ngram_size", "min_length", "min_new_tokens"), 0
    ),
    **dict.fromkeys(("typical_p", "encoder_repetition_penalty", "num_beams", "num_return_sequences"), 1),
    **dict.fromkeys(("guidance_scale", "length_penalty"), 1),
    **dict.fromkeys(("diversity_penalty", "penalty_alpha"), 0),
    **dict.fromkeys(("renormalize_logits", "remove_invalid_values", "token_healing"), False),
    "encoder_no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    **dict.fromkeys(("constraints", "dola_layers", "force_words_ids", "forced_decoder_ids")),
    **dict.fromkeys(
        ("bad_words_ids", "begin_suppress_tokens", "suppress_tokens", "sequence_bias", "stop_strings")
    ),
    **dict.fromkeys(("exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id")),
    **dict.fromkeys(("max_length", "max_time", "top_h", "watermarking_config")),
}
"""What else changes the text in transformers, and is applied in no dialect; with the values that change nothing."""

SILENT = {**NEUTRAL, **OTHERS, "do_sample": True}
"""Values that change nothing."""


@dataclass(frozen=True)
class GenerationConfig:
    """The sampling values of a `generation_config.json`.

    Engines take them, or some of them, where a request leaves a field out; which, a dialect says.

    Args:
        path: The file.
        values: Those that it has, by their names there.
        others: What else it has that could change a text.
    """

    path: Path = Path(NAME)
    values: Mapping[str, float] = field(default_factory=dict[str, float])
    others: Mapping[str, object] = field(default_factory=dict[str, object])

    @classmethod
    def read(cls, folder: Path) -> GenerationConfig:
        """Read the file of a directory, which need not have one.

        Raises:
            CheckpointError: The file is malformed, or a value is one that no engine can make sense of.
        """
        path = folder / NAME
        file = JsonObject.read(path) if is_there(path) else JsonObject(path)
        values = {name: read(file, name) for name, read in READERS.items() if file.get(name) is not None}
        return cls(path, values, {name: file.get(name) for name in OTHERS if file.get(name) is not None})

    def defaults(self, dialect: Dialect) -> dict[str, Any]:
        """Return what requests of a dialect get where they leave a field out.

        A `do_sample` of false is a temperature at which the dialect takes the arg max; where the dialect knows the field, that
        is also what a file with other values means that does not name it.

        Returns:
            Values by the names of request fields.

        Raises:
            CheckpointError: A value is not one that the dialect takes.
            InvalidArgument: The dialect names a field that is not known here.
        """
        for name in dialect.generation_defaults:
            if name not in READERS:
                raise InvalidArgument("generation_defaults", name, f"among {', '.join(READERS)}")
        applied: dict[str, Any] = {
            name: self.values[name] for name in dialect.generation_defaults if name in self.values
        }
        if applied and "do_sample" in dialect.generation_defaults and not applied.pop("do_sample", False):
            applied["temperature"] = dialect.greedy_below / 2
        tokens = {"max_tokens": applied.pop("max_new_tokens")} if "max_new_tokens" in applied else {}
        try:
            if "top_k" in applied:
                applied["top_k"] = top_k_of(applied["top_k"], dialect)
            effective_params(SamplingParams(**applied, ranges=dialect.ranges), dialect)
        except InvalidArgument as error:
            raise CheckpointError(f"{self.path}: {error}") from None
        return {**applied, **tokens}

    def announcement(self, dialect: Dialect) -> str | None:
        """Say which values a dialect applies and which it does not; None where there is nothing to say."""
        said = {name: value for name, value in self.values.items() if SILENT.get(name) != value}
        other = {name: value for name, value in self.others.items() if value not in (SILENT[name], [], {})}
        if said and "do_sample" in dialect.generation_defaults and not self.values.get("do_sample"):
            said = {"do_sample": False, **said}
        taken = {name: value for name, value in said.items() if name in dialect.generation_defaults}
        left = {name: value for name, value in said.items() if name not in taken}
        takers = [each.name for each in DIALECTS.values() if left.keys() & {*each.generation_defaults}]
        parts = (
            f"{listed(taken)} where a request leaves them out" if taken else "",
            f"{listed(left)} not applied by the dialect {dialect.name!r} ({', '.join(takers)} do)"
            if left
            else "",
            f"{listed(other)} applied by no dialect" if other else "",
        )
        return f"{self.path}: {'; '.join(filter(None, parts))}" if any(parts) else None


def listed(values: Mapping[str, object]) -> str:
    """Return some values and their names.

    Example:
        >>> listed({"temperature": 0.6, "top_k": 50})
        'temperature 0.6, top_k 50'
    """
    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())
