"""What a JSON schema comes to when it is written out: how much it is, and which of its parts ever end.

A compiler joins the schemas that hold at one place of a text (a reference and what stands beside it, the members of `allOf`,
what several of them say of one property), and does so for every choice of `anyOf` and `oneOf`. So a place is a set of schemas
here. Each is looked at once, however often it is reached; how often that is, is counted.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sampling.core.errors import InvalidRequest
from sampling.text.json_schema import SCHEMA, TYPES, Schema, SchemaDocument, counted, listed, mapped, types_of
from sampling.text.schema_numbers import BOUNDS

MOST_PARTS = 5000
MOST_STEPS = 5 * MOST_PARTS  # to count them
MOST_OPTIONAL = 1000  # properties of one object: each may come next, so each is a case that a parser is in
MOST_PATTERNS = 50  # of names in one object: each is compared with each
SCALARS = TYPES - {"array", "object"}
IN_PLACE = {"$ref", "allOf", "anyOf", "oneOf"}
OF_STRINGS = {"format", "pattern", "minLength", "maxLength"}
OF_ARRAYS = {"items", "additionalItems", "prefixItems", "minItems", "maxItems"}
OF_PROPERTIES = {"properties", "additionalProperties", "patternProperties"}
OF_OBJECTS = OF_PROPERTIES | {"required", "minProperties", "maxProperties"}
ASSERTIONS = {"type", "const", "enum", *BOUNDS} | OF_STRINGS | OF_ARRAYS | OF_OBJECTS


class Held(NamedTuple):
    """A schema, by its number, that holds at a place; a `whole` one has references and combinations still to be looked at."""

    number: int
    whole: bool


Place = frozenset[Held]


class Way(NamedTuple):
    """A way to fill a place.

    Args:
        needed: The places in it that have to be filled, too.
        some: Places of which `least` have to be filled.
        least: How many.
    """

    needed: Sequence[Place] = ()
    some: Sequence[Place] = ()
    least: int = 0


class Filling(NamedTuple):
    """What may stand at a place.

    Args:
        ways: The ways to fill it.
        parts: The places in it.
        values: How many values the schema spells out.
    """

    ways: Sequence[Way]
    parts: Sequence[Place] = ()
    values: int = 0


class WrittenOut:
    """A schema with its references and combinations written out.

    Raises:
        InvalidRequest: It comes to too many parts, or a part is written out within itself.
    """

    def __init__(self, document: SchemaDocument) -> None:
        self._document = document
        self._schemas: list[Schema | bool] = []
        self._numbers: dict[int, int] = {}
        self._fillings: dict[Place, Filling] = {}
        self._work = 0
        self._root = self._place([document.root])
        self._shared = {self._root}  # what references alone lead to is compiled once
        self._look_at_all()
        self._count()

    def endless(self) -> list[Schema]:
        """Return the schemas that no finite text fits.

        Raises:
            InvalidRequest: The whole is one.
        """
        finite = self._finite()
        if self._root not in finite:
            raise InvalidRequest(SCHEMA, self._document.root, "a schema that a finite text fits")
        alone = (self._place([schema]) for schema in self._document.schemas)
        seen = zip(self._document.schemas, alone, strict=True)
        return [schema for schema, place in seen if place in self._fillings and place not in finite]

    def _look_at_all(self) -> None:
        """Find out what may stand at each place."""
        places = [self._root]
        while places:
            place = places.pop()
            if place in self._fillings:
                continue
            self._fillings[place] = filling = self._filling(place)
            self._charge(1 + len(filling.parts) + filling.values)
            places += filling.parts

    def _charge(self, parts: int) -> None:
        self._work += parts
        if self._work > MOST_STEPS:
            raise self._too_large()

    def _too_large(self) -> InvalidRequest:
        words = f"a schema of at most {MOST_PARTS} parts, as often as references and combinations repeat them"
        return InvalidRequest(SCHEMA, self._document.root, words)

    def _place(self, schemas: Iterable[Any]) -> Place:
        """Return the place where some schemas hold; what is no schema, the compiler has to say."""
        return frozenset(itertools.chain.from_iterable(map(self._held, schemas)))

    def _held(self, schema: Any) -> Iterator[Held]:
        """Yield a schema that holds, unless it says nothing."""
        if schema is False or (isinstance(schema, dict) and not IN_PLACE.isdisjoint(schema)):
            yield Held(self._number(schema), True)
        elif isinstance(schema, dict) and not ASSERTIONS.isdisjoint(schema):
            yield Held(self._number(schema), False)

    def _number(self, schema: Schema | bool) -> int:
        if id(schema) not in self._numbers:
            self._numbers[id(schema)] = len(self._schemas)
            self._schemas.append(schema)
        return self._numbers[id(schema)]

    def _filling(self, place: Place) -> Filling:
        """Return what may stand at a place."""
        whole = [self._schemas[held.number] for held in sorted(place) if held.whole]
        if False in whole:
            return Filling([])
        if whole:
            return self._joined(place, [one for one in whole if isinstance(one, dict)])
        plain = [one for held in sorted(place) if isinstance(one := self._schemas[held.number], dict)]
        if not plain:
            return Filling([Way()])  # anything
        types = TYPES.intersection(*map(types_of, plain))
        constants = [values for one in plain if (values := constants_of(one)) is not None]
        if constants:
            fits = any(type_of(value) in types for value in constants[0])
            return Filling([Way()] if fits else [], (), sum(map(size_of, constants)))
        scalar = Filling([Way()] if types & SCALARS else [])
        array = self._array(plain) if "array" in types else Filling([])
        filled = self._object(plain) if "object" in types else Filling([])
        return Filling([*scalar.ways, *array.ways, *filled.ways], [*array.parts, *filled.parts])

    def _joined(self, place: Place, whole: Sequence[Schema]) -> Filling:
        """Look into references and combinations: each choice is a place of its own."""
        targets = [self._document.target(one) for one in whole if "$ref" in one]
        all_of = [each for one in whole for each in listed(one, "allOf")]
        plain = frozenset(Held(self._number(one), False) for one in whole if not ASSERTIONS.isdisjoint(one))
        held = frozenset(one for one in place if not one.whole) | plain | self._place([*targets, *all_of])
        given = (one.get(keyword) for one in whole for keyword in ("anyOf", "oneOf"))
        choices = [options for options in given if isinstance(options, list)]
        places: list[Place] = []
        for chosen in itertools.product(*choices):
            places.append(held | self._place(chosen))
            self._charge(1 + len(places[-1]))
        if targets:
            self._shared.update(one for one in places if len(one) == 1)
        return Filling([Way([one]) for one in places], places)

    def _array(self, schemas: Sequence[Schema]) -> Filling:
        """Return an array."""
        lists = [items_of(one) for one in schemas]
        longest = max((len(first) for first, _ in lists), default=0)
        self._charge(len(schemas) * longest)
        first = [
            self._place(one[index] if index < len(one) else rest for one, rest in lists)
            for index in range(longest)
        ]
        rest = self._place(rest for _, rest in lists)
        least = max((counted(one, "minItems") for one in schemas), default=0)
        return Filling([Way([*first[:least], *([rest] if least > longest else [])])], [*first, rest])

    def _object(self, schemas: Sequence[Schema]) -> Filling:
        """Return an object."""
        required = dict.fromkeys(
            name for one in schemas for name in listed(one, "required") if isinstance(name, str)
        )
        names = dict.fromkeys(itertools.chain(*(mapped(one, "properties") for one in schemas), required))
        patterns = sum(len(mapped(one, "patternProperties")) for one in schemas)
        self._charge(len(schemas) * (len(names) + patterns))
        optional = [name for name in names if name not in required]
        for count, most, what in (
            (len(optional), MOST_OPTIONAL, "optional properties"),
            (patterns, MOST_PATTERNS, "patternProperties"),
        ):
            if count > most:
                raise InvalidRequest(SCHEMA, f"{count} {what} in one object", f"at most {most}")
        places = {name: self._place(property_of(one, name) for one in schemas) for name in names}
        others = [*self._other_properties(schemas)]
        needed = [places[name] for name in required]
        least = max((counted(one, "minProperties") for one in schemas), default=0) - len(required)
        ways = [Way(needed)]
        if least > 0:
            ways = [
                Way(needed, [places[name] for name in optional], least),
                *(Way([*needed, other]) for other in others),
            ]
        return Filling(ways, [*places.values(), *others])

    def _other_properties(self, schemas: Sequence[Schema]) -> Iterator[Place]:
        """Yield the properties that have no name in the schema."""
        additional = [one.get("additionalProperties") for one in schemas]
        yield self._place(additional)
        for index, one in enumerate(schemas):
            for pattern in mapped(one, "patternProperties").values():
                yield self._place([pattern, *additional[:index], *additional[index + 1 :]])

    def _count(self) -> None:
        """Count the parts, each as often as it is written out."""
        sizes: dict[Place, int] = {}
        within: set[Place] = set()
        stack = [*self._shared]
        while stack:
            place = stack[-1]
            parts = [part for part in self._fillings[place].parts if part not in self._shared]
            if place not in within:
                within.add(place)
                if any(part in within and part not in sizes for part in parts):
                    words = "one in which no reference that has keywords beside it leads back to itself"
                    raise InvalidRequest(SCHEMA, self._document.root, words)
                stack += [part for part in parts if part not in sizes]
                continue
            stack.pop()
            sizes[place] = 1 + self._fillings[place].values + sum(sizes[part] for part in parts)
            if sizes[place] > MOST_PARTS:
                raise self._too_large()
        if sum(sizes[place] for place in self._shared) > MOST_PARTS:
            raise self._too_large()

    def _finite(self) -> set[Place]:
        """Return the places that a finite text fills."""
        containing: defaultdict[Place, set[Place]] = defaultdict(set)
        for place, filling in self._fillings.items():
            for part in filling.parts:
                containing[part].add(place)
        finite: set[Place] = set()
        undecided: Iterable[Place] = self._fillings
        while new := {place for place in undecided if fillable(self._fillings[place], finite)}:
            finite |= new
            undecided = set[Place]().union(*(containing[place] for place in new)) - finite
        return finite


def fillable(filling: Filling, finite: set[Place]) -> bool:
    """Whether a place can be filled with parts that are finite."""
    return any(
        all(place in finite for place in way.needed)
        and sum(place in finite for place in way.some) >= way.least
        for way in filling.ways
    )


def constants_of(schema: Schema) -> list[Any] | None:
    """Return the values that a schema spells out; None where it spells out none."""
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) else None


def type_of(value: object) -> str:
    """Return the type of a JSON value."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "null")


def size_of(value: object) -> int:
    """How many values a value holds; 1 for a number."""
    if isinstance(value, dict | list):
        return 1 + sum(map(size_of, value.values() if isinstance(value, dict) else value))
    return 1


def items_of(schema: Schema) -> tuple[list[Any], Any]:
    """Return the schemas of an array's first items, and of the others."""
    if isinstance(schema.get("items"), list):  # up to draft 2019-09
        return schema["items"], schema.get("additionalItems")
    return listed(schema, "prefixItems"), schema.get("items")


def property_of(schema: Schema, name: str) -> Any:
    """Return what a schema says of a property; of what patterns say, the compiler knows more."""
    known = mapped(schema, "properties")
    if name in known or "patternProperties" in schema:
        return known.get(name)
    return schema.get("additionalProperties")
