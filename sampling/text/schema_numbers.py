"""The numbers of a JSON schema, said so that llguidance's expressions for them end within the digits that a text may have.

A range that is open at an end, or that holds zero within, has no longest number there: after some zeros it asks for one more
digit, for ever. So each end is closed, at the next number that a text can have, and a range is split below zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal, localcontext

from sampling.errors import InvalidRequest
from sampling.text.json_schema import Schema, SchemaDocument, listed, types_of
from sampling.text.json_text import MOST_DIGITS

BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
NUMBERS = {"number", "integer"}
LARGEST = 10.0**18  # llguidance counts in 64 bits
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
        numbers = [{"type": "number", **piece} for piece in pieces(document, schema)]
        others = [{"type": sorted(types - NUMBERS)}] if types - NUMBERS else []
        schema["allOf"] = [*listed(schema, "allOf"), {"anyOf": [*others, *numbers]}]
        for keyword in given:
            del schema[keyword]


def pieces(document: SchemaDocument, schema: Schema) -> Iterator[dict[str, float]]:
    """What a schema says of numbers, below zero and from there on."""
    low = end(document, schema, "minimum", "exclusiveMinimum")
    high = end(document, schema, "maximum", "exclusiveMaximum", -1)
    step: dict[str, float] = {}
    if (
        "multipleOf" in schema
    ):  # on its way to a multiple a number may get one more digit, for ever, but for an end
        step = {"multipleOf": schema["multipleOf"]}
        low, high = -LARGEST if low is None else low, LARGEST if high is None else high
    lower, upper = {} if low is None else {"minimum": low}, {} if high is None else {"maximum": high}
    if low is not None and high is not None and low > high:  # llguidance says what is wrong
        yield {**lower, **upper}
        return
    if low is None or low < 0:
        yield {**lower, "maximum": min(-float(SMALLEST), 0.0 if high is None else high), **step}
    if high is None or high >= 0:
        yield {"minimum": max(0.0, low or 0.0), **upper, **step}


def end(document: SchemaDocument, schema: Schema, closed: str, opened: str, sign: int = 1) -> float | None:
    """The least number that a schema takes, or with a sign of -1 the largest; None where it does not say."""
    found: list[float] = []
    for keyword in (closed, opened):
        value = schema.get(keyword)
        if value is None or isinstance(value, bool):
            continue
        beyond = keyword == opened or schema.get(opened) is True  # as draft 4 has it
        found.append(sign * next_number(sign * exact(value), beyond=beyond))
        if sign * found[-1] > LARGEST:
            raise InvalidRequest(
                document.name(schema, keyword), value, "a number that leaves others, up to 10^18"
            )
    return (max if sign > 0 else min)(found, default=None)


def next_number(bound: Decimal, *, beyond: bool) -> float:
    """The least number from a bound on, or beyond it, that a text may have and llguidance reads; none is below -10^18."""
    if abs(bound) > LARGEST:
        return -LARGEST if bound < 0 else math.inf
    with localcontext(prec=PRECISION):
        least = bound.quantize(SMALLEST, ROUND_CEILING)
        least += SMALLEST if beyond and least == bound else 0
        number = float(least)
        while not from_least_on(as_read(number), least):
            number = float(Decimal(math.nextafter(number, math.inf)).quantize(SMALLEST, ROUND_CEILING))
    return number + 0.0  # no -0.0


def from_least_on(number: float, least: Decimal) -> bool:
    """Whether a number is not below a least one, neither as it is written nor as the integer that it is."""
    return exact(number) >= least and not (number.is_integer() and int(number) < least)


def as_read(number: float) -> float:
    """The double that llguidance reads, which is the next one for some numbers of more than 15 digits."""
    sign, digits, exponent = exact(number).as_tuple()
    significand = float(int("".join(map(str, digits))))
    power = float(f"1e{abs(int(exponent))}")
    return math.copysign(significand * power if int(exponent) > 0 else significand / power, 0.5 - sign)


def readable(keyword: str, value: object) -> bool:
    """Whether a keyword has a number; if not, llguidance says what is wrong."""
    return isinstance(value, int | float) and (keyword.startswith("exclusive") or not isinstance(value, bool))


def exact(number: float) -> Decimal:
    """The number that is written."""
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


def writable(number: float) -> bool:
    """Whether llguidance writes the very number, in no more digits than a text may have."""
    if abs(number) >= 10**MOST_DIGITS:
        return False
    double = exact(as_read(number))
    return double == exact(number) and all(
        len(part) <= MOST_DIGITS for part in format(double, "f").lstrip("-").split(".")
    )


def numbers_in(value: object) -> Iterator[float]:
    """The numbers in a JSON value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(one)
