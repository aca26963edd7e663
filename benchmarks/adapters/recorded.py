"""Own loops, and how a run beside them is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from benchmarks.harness.paths import RESULTS
from sampling import History, Pipeline, draw


def own_tokens(logits: Iterable[Tensor], prompt: Sequence[int], pipeline: Pipeline, **keys: Any) -> list[int]:
    """Sample one row alone.

    Args:
        logits: The host's, [V] at each step.
        prompt: Without padding.
        pipeline: The numbers of this row.
        keys: Seed and choice.
    """
    history, tokens = History.start([prompt]), []
    for row in logits:
        token = draw(pipeline(row[None], history), history=history, **keys)
        history.accept(token)
        tokens.append(token.item())
    return tokens


def counted(own: Sequence[int], host: Sequence[int]) -> dict[str, int]:
    """How many tokens are equal."""
    equal = sum(a == b for a, b in zip(own, host, strict=True))
    return {"tokens": len(own), "equal": equal, "different": len(own) - equal}


def total(cases: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The counts of all cases together."""
    return {name: sum(case[name] for case in cases) for name in ("tokens", "equal", "different")}


def store(name: str, cases: Sequence[dict[str, Any]], head: dict[str, Any]) -> int:
    """Write benchmarks/results/adapters-NAME.json; return 1 where a token differs, else 0."""
    counts = total(cases)
    result = head | counts | {"cases": list(cases)}
    (RESULTS / f"adapters-{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{name}: {counts}")
    return int(counts["different"] > 0)
