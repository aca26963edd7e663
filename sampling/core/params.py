"""One request's sampling parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import cast

import numpy as np

from sampling.core.errors import InvalidArgument, reading_request

LOWEST_SEED, HIGHEST_SEED = -(2**63), 2**64 - 1
# The ends of what a float32 can hold above 0.
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
LARGEST = float(np.finfo(np.float32).max)
LARGEST_TOP_K = 2**31
LARGEST_MIN_TOKENS = 2**31 - 1
MOST_DIGITS = 20  # of a token id; of longer ones many can have one hash, and each would be compared with each


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What requests may say: the smallest and the largest value of each field.

    Penalties and biases end where they would take a model's logits out of float32's range.

    Args:
        temperature: The published page's, like all but the last four.
        top_p: A share of the mass.
        frequency_penalty: What one use of a token may cost.
        presence_penalty: The same.
        logit_bias: Of each bias.
        seed: All integers of 64 bits, signed or not.
        top_logprobs: How many alternatives.
        repetition_penalty: A factor.
        top_k: How many tokens; 0 for all.
        min_p: A fraction.
        min_tokens: How many tokens.
    """

    temperature: tuple[float, float] = (0, 2)
    top_p: tuple[float, float] = (0, 1)
    frequency_penalty: tuple[float, float] = (-2, 2)
    presence_penalty: tuple[float, float] = (-2, 2)
    logit_bias: tuple[float, float] = (-100, 100)
    seed: tuple[int, int] = (LOWEST_SEED, HIGHEST_SEED)
    top_logprobs: tuple[int, int] = (0, 20)
    repetition_penalty: tuple[float, float] = (1e-6, 1e6)
    top_k: tuple[int, int] = (0, LARGEST_TOP_K)
    min_p: tuple[float, float] = (0, 1)
    min_tokens: tuple[int, int] = (0, LARGEST_MIN_TOKENS)


PAGE = Ranges()
Bias = Mapping[int | str, float] | Mapping[int, float] | Mapping[str, float]
NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p")
INTEGERS = ("seed", "top_logprobs", "top_k", "min_tokens")


def number(name: str, value: object, low: float, high: float) -> float:
    """Check a number, which no bool is, against a closed range; return it as a float.

    Raises:
        InvalidArgument: Not a number, NaN, infinite, or out of range.
    """
    # compared as it is: an integer may be too large for a float
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= cast("float", value) <= high:
        raise InvalidArgument(name, value, f"a number from {low:g} to {high:g}")
    # A float32 0.1 means 0.1, as it prints, and not the float64 next to it.
    return float(str(value)) if isinstance(value, np.floating) else float(value)


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Check an integer against a closed range; `high` None means no upper end.

    Raises:
        InvalidArgument: Not an integer (a bool is none), or out of range.
    """
    upper = math.inf if high is None else high
    # the exact type first: asking an abstract class takes a microsecond, and draws come by the million
    whole = type(value) is int or (not isinstance(value, bool) and isinstance(value, Integral))
    if not whole or not low <= int(cast("int", value)) <= upper:
        words = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
        raise InvalidArgument(name, value, words)
    return int(cast("int", value))


def json_integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Check an integer of a request against a closed range; `high` None means no upper end.

    Raises:
        InvalidArgument: Not an integer, or out of range.

    Source: JSON Schema, which takes 6.0 for the integer 6 (Core, section 4.2.3).

    Example:
        >>> json_integer("n", 6.0, 1, 8)
        6
    """
    upper = math.inf if high is None else high
    if isinstance(value, float | np.floating) and float(value).is_integer() and low <= float(value) <= upper:
        return int(value)
    return integer(name, value, low, high)


def boolean(name: str, value: object) -> bool:
    """Check that a value is True or False."""
    if not isinstance(value, bool):
        raise InvalidArgument(name, value, "true or false")
    return value


def token_id(name: str, key: object) -> int:
    """Read a token id that may be written as a string of digits, as JSON object keys are."""
    text = isinstance(key, str) and key.isascii() and key.isdigit()
    if text and len(cast("str", key)) > MOST_DIGITS:
        raise InvalidArgument(name, key, f"keyed by token ids, integers of at most {MOST_DIGITS} digits")
    value = int(cast("str", key)) if text else key
    if type(value) is int and value >= 0:  # asking an abstract class takes most of the time
        return value
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 0:
        raise InvalidArgument(name, key, "keyed by token ids, integers of at least 0")
    return int(value)


