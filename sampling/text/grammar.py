"""JSON mode: which tokens keep a text on its way to a JSON object, or to a value that fits a JSON schema.

llguidance, an optional dependency, parses; the bytes of the tokens are this library's own. Nothing is forced: every token whose
bytes keep the text completable is allowed, not only the one that a tokenizer would have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sampling.errors import InvalidRequest
from sampling.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

LONGEST_WHITE_SPACE = 32  # characters in a row, outside strings
MOST_LEXER_STATES = 50_000  # a state takes one or two kilobytes
SCHEMA = "response_format.json_schema.schema"

OPTIONS = '%llguidance {"no_forcing": true}\n'
WHITE_SPACE = f"[ \\t\\n\\r]{{1,{LONGEST_WHITE_SPACE}}}"
OBJECT = rf"""{OPTIONS}
start: object
object: "{{" ws (member ("," ws member)*)? "}}"
member: STRING ws ":" ws value ws
array: "[" ws (value ws ("," ws value ws)*)? "]"
value: object | array | STRING | NUMBER | "true" | "false" | "null"
ws: WHITE_SPACE?
STRING: /"([^"\\\x00-\x1F]|\\(["\\\/bfnrt]|u[0-9A-Fa-f]{{4}}))*"/
NUMBER: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/
WHITE_SPACE: /{WHITE_SPACE}/
"""


class Grammars:
    """The grammars that a model's vocabulary can write; one for each model, since making it takes a while.

    Args:
        vocabulary: What the tokens stand for, and which of them end a message.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def grammar(self, kind: str, schema: Mapping[str, object] | None = None) -> Grammar | None:
        """The grammar of a response format, made once for all choices of a request.

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
        """Any JSON object, nothing before or after it, at most 32 characters of white space in a row.

        Names may come twice in an object, as the RFC's grammar has it.

        Source: RFC 8259.
        """
        return Grammar("json_object", OBJECT, self.tokenizer, self.vocabulary)

    def json_schema(self, schema: Mapping[str, object]) -> Grammar:
        """JSON that fits a schema, an object or not, nothing before or after it, white space as in `json_object`.

        The properties of an object come in the order of the schema.

        Raises:
            InvalidRequest: llguidance does not support the schema, or only almost; no text fits it; it is too large.
        """
        grammar = Grammar("json_schema", schema_grammar(schema), self.tokenizer, self.vocabulary)
        if grammar.refusal is not None:
            words = f"a schema that llguidance supports (it says: {grammar.refusal})"
            raise InvalidRequest(SCHEMA, schema, words)
        return grammar

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
                self.eos_token_id = (
                    size  # one of llguidance's own: a model may have several end tokens, or none
                )
                self.tokens = [*(raw or b"" for raw in texts), b""]
                self.special_token_ids = [token for token, raw in enumerate(self.tokens) if not raw]

        return LLTokenizer(Tokens(self.vocabulary))


class Grammar:
    """A compiled grammar.

    Args:
        name: What it is called.
        text: The grammar in llguidance's Lark format.
        tokenizer: llguidance's index of the token bytes.
        vocabulary: What the tokens stand for.

    Attributes:
        refusal: Why it can not be used, if it can not.
    """

    def __init__(self, name: str, text: str, tokenizer: LLTokenizer, vocabulary: Vocabulary) -> None:
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(max_lexer_states=MOST_LEXER_STATES, verbose_errors=False)
        self.name = name
        self.size = len(vocabulary)
        self.end_ids = frozenset(token for token in vocabulary.end_ids if token < self.size)
        self._beginning = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(text), log_level=0, limits=limits)
        self.refusal = self._refusal()

    def constraint(self) -> TextConstraint:
        """A constraint for one choice."""
        return TextConstraint(self)

    def beginning(self) -> LLMatcher:
        """A parser that has read nothing."""
        return self._beginning.deep_copy()

    def next_tokens(self, matcher: LLMatcher) -> Tensor:
        """Which tokens the grammar allows next, bool [C]: none where it is stuck; an end token where the text may end."""
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        allowed = torch.from_numpy(np.unpackbits(bits, count=self.size, bitorder="little").view(np.bool_))
        allowed[[*self.end_ids]] = matcher.is_accepting()  # false, and no bit set, once there was an error
        return allowed

    def _refusal(self) -> str | None:
        """What llguidance has against the grammar; what is too complex shows after a token."""
        matcher = self.beginning()
        allowed = self.next_tokens(matcher)
        if not matcher.is_error():
            matcher.consume_token(int(allowed.nonzero()[0]))
            self.next_tokens(matcher)
        if matcher.is_error():
            return plain(matcher.get_error())
        return next(map(plain, matcher.get_grammar_warnings()), None)


class TextConstraint:
    """What a grammar allows after the tokens of one choice; remembers where it was. For one thread at a time.

    Args:
        grammar: The grammar.
    """

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
        return self._grammar.next_tokens(self._matcher)

    def _restart(self) -> None:
        self._matcher = self._grammar.beginning()
        self._read: list[int] = []
        self._over = False

    def _take(self, token: int) -> None:
        self._read.append(token)
        readable = token < self._grammar.size and token not in self._grammar.end_ids
        self._over = self._over or not readable or not self._matcher.consume_token(token)


def schema_grammar(schema: Mapping[str, object]) -> str:
    """The grammar of a JSON schema, white space bounded."""
    if "x-guidance" in schema:  # llguidance's own options, white space among them
        raise InvalidRequest(f"{SCHEMA}.x-guidance", schema["x-guidance"], "left out")
    try:
        text = json.dumps({**schema, "x-guidance": {"whitespace_pattern": WHITE_SPACE}}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(SCHEMA, schema, f"a JSON object ({error})") from error
    return f"{OPTIONS}start: %json {text}"


def plain(message: str) -> str:
    """An error message of llguidance in one line, without the places in a text that nobody sees."""
    words = message.partition("\n   1 | ")[0].partition("\n<")[0]
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
