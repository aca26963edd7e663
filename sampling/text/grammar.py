"""JSON mode: which tokens keep a text on its way to a JSON object, or to a value that fits a JSON schema.

llguidance, an optional dependency, parses; the bytes of the tokens are this library's own. Nothing is forced: every token whose
bytes keep the text completable is allowed, not only the one that a tokenizer would have written.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sampling.core.errors import InvalidRequest
from sampling.helper import BoundExceeded, Helper
from sampling.text.json_schema import SCHEMA
from sampling.text.json_text import json_text
from sampling.text.schema_fault import fault_of
from sampling.text.schema_grammar import schema_grammar
from sampling.text.schema_size import MOST_OPTIONAL
from sampling.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

LIMITS: dict[str, Any] = {
    "max_lexer_states": 50_000,  # a state takes one or two kilobytes
    "step_lexer_fuel": 100_000,  # for one mask, some ten milliseconds
    "max_items_in_row": 10 * MOST_OPTIONAL,  # four for each property that may come next
}
# decoding goes first
TRIAL = Helper(Path(__file__).with_name("trial.py"), memory=2**29, longest=2**20, nice=10)
SECONDS = 10.0  # that a schema may take to compile; ordinary ones take milliseconds


class Grammars:
    """The grammars that a model's vocabulary can write; one for each model, since making it takes a while."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def warm_up(self) -> None:
        """Make what all grammars share, where llguidance is installed: it stops every thread for as long as it takes."""
        if find_spec("llguidance") is not None:
            _ = self.json_object, self._json_value

    def grammar(self, kind: str, schema: Mapping[str, object] | None = None) -> Grammar | None:
        """Return the grammar of a response format, made once for all choices of a request.

        Args:
            kind: "text", "json_object" or "json_schema".
            schema: The JSON schema of the last.

        Returns:
            The grammar; None for "text".

        Raises:
            InvalidRequest: A schema that llguidance does not support, or llguidance is not installed.
        """
        if kind == "text":
            return None
        require_llguidance(kind)
        return self.json_object if kind == "json_object" else self.json_schema(schema or {})

    @cached_property
    def json_object(self) -> Grammar:
        """Any JSON object, its white space and its numbers bounded: see `json_text`."""
        return Grammar("json_object", [self._parser(json_text("object"))], self.vocabulary)

    def json_schema(self, schema: Mapping[str, object]) -> Grammar:
        """JSON that fits a schema, an object or not, its white space and its numbers bounded as in `json_object`.

        The properties of an object come in the order of the schema.

        Raises:
            InvalidRequest: llguidance does not support the schema, or only almost; no text fits it; it is too large.
        """
        text = schema_grammar(schema)
        try:
            refusal = tried(text)  # in a process that can be ended; so it ends in this one, too
        except BoundExceeded as error:
            raise InvalidRequest(SCHEMA, schema, f"a schema that llguidance compiles {error}") from None
        if refusal is None:
            parser = self._parser(text)
            if (refusal := refusal_of(parser)) is None:
                return Grammar("json_schema", [parser, self._json_value], self.vocabulary)
        path, part = fault_of(schema, refusal_by_trial)
        words = f"a schema that llguidance supports (it says: {plain(refusal)})"
        raise InvalidRequest(".".join(map(str, (SCHEMA, *path))), part, words)

    @cached_property
    def _json_value(self) -> LLMatcher:
        return self._parser(json_text("value"))

    def _parser(self, text: str) -> LLMatcher:
        """Return what parses the texts of a grammar in llguidance's Lark format; it has read nothing."""
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(**LIMITS, verbose_errors=False)
        return LLMatcher(self.tokenizer, text, log_level=0, limits=limits)

    @cached_property
    def tokenizer(self) -> LLTokenizer:
        """The token bytes as llguidance reads them."""
        from llguidance import LLTokenizer, TokenizerWrapper

        class Tokens(TokenizerWrapper):
            """What LLTokenizer reads; it is called for text that a grammar forces, of which ours have none."""

            def __init__(self, vocabulary: Vocabulary) -> None:
                size = len(vocabulary)
                texts = [vocabulary.bytes_of(token) for token in range(size)]
                self.is_tokenizer_wrapper = True
                self.bos_token_id = None
                # one of llguidance's own: a model may have several end tokens, or none
                self.eos_token_id = size
                self.tokens = [*(raw or b"" for raw in texts), b""]
                self.special_token_ids = [token for token, raw in enumerate(self.tokens) if not raw]

        return LLTokenizer(Tokens(self.vocabulary))


