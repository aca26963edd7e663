"""Renders chat templates in a helper process (`sampling.helper`): nothing of this package is imported here.

The environment is that of transformers, so that the text is the same: sandboxed, and with the same functions and tags. What it
reads of the clock is told, and nothing is drawn by chance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import ext, meta, nodes, parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

PLAIN = ({"role": "user", "content": "a"},)
"""A conversation that every chat template is made for."""


def answer(question: Mapping[str, Any]) -> Mapping[str, object]:
    """Render a chat template.

    Args:
        question: The `template`, the `variables` that it gets, of which `messages` is one, the names of those that are `given`
            by a user, the time `now` in ISO 8601, and the texts of `pinned` times by their format.

    Returns:
        The `text`, the times that were `read` by their format, and the given names that are `unknown` to the template. Or why
        there is none: the `refusal` is the template's own, by its `raise_exception`; a template that is `broken` renders
        nothing, and one with a `failure` fails on these messages.
    """
    clock = Clock(datetime.fromisoformat(question["now"]), question["pinned"])
    try:
        template = compiled(question["template"])
    except MemoryError:
        raise
    except jinja2.TemplateSyntaxError as error:
        return {"broken": f"line {error.lineno}: {error.message}"}
    except Exception as error:
        return {"broken": told(error)}
    try:
        text = template.render({**question["variables"], "strftime_now": clock.strftime_now})
    except MemoryError:
        raise
    except Refusal as error:
        return {"refusal": str(error)}
    except Exception as error:
        fields = {name: value for name, value in question["variables"].items() if isinstance(value, str)}
        return {"broken" if fails(template, fields) else "failure": told(error)}
    unknown = sorted({*question["given"]} - names_in(question["template"]))
    return {"text": text, "read": clock.read, "unknown": unknown}


def fails(template: jinja2.Template, fields: Mapping[str, str]) -> bool:
    """Whether a template fails on what every one is made for, too."""
    clock = Clock(datetime(2026, 1, 1), {})
    plain = {"messages": [*PLAIN], "tools": None, "documents": None, "add_generation_prompt": True}
    try:
        template.render({**fields, **plain, "strftime_now": clock.strftime_now})
    except MemoryError:
        raise
    except Refusal:
        return False
    except Exception:
        return True
    return False


def told(error: Exception) -> str:
    """Return what an exception says."""
    return str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"


class Refusal(jinja2.TemplateError):
    """A template's own word against a conversation."""


@dataclass
class Clock:
    """The time that a template may read.

    Args:
        now: Local time.
        pinned: Texts by format, which are read in place of it.

    Attributes:
        read: The texts that were read and are not pinned, by format.
    """

    now: datetime
    pinned: Mapping[str, str]
    read: dict[str, str] = field(default_factory=dict[str, str])

    def strftime_now(self, format: str) -> str:  # noqa: A002 (the name that transformers has)
        """Tell the time in a format of `strftime`."""
        if format in self.pinned:
            return self.pinned[format]
        return self.read.setdefault(format, self.now.strftime(format))


class GenerationTag(ext.Extension):
    """The tags around what an assistant said: they change nothing of the text."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own type)

    def parse(self, parser: parser.Parser) -> nodes.Node:
        """Read the tag and what it encloses."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_enclosed"), [], [], body).set_lineno(line)

    def _enclosed(self, caller: Any) -> str:
        return caller()


class Dictionaries:
    """The function `dict`, without what else the type can do."""

    def __call__(self, *args: Any, **fields: Any) -> dict[Any, Any]:
        """Make a dictionary."""
        return dict(*args, **fields)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """Make a dictionary of equal values."""
        return dict.fromkeys(*args)


class PublicNamespace(Namespace):
    """The function `namespace`: names with an underscore in front lead into Python itself and are refused."""

    def __init__(*args: Any, **fields: Any) -> None:  # pyright: ignore[reportSelfClsParameterName] (a field may be `self`)
        """Check the first names."""
        self, *given = args
        attributes = dict(*given, **fields)
        for name in attributes:
            refuse_private(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        """Check a name."""
        refuse_private(name)
        super().__setitem__(name, value)


def refuse_private(name: object) -> None:
    """Refuse names with an underscore in front."""
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace takes no name such as {name!r}")


def raise_exception(message: object) -> NoReturn:
    """Refuse a conversation."""
    raise Refusal(str(message))


def drawn(*_: object, **__: object) -> NoReturn:
    """Refuse what no seed would repeat."""
    raise jinja2.TemplateRuntimeError("it draws at random, which no seed would repeat")


def to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON; jinja2's own filter escapes it for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=8)
def names_in(source: str) -> set[str]:
    """Return the names that a template reads and does not set."""
    return meta.find_undeclared_variables(compiled(source).environment.parse(source))


@lru_cache(maxsize=8)
def compiled(source: str) -> jinja2.Template:
    """Compile a template.

    Source: transformers 5.23, utils/chat_template_utils.py, _cached_compile_jinja_template.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, ext.loopcontrols]
    )
    environment.filters.update(tojson=to_json, random=drawn)
    functions: dict[str, Any] = environment.globals
    functions.update(
        raise_exception=raise_exception, dict=Dictionaries(), namespace=PublicNamespace, lipsum=drawn
    )
    return environment.from_string(source)
