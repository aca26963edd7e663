"""Is the fast path the readable one, in every row? Millions of random requests, each sampled both ways, compared bit for bit.

    python benchmarks/exactness.py [--rows 2000000] [--large-rows 50400] [--seed 0] [--seconds 3000]

The fast way is `Sampler.step`, eager, in batches, with the same stages once more as a `Pipeline` for the kept set. The twin is
written out here: dense stages in float64, truncations by sorting, the draw by a running sum. Both share `assembly.translated`
(what a dialect makes of a request) and Philox. Compared: status, token, processed logits, and in one of the modes the 20
alternatives, the rank, and all log probabilities. Every row has parameters, a history, a seed and logits of its own (a row of
a pool, rolled and scaled); in some, a truncation ends within rounding of where a token begins. Writes
benchmarks/results/exactness.json and exits with 1 if anything differs. One thread is enough.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import logits as kinds
import numpy as np
import torch
from sampling_kernels.keyed_draw import INTEGER_RULE, draw_by_running_sum, uniform_words
from sampling_kernels.logprobs import token_logprobs, token_ranks, top_tokens
from sampling_kernels.order import order_key
from sampling_kernels.shares import share_of_decimal
from sampling_kernels.truncation import keep_top_k_by_sorting, keep_top_p_by_sorting
from sampling_kernels.weights import weights
from timing import origin
from torch import Tensor
from tqdm import tqdm

import sampling.step
from sampling import Pipeline, Sampler, SamplingParams
from sampling.assembly import is_greedy, translated
from sampling.dialects import DIALECTS, MODES, TRUNCATIONS, Dialect, parts
from sampling.draw import seed_key
from sampling.history import Scope
from sampling.params import SMALLEST

RESULT = Path(__file__).parent / "results" / "exactness.json"
# Share of the rows at each width: multiples of 64 and others, below and above what the leading tokens cover.
SMALL = {64: 0.26, 100: 0.26, 129: 0.22, 256: 0.18, 1000: 0.06, 4096: 0.012, 8192: 0.004, 10007: 0.004}
LARGE = {128256: 0.92, 151936: 0.04, 262144: 0.04}
FIRST_LARGE = 128000
LOGITS_AT_ONCE, MOST_ROWS, ROWS_OF_LARGE = 2**17, 2048, 8
LOGITS_OF_POOL, FEWEST_OF_POOL, MOST_OF_POOL = 2**20, 16, 4096
ALTERNATIVES = 20
SHOWN_MISMATCHES = 20
LONG_PROMPT = 80  # longer than any dialect's window

NEUTRAL = SamplingParams()

Fields = dict[str, Tensor]


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


# Random cases


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
    biased = np.where(rng.random(rows) < 0.3, rng.integers(1, 5, rows), 0)
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


# The fast way


def by_library(case: Case) -> tuple[Fields, Tensor]:
    """What the sampler gives for a case, and which rows its leading tokens decided, bool [B]."""
    sampler = Sampler(
        case.params,
        vocab_size=case.logits.shape[1],
        prompt_ids=case.prompts,
        choices=case.choices.tolist(),
        dialect=case.dialect,
        logprob_modes=[case.mode],
    )
    for tokens in case.outputs:
        sampler.history.accept(tokens)
    assembly = sampler._batch.assembly  # private, but the very stages of the step
    pipeline = Pipeline(*assembly.edits, *assembly.last)
    processed = pipeline(case.logits, sampler.history)
    with decisions() as decided:
        out = sampler.step(case.logits)
    fields = {
        "processed": processed,
        "status": out.status,
        "token": out.token_ids,
        "rank": out.ranks,
        "alternatives": out.top_token_ids,
        "logprobs": torch.cat([out.logprobs[:, None], out.top_logprobs], -1),
    }
    return fields, torch.cat(decided) if decided else torch.zeros(len(case.params), dtype=torch.bool)


@contextmanager
def decisions() -> Generator[list[Tensor]]:
    """Listen to the step: in which rows the leading tokens were enough."""
    heard: list[Tensor] = []
    original = sampling.step.from_leading

    def listening(*arguments: Any) -> tuple[Tensor, Tensor]:
        result, enough = original(*arguments)
        heard.append(enough)
        return result, enough

    with mock.patch.object(sampling.step, "from_leading", listening):
        yield heard


# The twin


def column(params: Sequence[SamplingParams], name: str) -> Tensor:
    """A parameter, rounded once to float32, as float64 [B, 1]."""
    return torch.tensor([[getattr(one, name)] for one in params], dtype=torch.float32).double()


def counts(case: Case, scope: Scope) -> Tensor:
    """How often each token occurred, float64 [B, V]."""
    table = torch.zeros(case.logits.shape, dtype=torch.float64)
    for row, prompt in enumerate(case.prompts):
        output = [token for token in case.outputs[:, row].tolist() if token >= 0]
        tokens = [*prompt, *output] if scope.prompt else output
        for token, count in Counter(tokens[-(scope.last or len(tokens)) :]).items():
            table[row, token] = count
    return table


def logit_bias(case: Case, logits: Tensor) -> Tensor:
    """Compute l + b."""
    bias = torch.zeros(logits.shape, dtype=torch.float32)
    for row, one in enumerate(case.params):
        for token, value in one.logit_bias.items():
            bias[row, token] = value
    return (logits.double() + bias.double()).float()


def repetition_penalty(case: Case, logits: Tensor) -> Tensor:
    """Compute l / r or l r for the tokens that occurred."""
    r, l = column(case.params, "repetition_penalty"), logits.double()  # noqa: E741
    seen = counts(case, case.dialect.repetition_counts) > 0
    return torch.where(seen, torch.where(l > 0, l / r, l * r), l).float()


def frequency_penalty(case: Case, logits: Tensor) -> Tensor:
    """Compute l - f c."""
    c = counts(case, case.dialect.penalties_count)
    return (logits.double() - column(case.params, "frequency_penalty") * c).float()


def presence_penalty(case: Case, logits: Tensor) -> Tensor:
    """Compute l - p for the tokens that occurred."""
    seen = (counts(case, case.dialect.penalties_count) > 0).double()
    return (logits.double() - column(case.params, "presence_penalty") * seen).float()


def first_token(logits: Tensor) -> Tensor:
    """The first token in the order, bool [B, V]."""
    key = order_key(logits)
    return key == key.amax(-1, keepdim=True)


def temperature(case: Case, logits: Tensor) -> Tensor:
    """Compute (l - max(l)) / T; l itself at T = 1, the first token alone at T = 0."""
    values = [[one.temperature and max(one.temperature, SMALLEST)] for one in case.params]
    t = torch.tensor(values, dtype=torch.float32).double()
    l = logits.double()  # noqa: E741
    cooled = ((l - l.amax(-1, keepdim=True)) / torch.where(t > 0, t, 1.0)).float()
    first = logits.masked_fill(~first_token(logits), -torch.inf) if bool((t == 0).any()) else cooled
    return torch.where(t == 0, first, torch.where(t == 1, logits, cooled))


EDITS: dict[str, Callable[[Case, Tensor], Tensor]] = {
    "logit_bias": logit_bias,
    "repetition_penalty": repetition_penalty,
    "frequency_penalty": frequency_penalty,
    "presence_penalty": presence_penalty,
    "temperature": temperature,
}


def shares(params: Sequence[SamplingParams], name: str) -> Tensor:
    """A probability in units of 2^-62, int64 [B, 1]."""
    return torch.tensor([[share_of_decimal(str(getattr(one, name)))] for one in params])


def kept_by(name: str, dialect: Dialect, params: Sequence[SamplingParams], logits: Tensor) -> Tensor:
    """What a truncation keeps, bool [B, V]."""
    low_ids_first = dialect.low_ids_first
    if name == "top_k":
        k = torch.tensor([[one.top_k] for one in params])
        ties = dialect.top_k_keeps_ties
        return keep_top_k_by_sorting(logits, k, low_ids_first=low_ids_first, keep_ties=ties)
    if name == "top_p":
        stops = dialect.exact_hit_stops
        share = shares(params, name)
        return keep_top_p_by_sorting(logits, share, low_ids_first=low_ids_first, exact_hit_stops=stops)
    return (weights(logits) << 19) >= shares(params, name)  # w / 2^43 >= P / 2^62


def in_use(name: str, params: SamplingParams) -> bool:
    """Whether a request has a stage change anything."""
    return getattr(params, name) != getattr(NEUTRAL, name)


def truncated(case: Case, names: Sequence[str], logits: Tensor) -> Tensor:
    """Keep what all of some truncations keep of the same logits."""
    kept = torch.ones_like(logits, dtype=torch.bool)
    for name in names:
        rows = [row for row, one in enumerate(case.params) if in_use(name, one)]
        if rows:
            part, ids = alive(logits[rows])
            keep = kept_by(name, case.dialect, [case.params[row] for row in rows], part)
            kept[torch.tensor(rows)[:, None], ids] &= keep
    return logits.masked_fill(~kept, -torch.inf)


def alive(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out the tokens that are banned in every row: float32 [B, C], and the ids of the others, int64 [C]."""
    ids = (logits > -torch.inf).any(0).nonzero()[:, 0]
    return logits[:, ids], ids