class Grammar:
    """What a response format allows, by its name: the texts that some parsers, which have read nothing, all take."""

    def __init__(self, name: str, parsers: Sequence[LLMatcher], vocabulary: Vocabulary) -> None:
        self.name, self.size = name, len(vocabulary)
        self.end_ids = frozenset(token for token in vocabulary.end_ids if token < self.size)
        self._parsers = parsers

    def constraint(self) -> TextConstraint:
        """Return a constraint for one choice."""
        return TextConstraint(self)

    def beginning(self) -> list[LLMatcher]:
        """Return the parsers for one choice, which have read nothing."""
        return [parser.deep_copy() for parser in self._parsers]

    def next_tokens(self, parsers: Sequence[LLMatcher]) -> Tensor:
        """Which tokens all allow next, bool [C]: none where one is stuck; an end token where the text may end."""
        masks = (np.frombuffer(parser.compute_bitmask(), np.uint8) for parser in parsers)
        bits = functools.reduce(np.bitwise_and, masks)
        allowed = torch.from_numpy(np.unpackbits(bits, count=self.size, bitorder="little").view(np.bool_))
        # false, and no bit set, once there was an error
        allowed[[*self.end_ids]] = all(parser.is_accepting() for parser in parsers)
        return allowed


class TextConstraint:
    """What a grammar allows after the tokens of one choice; remembers where it was. For one thread at a time."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._restart()

    def __repr__(self) -> str:
        return self._grammar.name

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        """Which tokens may come next.

        All end tokens of the model where the text may end; nothing after one of them, and nothing where the grammar is stuck.

        Args:
            sampled: The tokens sampled so far, without the prompt.

        Returns:
            bool [C], C the number of the tokenizer's ids.
        """
        known = len(self._read)
        if list(sampled[:known]) != self._read:
            self._restart()
            known = 0
        for token in sampled[known:]:
            self._take(token)
        if self._over:
            return torch.zeros(self._grammar.size, dtype=torch.bool)
        return self._grammar.next_tokens(self._parsers)

    @property
    def trouble(self) -> str:
        """Why the grammar is stuck, in llguidance's words; empty where it is not."""
        return next((plain(parser.get_error()) for parser in self._parsers if parser.is_error()), "")

    def _restart(self) -> None:
        self._parsers = self._grammar.beginning()
        self._read: list[int] = []
        self._over = False

    def _take(self, token: int) -> None:
        self._read.append(token)
        readable = token < self._grammar.size and token not in self._grammar.end_ids
        read = readable and not self._over and all(parser.consume_token(token) for parser in self._parsers)
        self._over = not read


@functools.lru_cache(maxsize=32)
def tried(text: str) -> str | None:
    """Return what llguidance has against a grammar, by a trial in a process of its own.

    Raises:
        BoundExceeded: It takes too long, or too much memory.
    """
    return TRIAL.ask({"grammar": text, "limits": LIMITS}, SECONDS)


def refusal_by_trial(schema: Mapping[str, object]) -> str | None:
    """Return what llguidance has against a schema, in one line.

    Raises:
        BoundExceeded: It takes too long, or too much memory.
        InvalidRequest: It is none that llguidance is asked about.
    """
    refusal = tried(schema_grammar(schema))
    return None if refusal is None else plain(refusal)


def refusal_of(parser: LLMatcher) -> str | None:
    """Return what llguidance has against a grammar; what is too complex shows after a token."""
    parser = parser.deep_copy()
    bits = np.frombuffer(parser.compute_bitmask(), np.uint8)
    if not parser.is_error():
        parser.consume_token(int(np.unpackbits(bits, bitorder="little").argmax()))
        parser.compute_bitmask()
    return parser.get_error() or None


def plain(message: str) -> str:
    """Return an error message of llguidance in one line, without the places in a text that nobody sees."""
    words = (
        message.partition("\n   1 | ")[0].partition("\n<")[0].partition(" while processing json-schema:")[0]
    )
    for prefix in ("at 2(8): ", "failed to compile JSON schema: ", 'failed to parse "%json": '):
        words = words.removeprefix(prefix)
    return "no text fits it" if words == "NoExtensionBias" else " ".join(words.split())[:200]


def require_llguidance(kind: str) -> None:
    """Refuse a kind of response that needs llguidance where it is not installed."""
    try:
        import llguidance  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError as error:
        if error.name != "llguidance":
            raise
        words = "'text' as long as the extra 'json' is missing: pip install 'sampling-reference[json]'"
        raise InvalidRequest("response_format.type", kind, words) from error
