"""What tokens are scored by: the stages of requests in a dialect, and the tokens that these look back at."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, Prompts
from sampling.core.params import SamplingParams
from sampling.core.whole_numbers import whole_tensor
from sampling.dialects import Dialect
from sampling.pipeline.effective import checked_params
from sampling.pipeline.plan import StepPlan, make_plan
from sampling.processors import MinTokens, OrderPreservingStage, Temperature, TopP
from sampling.processors.base import Rows
from sampling.processors.penalties import CountPenalty

NO_TOKEN = -1


@dataclass(frozen=True)
class Request:
    """The stages that rows go through before the draw.

    Args:
        plan: The stages.
        greedy: Which rows take the arg max, bool [N, 1], or [1, 1] for all alike.
    """

    plan: StepPlan
    greedy: Tensor

    @staticmethod
    def of(
        params: SamplingParams | Sequence[SamplingParams], dialect: Dialect, rows: int | None = None
    ) -> Request:
        """Plan for one request, or for one of each row.

        Raises:
            InvalidArgument: A list of others than `rows`, where that is known.
        """
        batch = batch_of(params, rows)
        plan = make_plan([checked_params(one, dialect) for one in batch], dialect)
        greedy = [one.temperature == 0 or one.temperature < dialect.greedy_below for one in batch]
        return Request(plan, torch.tensor(greedy, dtype=torch.bool)[:, None])

    def check_rows(self, rows: int) -> None:
        """Refuse requests of another batch than the logits."""
        if len(self.greedy) not in (1, rows):
            raise other_rows(len(self.greedy), rows)

    def to(self, device: torch.device) -> Request:
        """Move all numbers to a device."""
        return Request(self.plan.to(device), self.greedy.to(device))

    def select(self, rows: Rows) -> Request:
        """Return the request of some rows."""
        return Request(self.plan.select(rows), self.greedy[rows] if len(self.greedy) > 1 else self.greedy)

    @property
    def temperature(self) -> Tensor:
        """Return what the logits are divided by at last, float32 [N, 1] or [1, 1]; 1 where the temperature is 0."""
        divisor = torch.ones_like(self.greedy, dtype=torch.float32)
        for stage in self.plan.final:
            if isinstance(stage, Temperature):
                divisor = divisor * stage.temperature.where(stage.temperature > 0, 1.0)
        return divisor

    @property
    def truncates(self) -> bool:
        """Return whether a stage masks tokens."""
        return any(stage.truncates for stage in self.plan.final)

    @property
    def truncates_last(self) -> bool:
        """Return whether no temperature comes behind a truncation."""
        kinds = [stage.truncates for stage in self.plan.order_preserving]
        return kinds == sorted(kinds)

    @property
    def top_p(self) -> TopP | None:
        """Return the last stage, if it is the only truncation and a top_p."""
        *before, last = [*self.plan.final] or [None]
        return last if isinstance(last, TopP) and not any(one and one.truncates for one in before) else None

    @property
    def without_truncations(self) -> tuple[OrderPreservingStage, ...]:
        """Return the last stages but the truncations of the request; the arg max of a greedy one stays."""
        return tuple(one for one in self.plan.final if not one.truncates or one is self.plan.arg_max)


def batch_of(params: object, rows: int | None = None) -> Sequence[SamplingParams]:
    """Return one request, or one of each row, in a list.

    Raises:
        InvalidArgument: Something else, or a list of others than `rows`, where that is known.
    """
    batch = [params] if isinstance(params, SamplingParams) else params
    wrong = (
        [one for one in batch if not isinstance(one, SamplingParams)]
        if isinstance(batch, Sequence)
        else [batch]
    )
    if wrong:
        words = "SamplingParams, such as SamplingParams(temperature=0.7), or a list of them"
        raise InvalidArgument("params", wrong[0], words)
    found = cast("Sequence[SamplingParams]", batch)
    if rows is not None and batch is params and len(found) != rows:
        raise other_rows(len(found), rows)
    return found


def other_rows(count: int, rows: int) -> InvalidArgument:
    """Return the error of requests of another batch than the logits."""
    words = f"one for all rows, or one for each of the {rows} rows of the logits"
    return InvalidArgument("params", f"a list of {count} SamplingParams", words)


def history_of(
    request: Request,
    prompt_ids: Prompts | None,
    output_ids: Prompts | None,
    rows: int,
    device: torch.device,
) -> History:
    """Return what the rows have sampled before.

    Raises:
        InvalidArgument: It is asked for and was not given, has other rows, or is none.
    """
    for stage in request.plan.edits:
        counts = isinstance(stage, CountPenalty)
        if (counts or isinstance(stage, MinTokens)) and output_ids is None:
            words = f"what each row had sampled before its token, on which {stage.name} depends"
            raise InvalidArgument("output_ids", None, words)
        if counts and stage.scope.prompt and prompt_ids is None:
            raise InvalidArgument("prompt_ids", None, f"the prompt of each row, which {stage.name} counts")
    given = {
        name: checked_rows(name, ids, rows)
        for name, ids in (("prompt_ids", prompt_ids), ("output_ids", output_ids))
    }
    return History.start(given["prompt_ids"], output_ids=given["output_ids"], device=device)


def checked_rows(name: str, ids: Prompts | None, rows: int) -> Sequence[Sequence[int] | Tensor]:
    """Return the tokens of each row, without those that stand for none; none at all where nothing was given."""
    if ids is None:
        return [[]] * rows
    if isinstance(ids, Tensor):
        padded: list[list[int]] = whole_tensor(name, ids, (2,), "lists, or a tensor [N, T]").tolist()
        ids = [row[: row.index(NO_TOKEN)] if NO_TOKEN in row else row for row in padded]
    if not isinstance(ids, Sized):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(name, ids, f"lists of token ids, one for each of the {rows} rows of the logits")
    if len(ids) != rows:
        raise InvalidArgument(name, f"{len(ids)} rows", f"one for each of the {rows} rows of the logits")
    return ids


def padded(ids: Prompts) -> Tensor:
    """Return the tokens of each row as a tensor, int64 [N, T], `NO_TOKEN` behind each."""
    if isinstance(ids, Tensor):
        return ids
    longest = max([len(row) for row in ids], default=0)
    return torch.tensor([[*row, *[NO_TOKEN] * (longest - len(row))] for row in ids], dtype=torch.int64).view(
        len(ids), longest
    )
