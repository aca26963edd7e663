"""The effective parameters of a request: what a dialect makes of those that it has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any

from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.params import SamplingParams, json_integer
from sampling.dialects import STAGES, Dialect
from sampling.dialects.others import naming_others

NEUTRAL = {f.name: getattr(SamplingParams(), f.name) for f in fields(SamplingParams) if f.name in STAGES}


@dataclass(frozen=True)
class EffectiveParams:
    """A request's parameters as a dialect's engine would run them.

    Args:
        params: The parameters.
        arg_max: Whether the arg max is taken after everything.
    """

    params: SamplingParams
    arg_max: bool = False

    def uses(self, names: Collection[str]) -> bool:
        """Return True if one of these parameters is not neutral, or the arg max is taken."""
        return self.arg_max or any(getattr(self.params, name) != NEUTRAL[name] for name in names)


def top_k_of(value: object, dialect: Dialect) -> int:
    """Check a top_k as a dialect's requests write it; 0 is what pipelines know as off."""
    low, high = dialect.ranges.top_k
    off = {*dialect.top_k_off}
    if isinstance(value, int | float) and not isinstance(value, bool) and value in off:
        return 0
    lowest = low if low in off else low + 1
    try:
        return json_integer("top_k", value, lowest, high)
    except InvalidArgument as error:
        others = "".join(f", or {one} for all tokens" for one in sorted(off - {low}))
        raise InvalidRequest("top_k", value, f"{error.allowed}{others}") from None


def effective_params(params: SamplingParams, dialect: Dialect) -> EffectiveParams:
    """Return a request's parameters as the dialect's engine would run them.

    Raises:
        InvalidRequest: The dialect has no such stage, a value is outside of its ranges, or it does not take temperature 0.
    """
    if params.ranges != dialect.ranges:
        params = replace(params, ranges=dialect.ranges)
    used: dict[str, Any] = {
        name: new for name, old, new in dialect.substitutes if getattr(params, name) == old
    }
    params = replace(params, **used) if used else params
    for name, neutral in NEUTRAL.items():
        if name not in dialect.stages and getattr(params, name) != neutral:
            raise InvalidRequest(
                name, getattr(params, name), f"left out: the dialect {dialect.name!r} has no {name}"
            )
    if params.temperature == 0 and not dialect.zero_temperature:
        raise InvalidRequest("temperature", 0.0, f"above 0 in the dialect {dialect.name!r}")
    if params.temperature < dialect.greedy_below:
        changes: dict[str, Any] = dict(dialect.greedy_overrides)
        return EffectiveParams(replace(params, **changes), dialect.greedy_arg_max)
    if 0 < params.temperature < dialect.lowest_temperature:
        params = replace(params, temperature=dialect.lowest_temperature)
    return EffectiveParams(params)


def checked_params(params: SamplingParams, dialect: Dialect) -> EffectiveParams:
    """Return the effective parameters of a request, if the dialect can serve it; a refusal names dialects that can.

    Raises:
        InvalidArgument: No SamplingParams.
        InvalidRequest: A stage or a value that the dialect does not have.
    """
    if not isinstance(params, SamplingParams):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument("params", params, "SamplingParams, such as SamplingParams(temperature=0.7)")
    return naming_others(lambda one: effective_params(params, one), dialect)
