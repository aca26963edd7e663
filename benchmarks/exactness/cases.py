"""Random batches of requests, each with its parameters, history, seed and logits, for `exactness.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import logits as kinds
from sampling import SamplingParams
from sampling.dialects import DIALECTS, MODES, TRUNCATIONS, Dialect

LOGITS_OF_POOL, FEWEST_OF_POOL, MOST_OF_POOL = 2**20, 16, 4096
ALTERNATIVES = 20
LONG_PROMPT = 80  # longer than any dialect's window


@dataclass(frozen=True)
class Case:
    """A batch of requests and one row of logits for each.

    Args:
        logits: float32 [B, V].
        params: B requests.
        prompts: B lists of token ids.
        outputs: Tokens sampled before, one row for each earlier step, int64 [S, B]; -1 where a row sat out.
        choices: int64 [B].
        dialect: The dialect of all.
        mode: Of the log probabilities.
    """

    logits: Tensor
    params: Sequence[SamplingParams]
    prompts: Sequence[list[int]]
    outputs: Tensor
    choices: Tensor
    dialect: Dialect
    mode: str

    def select(self, block: slice) -> Case:
        """Some of the rows."""
        return replace(
            self,
            logits=self.logits[block],
            params=self.params[block],
            prompts=self.prompts[block],
            outputs=self.outputs[:, block],
            choices=self.choices[block],
        )


@cache
def pool(kind: str, vocabulary: int) -> Tensor:
    """Rows of a kind that cases are made from, float32 [R, V]."""
    rows = min(max(LOGITS_OF_POOL // vocabulary, FEWEST_OF_POOL), MOST_OF_POOL)
    return kinds.make(kind, rows, vocabulary, seed=0)


def random_logits(kind: str, vocabulary: int, rows: int, rng: np.random.Generator) -> Tensor:
    """Rows of the pool, rolled and scaled (which keeps ties); in an eighth of them most tokens are masked."""
    source = pool(kind, vocabulary)
    made = torch.empty(rows, vocabulary)
    places, shifts = rng.integers(len(source), size=rows), rng.integers(vocabulary, size=rows)
    for row, place, shift in zip(made, places.tolist(), shifts.tolist(), strict=True):
        row[shift:], row[:shift] = source[place, : vocabulary - shift], source[place, vocabulary - shift :]
    made *= torch.from_numpy(rng.uniform(0.7, 1.3, (rows, 1)).astype(np.float32))
    for row in np.flatnonzero(rng.random(rows) < 1 / 8).tolist():
        left = 1 + int((vocabulary - 1) * rng.random() ** 4)
        kept = torch.from_numpy(rng.integers(vocabulary, size=left))
        made[row] = torch.full((vocabulary,), -torch.inf).scatter(0, kept, made[row, kept])
    return made


def pick(rng: np.random.Generator, rows: int, off: float, on: Sequence[float], share: float) -> np.ndarray:
    """One number per row: `off`, or in a share of the rows one of `on`."""
    return np.where(rng.random(rows) < share, rng.choice(np.array(on), rows), off)


def temperatures(rng: np.random.Generator, rows: int) -> np.ndarray:
    """0, 1, below 0.1 down to 1e-38, and ordinary ones."""
    tiny = 10.0 ** -rng.uniform(1, 6, rows)
    ordinary = rng.uniform(0.1, 2, rows).round(2)
    which = rng.choice(5, rows, p=[0.1, 0.15, 0.1, 0.01, 0.64])
    return np.choose(which, [np.zeros(rows), np.ones(rows), tiny, np.full(rows, 1e-38), ordinary])


def truncations(rng: np.random.Generator, rows: int, vocabulary: int) -> dict[str, np.ndarray]:
    """top_k, top_p and min_p: none, one alone, or any of them together."""
    counts = [1, 2, 5, 20, 40, 50, 127, 128, 129, 1000, vocabulary - 1, vocabulary, vocabulary + 1]
    shares = np.where(rng.random(rows) < 0.5, rng.random(rows), 1 - 10.0 ** -rng.uniform(0, 9, rows))
    chosen = pick(rng, rows, np.nan, [0.0, 1e-9, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999], 0.6)
    values = {
        "top_k": rng.choice(counts, rows),
        "top_p": np.where(np.isnan(chosen), shares, chosen),
        "min_p": np.minimum(10.0 ** -rng.uniform(0, 5, rows), rng.choice([1.0, 0.1, 0.05], rows)),
    }
    which = rng.integers(6, size=rows)  # 0: none, 1 to 3: that one alone, 4 and 5: each as it comes
    together = (which >= 4) & (rng.random((3, rows)) < 0.7)
    in_use = together | (which == np.arange(1, 4)[:, None])
    off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return {name: np.where(on, values[name], off[name]) for name, on in zip(TRUNCATIONS, in_use, strict=True)}


def random_params(
    dialect: Dialect, likely: Tensor, vocabulary: int, rng: np.random.Generator
) -> list[SamplingParams]:
    """One request per row, with what the dialect has.

    Args:
        dialect: The dialect.
        likely: Token ids of which biases are given to some, int64 [B, N].
        vocabulary: V.
        rng: The source of chance.
    """
    rows = len(likely)
    temperature = temperatures(rng, rows)
    columns = {
        "temperature": temperature if dialect.zero_temperature else np.where(temperature, temperature, 0.5),
        "repetition_penalty": pick(rng, rows, 1.0, [1.1, 1.3, 2.0, 0.7], 0.3),
        "frequency_penalty": pick(rng, rows, 0.0, [0.5, 1.3, 2.0, -0.4], 0.3),
        "presence_penalty": pick(rng, rows, 0.0, [0.6, 1.7, -1.0], 0.3),
        **truncations(rng, rows, vocabulary),
        "seed": rng.integers(-(2**63), 2**63 - 1, size=rows),
    }
    columns = {name: values.tolist() for name, values in columns.items() if name in (*dialect.stages, "seed")}
    biased = np.where(rng.random(rows) < 0.3, rng.integers(1, 5, rows), 0) * ("logit_bias" in dialect.stages)
    values = rng.choice([100.0, -100.0, 5.0, 1.25, -0.3, 0.1], (rows, likely.shape[1]))
    biases = [
        dict(zip(ids[:n], row[:n], strict=True))
        for ids, n, row in zip(likely.tolist(), biased, values.tolist(), strict=True)
    ]
    return [
        SamplingParams(
            **{name: numbers[row] for name, numbers in columns.items()},
            logit_bias=biases[row],
            logprobs=True,
            top_logprobs=ALTERNATIVES,
        )
        for row in range(rows)
    ]


def on_the_edge(
    params: list[SamplingParams], logits: Tensor, dialect: Dialect, rng: np.random.Generator
) -> list[SamplingParams]:
    """In a sixteenth of the rows, have top_p or min_p end where a token begins, as near as float64 can tell."""
    edgy = np.flatnonzero(rng.random(len(params)) < 1 / 16).tolist()
    for row in edgy:
        mass = (logits[row] - logits[row].amax()).double().exp()
        first = mass.topk(min(64, len(mass))).values
        place = int(rng.integers(len(first)))
        ends = {"top_p": first[: place + 1].sum() / mass.sum(), "min_p": first[place]}
        name = str(rng.choice([name for name in ends if name in dialect.stages]))
        value: dict[str, Any] = {name: min(1.0, ends[name].item())}
        params[row] = SamplingParams(**value, seed=row, logprobs=True, top_logprobs=ALTERNATIVES)
    return params


def random_case(kind: str, vocabulary: int, rows: int, seed: Sequence[int]) -> Case:
    """The case with this seed."""
    rng = np.random.default_rng(seed)
    logits = random_logits(kind, vocabulary, rows, rng)
    dialect = DIALECTS[rng.choice(list(DIALECTS))]
    # Half of them likely, so that biases and penalties matter.
    ids = torch.from_numpy(rng.integers(vocabulary, size=(rows, 16)))
    ids[:, ::2] = logits.topk(8).indices
    longest = LONG_PROMPT if rng.random() < 1 / 8 else 6
    lengths = rng.integers(longest + 1, size=rows).tolist()
    drawn = ids.gather(1, torch.from_numpy(rng.integers(16, size=(rows, LONG_PROMPT)))).tolist()
    outputs = ids.gather(1, torch.from_numpy(rng.integers(16, size=(rows, int(rng.integers(6)))))).T
    sat_out = torch.from_numpy(rng.random(outputs.shape) < 1 / 4)
    return Case(
        logits,
        on_the_edge(random_params(dialect, ids, vocabulary, rng), logits, dialect, rng),
        [tokens[:length] for tokens, length in zip(drawn, lengths, strict=True)],
        outputs.masked_fill(sat_out, -1),
        torch.from_numpy(rng.integers(4, size=rows)),
        dialect,
        str(rng.choice(MODES)),
    )