def drawn(case: Case, logits: Tensor) -> Tensor:
    """The tokens of the keys, int64 [B]."""
    seeds = torch.tensor([seed_key(one.seed) for one in case.params])
    part, ids = alive(logits)
    words = uniform_words(seeds, (case.outputs >= 0).sum(0), case.choices, INTEGER_RULE)
    return ids[draw_by_running_sum(weights(part), *words)]


def measured(logits: Tensor, tokens: Tensor) -> Fields:
    """Log probabilities of tokens and alternatives."""
    top = top_tokens(logits, min(ALTERNATIVES, logits.shape[1]))
    return {
        "rank": token_ranks(logits, tokens[:, None])[:, 0],
        "alternatives": top,
        "logprobs": token_logprobs(logits, torch.cat([tokens[:, None], top], -1)),
    }


def by_twin(case: Case) -> Fields:
    """What the definition gives for a case, a few rows at a time."""
    rows, at_once = len(case.params), max(1, LOGITS_AT_ONCE // case.logits.shape[1])
    blocks = [rows_by_twin(case.select(slice(i, i + at_once))) for i in range(0, rows, at_once)]
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def rows_by_twin(case: Case) -> Fields:
    """The same for a few rows."""
    greedy = torch.tensor([case.dialect.greedy_arg_max and is_greedy(p, case.dialect) for p in case.params])
    case = replace(case, params=[translated(one, case.dialect) for one in case.params])
    processed = tempered = case.logits
    for entry in case.dialect.order:
        names = [name for name in parts(entry) if any(in_use(name, one) for one in case.params)]
        if set(names) <= EDITS.keys():
            for name in names:
                same = tempered is processed
                processed = EDITS[name](case, processed)
                tempered = processed if same else EDITS[name](case, tempered)
        else:
            processed = truncated(case, names, processed)
    last = processed
    if bool(greedy.any()):
        last = processed.masked_fill(greedy[:, None] & ~first_token(processed), -torch.inf)
    tokens = drawn(case, last)
    of_mode = {"raw": case.logits, "temperature": tempered, "processed": processed}
    fields = {"processed": last, "status": torch.zeros_like(tokens), "token": tokens}
    return fields | measured(of_mode[case.mode], tokens)


# The comparison


def bits(numbers: Tensor) -> Tensor:
    """Whole numbers that are equal where the numbers are the same to the last bit."""
    return numbers.view(torch.int32) if numbers.is_floating_point() else numbers


def differing(got: Fields, expected: Fields) -> dict[str, Tensor]:
    """In which rows each field differs, bool [B]; the kept set is where the processed logits are above -inf."""
    kept = (got["processed"] > -torch.inf) != (expected["processed"] > -torch.inf)
    differs = {"kept set": kept.any(-1)}
    for name, numbers in expected.items():
        unequal = bits(got[name]) != bits(numbers)
        differs[name] = unequal.flatten(1).any(-1) if unequal.dim() > 1 else unequal
    return differs


def shown(numbers: Tensor) -> Any:
    """A row's numbers for the result; of whole rows of logits, how many are above -inf."""
    return int((numbers > -torch.inf).sum()) if numbers.numel() > ALTERNATIVES + 1 else numbers.tolist()


def compare(kind: str, vocabulary: int, rows: int, seed: Sequence[int]) -> dict[str, Any]:
    """Sample one case both ways.

    Returns:
        How many rows the leading tokens decided, and for each row that differs what is needed to run it again:
        `random_case(kind, V, B, seed)` and the row.
    """
    case = random_case(kind, vocabulary, rows, seed)
    (got, decided), expected = by_library(case), by_twin(case)
    differs = differing(got, expected)
    wrong = torch.stack(list(differs.values())).any(0).nonzero()[:, 0].tolist()
    mismatches = [
        {
            "kind": kind,
            "V": vocabulary,
            "B": rows,
            "seed": list(seed),
            "row": row,
            "dialect": case.dialect.name,
            "params": repr(case.params[row]),
            "fields": [name for name, where in differs.items() if where[row]],
            "library": {name: shown(numbers[row]) for name, numbers in got.items()},
            "twin": {name: shown(numbers[row]) for name, numbers in expected.items()},
        }
        for row in wrong
    ]
    return {"decided": int(decided.sum()), "dialect": case.dialect.name, "mismatches": mismatches}


def plan(rows: int, large_rows: int, seed: int) -> list[tuple[str, int, int]]:
    """Batches (kind, V, B) that make up the rows of each kind and width, in random order."""
    batches: list[tuple[str, int, int]] = []
    for widths, total in ((SMALL, rows - large_rows), (LARGE, large_rows)):
        for vocabulary, share in widths.items():
            most = min(max(LOGITS_AT_ONCE // vocabulary, ROWS_OF_LARGE), MOST_ROWS)
            for kind in kinds.KINDS:
                each = round(total * share / len(kinds.KINDS))
                batches += [(kind, vocabulary, min(most, each - i)) for i in range(0, each, most)]
    np.random.default_rng(seed).shuffle(batches)
    return [(kind, int(vocabulary), int(count)) for kind, vocabulary, count in batches]


def run(rows: int, large_rows: int, seed: int, seconds: float) -> dict[str, Any]:
    """Compare random cases until the rows are done or the time is used up."""
    batches, begun = plan(rows, large_rows, seed), time.monotonic()
    compared, decided, dialects = Counter[Any](), Counter[Any](), Counter[str]()
    mismatches: list[dict[str, Any]] = []
    with tqdm(total=sum(count for _, _, count in batches), unit="row") as progress:
        for number, (kind, vocabulary, count) in enumerate(batches):
            if time.monotonic() - begun > seconds:
                break
            found = compare(kind, vocabulary, count, (seed, number))
            compared[kind, vocabulary] += count
            decided[kind, vocabulary] += found["decided"]
            dialects[found["dialect"]] += count
            mismatches += found["mismatches"]
            progress.update(count)
    return {
        "seconds": round(time.monotonic() - begun),
        "rows": compared.total(),
        "rows_at_128k_or_more": sum(n for (_, width), n in compared.items() if width >= FIRST_LARGE),
        "rows_decided_by_leading_tokens": decided.total(),
        "rows_that_needed_whole_rows": compared.total() - decided.total(),
        "rows_with_mismatches": len(mismatches),
        "lines": [
            {"kind": kind, "V": width, "rows": n, "decided_by_leading_tokens": decided[kind, width]}
            for (kind, width), n in sorted(compared.items())
        ],
        "dialects": dict(sorted(dialects.items())),
        "mismatches": mismatches[:SHOWN_MISMATCHES],
    }


def main() -> None:
    """Compare, write the result, print a table; exit with 1 if anything differs."""
    parser = argparse.ArgumentParser(description="Compare the fast path with its twin.")
    parser.add_argument("--rows", type=int, default=2_000_000, help="all rows, the large ones among them")
    parser.add_argument("--large-rows", type=int, default=50_400, help="rows of 128256 logits and more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    result: dict[str, Any] = {
        **origin("exactness.py", "numpy"),
        "library": "Sampler.step in batches, eager; processed logits by Pipeline",
        "compared": "status, token, kept set, processed logits; 20 alternatives, rank and logprobs of a random mode",
        "logits": {name: kind.description for name, kind in kinds.KINDS.items()},
        **run(options.rows, options.large_rows, options.seed, options.seconds),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{'kind':8}{'V':>8}{'rows':>10}{'decided by leading tokens':>28}")
    for line in result["lines"]:
        print(f"{line['kind']:8}{line['V']:8}{line['rows']:10}{line['decided_by_leading_tokens']:28}")
    print(f"{result['rows']} rows, {result['rows_with_mismatches']} of them with mismatches")
    sys.exit(result["rows_with_mismatches"] > 0)


if __name__ == "__main__":
    main()
