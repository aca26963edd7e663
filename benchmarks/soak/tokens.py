"""How often is a token another one in a batch of another size, where matrix products may differ in their last bits?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tqdm import tqdm

from benchmarks.soak.client import ask
from benchmarks.soak.serving import Address
from sampling import load

ASKED_FOR = {"logprobs": True, "top_logprobs": 0}

Json = Any
Entry = dict[str, Any]


def against_chat(address: Address, pool: list[Json]) -> Json:
    """Compare a server's tokens with those of `LanguageModel.chat`, whose batch is the choices of the request.

    A choice is compared up to its first token that differs: what follows has another text before it. Numbers of tokens are of
    content tokens; log probabilities are compared where all tokens before are equal.

    Args:
        address: The server's.
        pool: Seeded requests.
    """
    model = load(None)
    wanted: list[Json] = [
        {name: value for name, value in one.items() if name != "stream"} | ASKED_FOR for one in pool
    ]
    with ThreadPoolExecutor(16) as threads:
        served = [reply.answer for reply in threads.map(partial(ask, address), wanted)]
    pairs: list[tuple[list[Entry], list[Entry]]] = []
    for request, answer in zip(tqdm(wanted, desc="LanguageModel.chat"), served, strict=True):
        response = model.chat(**request)
        pairs += [
            (mine["logprobs"]["content"], theirs["logprobs"]["content"])
            for mine, theirs in zip(answer["choices"], response["choices"], strict=True)
        ]
    return counted(pairs)


def counted(pairs: list[tuple[list[Entry], list[Entry]]]) -> Json:
    """The counts over all choices."""
    equal, tokens, other_bits, furthest, choices = 0, 0, 0, 0.0, 0
    for mine, theirs in pairs:
        same = common(mine, theirs)
        other = same < max(len(mine), len(theirs))
        choices += other
        equal += same
        tokens += same + other
        gaps = [abs(a["logprob"] - b["logprob"]) for a, b in zip(mine[:same], theirs[:same], strict=True)]
        other_bits += sum(gap > 0 for gap in gaps)
        furthest = max([furthest, *gaps])
    return {
        "choices": len(pairs),
        "choices_that_differ": choices,
        "tokens_compared": tokens,
        "tokens_that_differ": tokens - equal,
        "log_probabilities_with_other_bits": other_bits,
        "largest_difference_of_a_log_probability": furthest,
    }


def common(mine: list[Entry], theirs: list[Entry]) -> int:
    """How many tokens are the same from the beginning."""
    same = 0
    while same < min(len(mine), len(theirs)) and mine[same]["bytes"] == theirs[same]["bytes"]:
        same += 1
    return same
