"""Kinds of request fields: each reads a value and describes it as a JSON schema, so that the two agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sampling.chat.checks import list_of, object_of, text_of
from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.params import LARGEST, boolean, json_integer, number

Schema = dict[str, Any]


class Kind(Protocol):
    """What the values of a field are like."""

    @property
    def schema(self) -> Schema:
        """The values as a JSON schema, null left aside."""
        ...

    def read(self, name: str, value: object) -> object:
        """Check a value.

        Args:
            name: The field, for the message.
            value: What was given, not None.

        Returns:
            The value in its canonical type.

        Raises:
            InvalidRequest: It is not allowed.
        """
        ...


@dataclass(frozen=True)
class Flag:
    """True or false."""

    @property
    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}

    def read(self, name: str, value: object) -> bool:
        """Check a boolean."""
        return boolean(name, value)


@dataclass(frozen=True)
class Whole:
    """An integer of a closed range."""

    low: int
    high: int

    @property
    def schema(self) -> Schema:
        """An integer."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def read(self, name: str, value: object) -> int:
        """Check an integer."""
        return json_integer(name, value, self.low, self.high)


@dataclass(frozen=True)
class WholeOr:
    """An integer of a closed range, or one integer that stands for none.

    Args:
        none: That integer.
        range: The others.
    """

    none: int
    range: Whole

    @property
    def schema(self) -> Schema:
        """Either of the two."""
        return {"anyOf": [{"const": self.none}, self.range.schema]}

    def read(self, name: str, value: object) -> int | None:
        """Check an integer; None for the one that stands for none."""
        if isinstance(value, int | float) and not isinstance(value, bool) and value == self.none:
            return None
        try:
            return self.range.read(name, value)
        except InvalidArgument as error:
            raise InvalidRequest(name, value, f"{error.allowed}, or {self.none} for no limit") from None


@dataclass(frozen=True)
class Real:
    """A number of a closed range."""

    low: float = -LARGEST
    high: float = LARGEST

    @property
    def schema(self) -> Schema:
        """A number."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    def read(self, name: str, value: object) -> float:
        """Check a number."""
        return number(name, value, self.low, self.high)


@dataclass(frozen=True)
class Text:
    """A string; of at most so many characters, where there is a limit."""

    longest: int | None = None

    @property
    def schema(self) -> Schema:
        """A string."""
        limit = {} if self.longest is None else {"maxLength": self.longest}
        return {"type": "string", **limit}

    def read(self, name: str, value: object) -> str:
        """Check a string."""
        text = text_of(name, value)
        if self.longest is not None and len(text) > self.longest:
            raise InvalidRequest(name, value, f"a string of at most {self.longest} characters")
        return text


@dataclass(frozen=True)
class Identifier:
    """A string that an HTTP header can hold as it is: visible ASCII characters."""

    longest: int

    @property
    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "pattern": f"^[!-~]{{1,{self.longest}}}$"}

    def read(self, name: str, value: object) -> str:
        """Check a string."""
        text = text_of(name, value)
        if not 1 <= len(text) <= self.longest or not all("!" <= character <= "~" for character in text):
            raise InvalidRequest(name, value, f"1 to {self.longest} visible ASCII characters")
        return text


@dataclass(frozen=True)
class Texts:
    """A list of strings."""

    most: int

    @property
    def schema(self) -> Schema:
        """A list of strings."""
        return {"type": "array", "items": Text().schema, "maxItems": self.most}

    def read(self, name: str, value: object) -> tuple[str, ...]:
        """Check a list of strings."""
        items = list_of(value)
        if items is None or len(items) > self.most:
            raise InvalidRequest(name, value, f"a list of at most {self.most} strings")
        return tuple(text_of(f"{name}[{index}]", item) for index, item in enumerate(items))


@dataclass(frozen=True)
class OneOf:
    """One of some strings."""

    values: tuple[str, ...]

    @property
    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": [*self.values]}

    def read(self, name: str, value: object) -> str:
        """Check a string."""
        if not isinstance(value, str) or value not in self.values:
            raise InvalidRequest(name, value, f"one of {', '.join(self.values)}")
        return value


@dataclass(frozen=True)
class Labels:
    """An object of strings, such as what a client notes about a request."""

    most: int
    longest_key: int
    longest: int

    @property
    def schema(self) -> Schema:
        """An object of strings."""
        limits = {"maxProperties": self.most, "propertyNames": {"maxLength": self.longest_key}}
        return {"type": "object", **limits, "additionalProperties": Text(self.longest).schema}

    def read(self, name: str, value: object) -> Mapping[str, str]:
        """Check an object of strings."""
        words = f"an object of at most {self.most} strings of at most {self.longest} characters"
        if not isinstance(value, Mapping):
            raise InvalidRequest(name, value, words)
        labels = cast("Mapping[object, object]", value)
        if len(labels) > self.most:
            raise InvalidRequest(name, f"{len(labels)} of them", words)
        wrong = next((k for k in labels if not isinstance(k, str) or len(k) > self.longest_key), None)
        if wrong is not None:
            raise InvalidRequest(name, wrong, f"keyed by strings of at most {self.longest_key} characters")
        return {str(key): Text(self.longest).read(f"{name}.{key}", item) for key, item in labels.items()}


@dataclass(frozen=True)
class Members:
    """An object whose members are known, none of them needed."""

    kinds: Mapping[str, Kind]

    @property
    def schema(self) -> Schema:
        """An object."""
        members = {name: {"anyOf": [kind.schema, {"type": "null"}]} for name, kind in self.kinds.items()}
        return {"type": "object", "properties": members, "additionalProperties": {"type": "null"}}

    def read(self, name: str, value: object) -> Mapping[str, object]:
        """Check an object."""
        given = object_of(name, value, [*self.kinds])
        return {str(key): self.kinds[str(key)].read(f"{name}.{key}", item) for key, item in given.items()}


@dataclass(frozen=True)
class Only:
    """A field that would change the answer in a way that is not offered: only values that change nothing are taken.

    Args:
        neutral: The JSON values that change nothing.
        reason: Why the others are refused.
    """

    neutral: tuple[object, ...]
    reason: str

    @property
    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": [*self.neutral]}

    def read(self, name: str, value: object) -> object:
        """Check that a value changes nothing."""
        plain = list_of(value)
        given = value if plain is None else [*plain]
        if any(given == one and isinstance(given, bool) == isinstance(one, bool) for one in self.neutral):
            return given
        words = "".join(f"{json.dumps(one)} or " for one in self.neutral)
        raise InvalidRequest(name, value, f"{words}left out: {self.reason}")
