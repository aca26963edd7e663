"""What became of a checkpoint on its way into an engine, told by the most likely token in each state.

Some states say two tokens nearly alike, by margins from coarse to fine: the coarsest that does not show tells how far the
numbers were rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sampling.probe.chain import SCALE, dtype_named
from sampling.probe.probe import Probe
from sampling.probe.rows import Row

HEIGHT = 16.0
MARGINS = (2.0, 1.0, 0.5, 0.25, 2.0**-3, 2.0**-5, 2.0**-6, 2.0**-8, 2.0**-12, 2.0**-18)
STEP = "step"  # names of such states begin with it
# Blocks of quantised weights as GGUF has them.
BLOCK = 32

Seen = Mapping[int, int]
"""By state the token that came at the arg max."""


def steps(dtype: str) -> list[Row]:
    """Return the states that say two tokens nearly alike: each about the next one's tokens, the last about the first one's."""
    held = [m for m in MARGINS if float(torch.tensor(HEIGHT + m).to(dtype_named(dtype))) == HEIGHT + m]
    names = [f"{STEP} {place}" for place in range(len(held))]
    rows = [torch.tensor([HEIGHT, HEIGHT + margin]).numpy() for margin in held]
    return [
        Row(name, row, behind=names[(place + 1) % len(names)])
        for place, (name, row) in enumerate(zip(names, rows, strict=True))
    ]


def best(logits: Tensor) -> list[frozenset[int]]:
    """Return by state the tokens that are at the arg max."""
    return [frozenset(torch.nonzero(row == row.max())[:, 0].tolist()) for row in logits]


def what_changed(probe: Probe, seen: Seen) -> str:
    """Say what was done to the weights, by what came in each state; nothing if they arrived as they are."""
    right = best(torch.from_numpy(probe.logits))
    wrong = {state: token for state, token in seen.items() if token not in right[state]}
    if not wrong:
        return ""
    told = {words: best(logits) for words, logits in readings(probe)}
    lost = largest_lost(probe, wrong)
    told[f"the weights or the logits were rounded: a difference of {lost:g} between two logits is lost"] = (
        losing(probe, lost)
    )
    fitting = {
        words: sum(map(len, sets))
        for words, sets in told.items()
        if all(token in sets[state] for state, token in seen.items())
    }
    # of several that fit the one that leaves least to chance
    return (
        min(fitting, key=lambda words: fitting[words], default="")
        or permuted(right, seen, wrong)
        or first_of(probe, right, wrong)
    )


def readings(probe: Probe) -> Iterator[tuple[str, Tensor]]:
    """Yield what may have been done, and what the states then say, float32 [S, V]."""
    logits = torch.from_numpy(probe.logits)
    for name in ("float16", "bfloat16"):
        yield f"the weights or the logits were rounded to {name}", logits.to(dtype_named(name)).float()
    for bits in (8, 4):
        for size in (BLOCK, 0):
            yield f"the weights were quantised to {bits} bits", in_blocks(logits, bits, size)
    own = torch.from_numpy(probe.leads_to)[None] == torch.arange(len(logits))[:, None]
    yield "the weights are tied: the embedding stands in the place of the head", own * SCALE


def in_blocks(logits: Tensor, bits: int, size: int) -> Tensor:
    """Return logits as integers of some bits hold them, the states of a token in blocks, or all in one for a size of 0."""
    most = 2 ** (bits - 1) - 1
    columns, states = logits.T, len(logits)
    padded = torch.nn.functional.pad(columns, (0, -states % (size or states)))
    blocks = padded.unflatten(1, (-1, size or states))
    scale = (blocks.abs().amax(-1, keepdim=True) / most).clamp(min=torch.finfo(torch.float32).tiny)
    return ((blocks / scale).round() * scale).flatten(1)[:, :states].T


def permuted(right: list[frozenset[int]], seen: Seen, wrong: Seen) -> str:
    """Say that states or tokens are others, where they are."""
    shifts = {
        token - best for state, token in wrong.items() for best in right[state] if len(right[state]) == 1
    }
    if len(shifts) == 1 and len(wrong) > 1:
        return f"the weights were permuted: tokens are {next(iter(shifts)):+d} of those that they should be"
    others = [any(token in told for told in right) for token in wrong.values()]
    if all(others) and len(wrong) > len(seen) // 4:
        return "the weights were permuted: states say what others should say"
    return ""


def margins(probe: Probe) -> dict[int, float]:
    """Return the states that say two tokens nearly alike, with the difference of their logits."""
    steps = [place for place, state in enumerate(probe.states) if state.name.startswith(STEP)]
    tops = torch.from_numpy(probe.logits[steps]).topk(2).values
    return dict(zip(steps, (tops[:, 0] - tops[:, 1]).tolist(), strict=True))


def largest_lost(probe: Probe, wrong: Seen) -> float:
    """Return the largest of these differences that does not show."""
    return max((margin for state, margin in margins(probe).items() if state in wrong), default=0.0)


def losing(probe: Probe, lost: float) -> list[frozenset[int]]:
    """Return by state the tokens that may come where no such difference and no smaller one shows."""
    logits = torch.from_numpy(probe.logits)
    told = best(logits)
    for state, margin in margins(probe).items():
        if margin <= lost:
            told[state] = frozenset(logits[state].topk(2).indices.tolist())
    return told


def first_of(probe: Probe, right: list[frozenset[int]], wrong: Seen) -> str:
    """Say which state is the first that is wrong."""
    state = min(wrong)
    words = f"in state {probe.states[state].name!r} token {wrong[state]} came, not {min(right[state])}"
    return f"the weights are others: {words}; {len(wrong)} states are wrong"
