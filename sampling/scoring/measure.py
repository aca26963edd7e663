"""What rows of logits give for their tokens: kept sets, normalizers, log probabilities; some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.candidates.constants import NUM_CANDIDATES
from sampling_kernels.candidates.normalizer_bounds import sum_exp_blocks
from sampling_kernels.candidates.wide_nucleus import Nucleus
from sampling_kernels.host_sync import TILE_ELEMENTS, can_sync, map_row_tiles
from sampling_kernels.logarithm import log_normalizer
from sampling_kernels.validity import validity_of_maximum
from sampling_kernels.weighted_logits import WeightedLogits, mask_logits
from sampling_kernels.weights import FRACTION_BITS, weights
from torch import Tensor

from sampling.core.history import History
from sampling.pipeline.pipeline import apply_edits
from sampling.processors.base import Rows
from sampling.processors.run_stages import run_on_candidates, run_on_full_rows
from sampling.scoring.bits import WORD, pack, pack_ids, unpack
from sampling.scoring.request import Request

Outside = Literal["raise", "keep", "-inf"]
CHUNK_ELEMENTS = (
    8 * TILE_ELEMENTS
)  # float32 logits at a time; twice as many where that is not over a 16th of them
SHARE = 16
LONG_ROW = 2**14  # tokens; of shorter rows several at once are run in full
FIGURES = 3


class Measured(NamedTuple):
    """What N rows give.

    Args:
        logprobs: Of the tokens, float32 [N].
        in_support: Whether the token is in the kept set, bool [N].
        kept_counts: How many tokens the set has, int64 [N].
        log_kept_mass: What share of the mass it held before truncation, float32 [N].
        maximum: The largest kept logit after the edits, float32 [N].
        normalizer: ln of the sum of e^(z - max z) over the scored set, float64 [N].
        words: The scored set as bits, int64 [N, W]; W = 0 where it is not wanted.
    """

    logprobs: Tensor
    in_support: Tensor
    kept_counts: Tensor
    log_kept_mass: Tensor
    maximum: Tensor
    normalizer: Tensor
    words: Tensor

    @staticmethod
    def cat(parts: list[Measured]) -> Measured:
        """Put rows together."""
        return Measured(*(torch.cat(column) for column in zip(*parts, strict=True)))


class MeasureKept:
    """The finalizer that measures kept sets: normalizer Z, how many tokens, whether the given one is there, and the bits.

    Args:
        token_ids: int64 [R].
        width: V.
        with_words: Whether the bits are wanted.
    """

    def __init__(self, token_ids: Tensor, width: int, *, with_words: bool) -> None:
        self.token_ids, self.width, self.with_words = token_ids, width, with_words

    @property
    def columns(self) -> int:
        """Return how many columns a measurement has."""
        return FIGURES + self.with_words * -(-self.width // WORD)

    def select(self, rows: Rows) -> MeasureKept:
        """Take some rows."""
        return MeasureKept(self.token_ids[rows], self.width, with_words=self.with_words)

    def of_full_rows(self, rows: WeightedLogits) -> Tensor:
        """Measure full rows, int64 [R, FIGURES + W]."""
        weighted = rows.with_weights()
        kept = weighted.logits > -torch.inf
        here = kept.gather(1, self.token_ids[:, None])
        return self._figures(weighted.w, kept, here, pack(kept) if self.with_words else None)

    def of_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Measure the same from candidates."""
        ids, kept = candidates.token_ids, candidates.logits > -torch.inf
        kept[:, -1] = False  # the remainder's bound
        here = (kept & (ids == self.token_ids[:, None])).any(-1, keepdim=True)
        words = pack_ids(ids, kept, self.width) if self.with_words else None
        return self._figures(weights(candidates.logits), kept, here, words), candidates.certain

    def of_nucleus(self, nucleus: Nucleus) -> Tensor:
        """Measure one row's wide nucleus; the normalizer within 2^-24 of it."""
        z = (nucleus.normalizer * 2.0**FRACTION_BITS).long()
        here = nucleus.kept.gather(1, self.token_ids[:, None]).long()
        figures = [z, nucleus.kept.sum(-1, keepdim=True), here]
        return torch.cat([*figures, pack(nucleus.kept)] if self.with_words else figures, -1)

    def _figures(self, w: Tensor | None, kept: Tensor, here: Tensor, words: Tensor | None) -> Tensor:
        assert w is not None
        figures = [w.sum(-1, keepdim=True), kept.sum(-1, keepdim=True), here.long()]
        return torch.cat(figures if words is None else [*figures, words], -1)


