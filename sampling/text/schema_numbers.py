"""The numbers of a JSON schema, said so that llguidance's expressions for them end within the digits that a text may have.

Where llguidance has to write a number that is larger than another and not the same, it asks for one more digit after zeros, for
ever; and where it has to write one below zero. So a range is split there, and in each part the end near zero is a number that
belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import NamedTuple

from sampling.core.errors import InvalidRequest
from sampling.text.json_schema import Schema, SchemaDocument, listed, types_of
from sampling.text.json_text import MOST_DIGITS


class End(NamedTuple):
    """An end of a range: the numbers from here on; where it is `beyond`, the number itself does not belong to the range."""

    number: Decimal
    beyond: bool


BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
NAMES = {1: ("minimum", "maximum", "exclusiveMaximum"), -1: ("maximum", "minimum", "exclusiveMinimum")}
NUMBERS = {"number", "integer"}
ZERO, BEYOND_ZERO = End(Decimal(0), False), End(Decimal(0), True)
LARGEST = Decimal(10**18)  # llguidance counts in 64 bits
SMALLEST = Decimal(1).scaleb(-MOST_DIGITS)
PRECISION = 60  # digits, enough for LARGEST and SMALLEST in one number


def bound_numbers(document: SchemaDocument, schema: Schema) -> None:
    """State the numbers of a schema anew, in place: the same ones, but for those of more digits than a text may have.

    Where a schema bounds its numbers, they are at most 10^18.

    Raises:
        InvalidRequest: A number that no text may have is spelled out, or none that one may have is left.
    """
    for keyword, values in (("const", [schema.get("const")]), ("enum", listed(schema, "enum"))):
        if not all(map(writable, numbers_in(values))):
            words = f"without integers that no double is, and without numbers of more than {MOST_DIGITS} digits in a row"
            raise InvalidRequest(document.name(schema, keyword), schema[keyword], words)
    given = {keyword: schema[keyword] for keyword in BOUNDS if keyword in schema}
    types = types_of(schema)
    if given and types & NUMBERS and all(readable(keyword, value) for keyword, value in given.items()):
        low = max(ends(document, schema, "minimum", "exclusiveMinimum", 1), default=None)
        high = max(ends(document, schema, "maximum", "exclusiveMaximum", -1), default=None)
        step = {"multipleOf": schema["multipleOf"]} if "multipleOf" in schema else {}
        if step:  # on its way to a multiple a number may get one more digit, for ever, but for an end
            low, high = low or End(-LARGEST, False), high or End(-LARGEST, False)
        others = [{"type": sorted(types - NUMBERS)}] if types - NUMBERS else []
        options = [*others, *({"type": "number", **part, **step} for part in parts(low, high))]
        schema["allOf"] = [*listed(schema, "allOf"), {"anyOf": options}]
        for keyword in given:
            del schema[keyword]


def ends(document: SchemaDocument, schema: Schema, closed: str, opened: str, sign: int) -> Iterator[End]:
    """Yield the ends that a schema states on one side; with a sign of -1 the numbers are negated."""
    for keyword in (closed, opened):
        value = schema.get(keyword)
        if value is not None and not isinstance(value, bool):
            # true: as in draft 4
            yield End(sign * exact(value), keyword == opened or schema.get(opened) is True)
            if sign * value > LARGEST:
                words = "a number that leaves others, up to 10^18"
                raise InvalidRequest(document.name(schema, keyword), value, words)


def parts(low: End | None, high: End | None) -> Iterator[dict[str, float]]:
    """Yield what is from zero on and what is below in a range whose higher end is negated; else an empty range."""
    if high is None or high <= ZERO or (low is not None and low >= ZERO):
        yield part(ZERO if low is None else max(low, ZERO), high, 1)
    if low is None or low < ZERO:
        yield part(BEYOND_ZERO if high is None else max(high, BEYOND_ZERO), low, -1)


def part(near: End, far: End | None, sign: int) -> dict[str, float]:
    """Return a range of numbers of one sign, from its end near zero to the other, which is negated."""
    from_, to, below = NAMES[sign]
    found = {from_: sign * next_number(near)}
    if (
        far is not None
        and far.beyond
        and far.number >= -LARGEST
        and exact(as_read(float(far.number))) == far.number
    ):
        found[below] = sign * -float(far.number)
    elif far is not None:
        found[to] = sign * -next_number(far)
    return found


def next_number(end: End) -> float:
    """Return the first number of a range that a text may have and llguidance reads; none is below -10^18."""
    if end.number < -LARGEST:
        return -int(LARGEST)
    with localcontext(prec=PRECISION):
        least = end.number.quantize(SMALLEST, ROUND_CEILING)
        least += SMALLEST if end.beyond and least == end.number else 0
        number = whole(least)
        while not reaches(as_read(number), least):
            number = whole(Decimal(math.nextafter(number, math.inf)).quantize(SMALLEST, ROUND_CEILING))
    return number


def whole(number: Decimal) -> float:
    """Return the nearest double, as an integer where it is one: so it is read as it is."""
    double = float(number)
    return int(double) if double.is_integer() else double


def as_read(number: float) -> float:
    """Return the double that llguidance reads, which is the next one for some numbers of more than 15 digits."""
    sign, digits, exponent = exact(number).as_tuple()
    significand = float(int("".join(map(str, digits))))
    power = float(f"1e{abs(int(exponent))}")
    return math.copysign(significand * power if int(exponent) > 0 else significand / power, 0.5 - sign)


def reaches(number: float, least: Decimal) -> bool:
    """Whether a number is at least another, both as it is written and as the integer that it is."""
    return exact(number) >= least and not (number.is_integer() and int(number) < least)


def readable(keyword: str, value: object) -> bool:
    """Whether a keyword has a number; if not, llguidance says what is wrong."""
    return isinstance(value, int | float) and (keyword.startswith("exclusive") or not isinstance(value, bool))


def exact(number: float) -> Decimal:
    """Return the number that is written."""
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


def writable(number: float) -> bool:
    """Whether llguidance writes the very number, in no more digits than a text may have."""
    if abs(number) >= 10**MOST_DIGITS:
        return False
    double = exact(as_read(number))
    digits = format(double, "f").lstrip("-").split(".")
    return double == exact(number) and all(len(part) <= MOST_DIGITS for part in digits)


def numbers_in(value: object) -> Iterator[float]:
    """Yield the numbers in a JSON value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(one)