def token_ids(name: str, value: object, most: int | None = None) -> tuple[int, ...]:
    """Check a list of token ids, of at most so many where there is a limit; return each once, in their order.

    Raises:
        InvalidArgument: No list, too long, or an id that is none.

    Example:
        >>> token_ids("stop_token_ids", [7, 2, 7])
        (7, 2)
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidArgument(name, value, "a list of token ids")
    items = cast("Sequence[object]", value)
    if most is not None and len(items) > most:
        raise InvalidArgument(name, f"{len(items)} ids", f"a list of at most {most} token ids")
    ids = [json_integer(f"{name}[{index}]", item, 0, None) for index, item in enumerate(items)]
    return tuple(dict.fromkeys(ids))


class BiasTable(Mapping[int, float]):
    """Biases by token id; cannot be changed, can be hashed, copied and pickled."""

    def __init__(self, table: Mapping[int, float] | None = None) -> None:
        self._table = dict(table or {})

    def __getitem__(self, token: int) -> float:
        """Return the bias of a token id."""
        return self._table[token]

    def __iter__(self) -> Iterator[int]:
        return iter(self._table)

    def __len__(self) -> int:
        """How many ids have a bias."""
        return len(self._table)

    def __hash__(self) -> int:
        return hash(frozenset(self._table.items()))

    def __repr__(self) -> str:
        return repr(self._table)


def bias_table(name: str, value: object, low: float, high: float) -> dict[int, float]:
    """Check a mapping of token ids, integers or strings of digits, to biases of a closed range; return it with integer keys.

    Raises:
        InvalidArgument: Not a mapping, a bad id, a bias out of range, or one id twice.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(name, value, "an object of token ids and biases")
    table: dict[int, float] = {}
    for key, bias in cast("Mapping[object, object]", value).items():
        token = token_id(name, key)
        if token in table:
            raise InvalidArgument(name, key, f"given once: token id {token} appears twice")
        plain = type(bias) in (int, float) and low <= cast("float", bias) <= high
        table[token] = float(cast("float", bias)) if plain else number(f"{name}[{token}]", bias, low, high)
    return table


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """One request's sampling parameters, checked on construction.

    The first group is the published page's, with its ranges; the second group holds what other engines offer, off by default.
    A dialect whose engine takes more has `ranges` of its own.

    Args:
        temperature: Divides the logits; 0 takes the most likely token. 0 to 2.
        top_p: Sample only from the likeliest tokens that hold this share of the mass. 0 to 1.
        frequency_penalty: Subtracted from a logit for every time its token was sampled. -2 to 2.
        presence_penalty: Subtracted once from the logit of every token that was sampled. -2 to 2.
        logit_bias: Added to the logits of these token ids (integers or strings of digits). -100 to 100.
        seed: Same seed, same logits, same parameters: same tokens. -2^63 to 2^64 - 1; None takes a fresh one.
        logprobs: Whether the log probabilities are wanted.
        top_logprobs: How many alternatives at each position, 0 to 20; needs `logprobs`.
        repetition_penalty: Divides positive and multiplies negative logits of repeated tokens. 1e-6 to 1e6; 1 is off.
        top_k: Sample only from the k likeliest tokens, at most 2^31; 0 is off.
        min_p: Sample only tokens at least this fraction as likely as the likeliest. 0 to 1; 0 is off.
        min_tokens: Sample none of `stop_token_ids` before so many tokens were sampled. 0 to 2^31 - 1.
        stop_token_ids: Token ids that end a choice.
        ranges: What the values may be, such as `dialect("llama.cpp").ranges`; the ranges above when left out. It is no
            parameter itself: params that differ in it alone are equal.

    Raises:
        InvalidRequest: A value is not allowed; the message names the field, the value and the range.

    Example:
        >>> SamplingParams(temperature=0.7, logit_bias={"42": -100}).logit_bias[42]
        -100.0
        >>> SamplingParams(temperature=2.1)
        Traceback (most recent call last):
        ...
        sampling.core.errors.InvalidRequest: temperature: got 2.1, must be a number from 0 to 2
    """

    temperature: float = 1.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Bias = field(default_factory=BiasTable)
    seed: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    repetition_penalty: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    min_tokens: int = 0
    stop_token_ids: Sequence[int] = ()
    ranges: Ranges = field(default=PAGE, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every field and store it in its canonical type."""
        with reading_request():
            checked = self._checked()
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _checked(self) -> dict[str, object]:
        """Return the fields in their canonical types."""
        checked: dict[str, object] = {
            "logit_bias": BiasTable(bias_table("logit_bias", self.logit_bias, *self.ranges.logit_bias)),
            "logprobs": boolean("logprobs", self.logprobs),
            "stop_token_ids": token_ids("stop_token_ids", self.stop_token_ids),
        }
        for name in NUMBERS:
            checked[name] = number(name, getattr(self, name), *getattr(self.ranges, name))
        for name in INTEGERS:
            if name != "seed" or self.seed is not None:
                checked[name] = json_integer(name, getattr(self, name), *getattr(self.ranges, name))
        if checked["top_logprobs"] and not checked["logprobs"]:
            raise InvalidArgument(
                "top_logprobs", self.top_logprobs, "left out (or 0) unless logprobs is true"
            )
        return checked
