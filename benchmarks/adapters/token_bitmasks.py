"""Grammars of xgrammar and llguidance as constraints, beside partial matches of `regex`; outlines-core's, beside its lists.

    python -m benchmarks.adapters.token_bitmasks [--walks N]

Each library reads the same regular expressions over a vocabulary of bytes and pairs of letters. At each step of random texts
every token that may come next is compared; then the exact draw under the constraint, with that from logits that were masked so.
outlines-core, which leaves out what may follow a complete text in some patterns, is compared with what another Guide lists.
Needs `xgrammar`, `llguidance`, `outlines-core` and `regex`. Writes benchmarks/results/adapters-token_bitmask.json. Ends with 1
where a token differs.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from typing import Any

import regex
import torch
from torch import Tensor

from benchmarks.adapters.recorded import store
from benchmarks.harness.timing import origin
from sampling import Sampler, SamplingParams, draw
from sampling.adapters import TokenBitmask

PATTERNS = ("[0-9]{1,3}(\\+[A-C])?", "(ab|ba)*c", "[a-d]{2,6}", "x?[0-9]+(,[0-9]+){0,2}")
TOKENS = [
    *(bytes([i]) for i in range(32, 127)),
    *("".join(two).encode() for two in itertools.product("abcd", repeat=2)),
]
END = len(TOKENS)  # the end token
WIDTH = END + 1
V = WIDTH + 37  # a padded vocabulary


def xgrammar_matcher(pattern: str) -> Any:
    """A GrammarMatcher."""
    import xgrammar

    info = xgrammar.TokenizerInfo(
        [*TOKENS, b"<end>"], vocab_type=xgrammar.VocabType.RAW, vocab_size=WIDTH, stop_token_ids=[END]
    )
    return xgrammar.GrammarMatcher(xgrammar.GrammarCompiler(info).compile_regex(pattern))


def llguidance_matcher(pattern: str) -> Any:
    """An LLMatcher."""
    from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

    class Whole:
        """The tokenizer, by bytes."""

        bos_token_id, eos_token_id = None, END
        tokens, special_token_ids = [*TOKENS, b""], [END]

        def __call__(self, text: str | bytes) -> list[int]:
            """Token ids of a text, byte by byte."""
            raw = text.encode() if isinstance(text, str) else text
            return [TOKENS.index(bytes([byte])) for byte in raw]

    return LLMatcher(
        LLTokenizer(TokenizerWrapper(Whole())), LLMatcher.grammar_from_regex(pattern), log_level=0
    )


def outlines_guide(pattern: str) -> Any:
    """A Guide."""
    from outlines_core import Guide, Index, Vocabulary

    return Guide(Index(pattern, Vocabulary(END, {token: [index] for index, token in enumerate(TOKENS)})))


LIBRARIES: dict[str, Callable[[str], Any]] = {
    "xgrammar": xgrammar_matcher,
    "llguidance": llguidance_matcher,
    "outlines_core": outlines_guide,
}


def text_of(tokens: list[int]) -> str:
    """The text of tokens before the end."""
    return b"".join(TOKENS[token] for token in tokens).decode()


def listed(pattern: str, tokens: list[int]) -> Tensor:
    """Which tokens may come next, bool [V], as outlines-core lists them."""
    guide = outlines_guide(pattern)
    for token in tokens:
        guide.advance(token)
    allowed = torch.zeros(V, dtype=torch.bool)
    allowed[guide.get_tokens()] = True
    return allowed


def expected(pattern: str, tokens: list[int]) -> Tensor:
    """Which tokens may come next, bool [V], by partial matches."""
    text = text_of(tokens)
    allowed = torch.zeros(V, dtype=torch.bool)
    for token, raw in enumerate(TOKENS):
        allowed[token] = regex.fullmatch(pattern, text + raw.decode(), partial=True) is not None
    allowed[END] = regex.fullmatch(pattern, text) is not None
    return allowed


def walked(library: str, pattern: str, walks: int) -> dict[str, Any]:
    """Compare along random texts; `tokens` counts the draws, `ids` what was asked about single token ids."""
    constraint = TokenBitmask(LIBRARIES[library](pattern), WIDTH)
    sampler = Sampler(num_slots=1, vocab_size=V)
    generator = torch.Generator().manual_seed(20)
    counts = {"tokens": 0, "equal": 0, "different": 0, "ids": 0, "ids_different": 0}
    for seed in range(walks):
        slot = sampler.add(SamplingParams(seed=seed), [], constraint=constraint)
        tokens: list[int] = []
        while END not in tokens and len(tokens) < 40:
            allowed = (listed if library == "outlines_core" else expected)(pattern, tokens)
            said = torch.zeros(V, dtype=torch.bool)
            said[:WIDTH] = constraint.allowed(tokens)
            counts["ids"] += V
            counts["ids_different"] += int((said != allowed).sum())
            logits = torch.randn(1, V, generator=generator)
            own = draw(logits.masked_fill(~allowed, -torch.inf), seed=seed, position=len(tokens)).item()
            token = int(sampler.step(logits).token_ids.item())
            counts["tokens"] += 1
            counts["equal" if token == own else "different"] += 1
            tokens.append(own)
            if token != own:
                break
        counts["ids_different"] += int(constraint.allowed(tokens).sum()) if END in tokens else 0
        sampler.remove([slot])
    return {"what": f"{library}, {pattern}"} | counts


def main() -> int:
    """Run and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walks", type=int, default=50, help="texts of each pattern")
    walks = parser.parse_args().walks
    cases = [walked(library, pattern, walks) for library in LIBRARIES for pattern in PATTERNS]
    for case in cases:
        case["different"] += case["ids_different"]
    return store(
        "token_bitmask", cases, origin("adapters.token_bitmasks", *LIBRARIES, "regex", "numpy", "torch")
    )


if __name__ == "__main__":
    sys.exit(main())