def chunks(logits: Tensor) -> Iterator[slice]:
    """Cut rows into parts whose own figures, in float32 or wider, take little beside all of the logits."""
    rows, width = logits.shape
    narrow = 4 // logits.element_size()
    least = CHUNK_ELEMENTS // (narrow * width)
    at_once = max(1, least, min(rows // (SHARE * narrow**2), 2 * least))
    yield from (slice(start, min(start + at_once, rows)) for start in range(0, max(rows, 1), at_once))


def part_of(request: Request, history: History, rows: slice) -> tuple[Request, History]:
    """Return the request and the history of some rows, the latter where it is read."""
    part = history.select(range(*rows.indices(len(history)))) if request.plan.edits else history
    return request.select(rows), part


def measure(
    request: Request,
    history: History,
    logits: Tensor,
    token_ids: Tensor,
    words: Tensor | None,
    outside: Outside,
    *,
    with_words: bool,
) -> Measured:
    """Measure all rows.

    Args:
        request: What is done to the logits.
        history: What was sampled before.
        logits: [N, V].
        token_ids: int64 [N].
        words: The kept sets where an engine gave them, int64 [N, W]; None for those of the request.
        outside: What becomes of a token outside of its set.
        with_words: Whether the scored sets are wanted.
    """

    def part(rows: slice) -> Measured:
        some, past = part_of(request, history, rows)
        edited = apply_edits(some.plan.edits, logits[rows].float(), past)
        given = None if words is None else words[rows]
        return measure_edited(some, edited, token_ids[rows], given, outside, with_words=with_words)

    return Measured.cat([part(rows) for rows in chunks(logits)])


def measure_edited(
    request: Request,
    edited: Tensor,
    token_ids: Tensor,
    words: Tensor | None,
    outside: Outside,
    *,
    with_words: bool,
) -> Measured:
    """Measure rows after their edits, float32 [R, V]."""
    kept = edited if words is None else map_row_tiles(keep_given, edited, words)
    rows, status = valid_rows(BlockedLogits.of(kept))
    maximum, temperature = rows.maximum, request.temperature.expand(len(edited), 1)
    finalizer = MeasureKept(token_ids, edited.shape[1], with_words=with_words)
    if words is None:
        found, total = figures(request, rows, temperature, finalizer)
    else:
        found = run_on_full_rows(request.without_truncations, rows.logits, finalizer)
        total = sum_exp(BlockedLogits.of(edited), maximum, temperature)
    z, counts, here = found[:, 0], found[:, 1], found[:, 2] == 1
    distance = distance_of(edited.gather(1, token_ids[:, None]), maximum, temperature)[:, 0]
    normalizer, scored = log_normalizer(z), found[:, FIGURES:]
    mass = torch.zeros_like(normalizer)
    if request.truncates or words is not None:
        mass = (normalizer - total[:, 0].log()).clamp(max=0).masked_fill(request.greedy[:, 0], 0.0)
    if outside == "keep":
        unscorable = ~here & (request.greedy[:, 0] | (distance == -torch.inf))
        besides = torch.logaddexp(normalizer, distance)
        normalizer = torch.where(here, normalizer, besides).masked_fill(unscorable, torch.nan)
        if with_words:
            own = pack_ids(token_ids[:, None], ~here[:, None], edited.shape[1])
            scored = scored | own
    logprobs = (distance - normalizer).float()
    if outside == "-inf":
        logprobs = logprobs.masked_fill(~here, -torch.inf)
    wrong = status != 0
    return Measured(
        logprobs.masked_fill(wrong, torch.nan),
        here & ~wrong,
        counts.masked_fill(wrong, 0),
        mass.float().masked_fill(wrong, torch.nan),
        maximum[:, 0],
        normalizer,
        scored,
    )


def distance_of(logits: Tensor, maximum: Tensor, temperature: Tensor) -> Tensor:
    """Return how far processed logits lie from the largest, as `Temperature` rounds them, float64 [R, K]."""
    exact = logits.double() - maximum.double()
    return torch.where(temperature == 1, exact, (exact / temperature).float().double())


def keep_given(logits: Tensor, words: Tensor) -> Tensor:
    """Mask the logits of all tokens that are not in the given sets."""
    return mask_logits(logits, unpack(words, logits.shape[1]))


def valid_rows(rows: BlockedLogits) -> tuple[BlockedLogits, Tensor]:
    """Replace rows that cannot be sampled by zeros, and say which those are, int64 [R]."""
    status = validity_of_maximum(rows.maximum[:, 0])
    if can_sync(status) and not bool(status.any()):
        return rows, status
    return BlockedLogits.of(torch.where((status > 0)[:, None], 0.0, rows.logits)), status


def sum_exp(rows: BlockedLogits, maximum: Tensor, temperature: Tensor) -> Tensor:
    """Return the sum of e^((l - m) / T) of whole rows within BLOCK_SUM_MARGIN, float64 [R, 1]; one pass in float32."""
    sums = map_row_tiles(sum_exp_blocks, rows.values, maximum, temperature)
    return sums.sum(-1, keepdim=True, dtype=torch.float64)


def figures(
    request: Request, rows: BlockedLogits, temperature: Tensor, finalizer: MeasureKept
) -> tuple[Tensor, Tensor]:
    """Run the last stages to their end.

    Where the host may look, a row that is not wide is run over candidates; if these leave a doubt, or it is wide, its nucleus
    is found in float64; and what that leaves in doubt is run in full.

    Args:
        request: The stages.
        rows: Valid rows.
        temperature: float32 [R, 1].
        finalizer: What is measured.

    Returns:
        int64 [R, FIGURES + W], and what the whole rows' `sum_exp` is, float64 [R, 1].
    """
    stages = request.plan.final
    if not can_sync(temperature) or not request.truncates:
        total = sum_exp(rows, rows.maximum, temperature)
        return run_on_full_rows(stages, rows.logits, finalizer), total
    wide = are_wide(request, rows, temperature)
    narrow = (~wide).nonzero()[:, 0]
    found = torch.zeros(len(wide), finalizer.columns, dtype=torch.int64)
    total, certain = torch.zeros(len(wide), 1, dtype=torch.float64), torch.zeros_like(wide)
    if len(narrow):
        some = rows if len(narrow) == len(wide) else rows.select(narrow)
        sums = sum_exp(some, some.maximum, temperature[narrow])
        blocks = CandidateBlocks.of(some)
        if request.truncates_last:
            blocks = replace(blocks, normalizer=sums)
        selected = [stage.select(narrow) for stage in stages]
        found[narrow], certain[narrow] = run_on_candidates(selected, blocks, finalizer.select(narrow))
        total[narrow] = sums
    for row in (~certain).nonzero()[:, 0].tolist():
        one = slice(row, row + 1)
        nucleus = wide_nucleus_of(request.select(one), rows.logits[one])
        if nucleus is not None:
            found[one], total[row], certain[row] = (
                finalizer.select(one).of_nucleus(nucleus),
                nucleus.total,
                True,
            )
    rest = (~certain).nonzero()[:, 0]
    if len(rest):
        some = rows.select(rest)
        selected = [stage.select(rest) for stage in stages]
        found[rest] = run_on_full_rows(selected, some.logits, finalizer.select(rest))
        total[rest] = sum_exp(some, some.maximum, temperature[rest])
    return found, total


def are_wide(request: Request, rows: BlockedLogits, temperature: Tensor) -> Tensor:
    """Return where top_p, alone, asks for more than candidates can weigh, none more than the likeliest, bool [R]."""
    if request.top_p is None:
        return torch.zeros_like(temperature[:, 0], dtype=torch.bool)
    least = ((rows.maxima - rows.maximum) / temperature).exp_().sum(-1)
    return request.top_p.p.expand(len(least), 1)[:, 0] * least > NUM_CANDIDATES + 1


def wide_nucleus_of(request: Request, logits: Tensor) -> Nucleus | None:
    """Return the nucleus of one row, if top_p is the only truncation, rows are long enough to go alone and float64 decides."""
    if request.top_p is None or logits.shape[1] < LONG_ROW:
        return None
    rows = WeightedLogits(logits)
    for stage in request.plan.final[:-1]:
        rows = stage.process_rows(rows)
    return request.top_p.wide_nucleus(rows.logits)
