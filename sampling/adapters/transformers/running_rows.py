"""The rows of a `generate` that are still running, and the history of each."""

from __future__ import annotations

import torch
from torch import Tensor

from sampling.adapters.transformers.prompts import PaddedPrompts
from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import Processor


class RunningRows:
    """Follows the token ids that a host passes whole at each step.

    What it says depends on these ids alone; it remembers the last ones, because the next are usually they and one token more.

    Args:
        pipeline: Its numbers are one for all prompts, or one for each.
        prompts: B of them.
        choices: Rows of each prompt, which stand together.

    Attributes:
        running: Numbers of the rows that have not ended, int64 [R].
        history: What these have sampled.
        pipeline: With the numbers of these.
    """

    def __init__(self, pipeline: Pipeline, prompts: PaddedPrompts, choices: int) -> None:
        self._pipeline = pipeline
        self._prompts = prompts.repeat(choices)
        self._lists = self._prompts.without_padding()
        self._prompt_of_row = torch.arange(len(prompts)).repeat_interleave(choices)
        self._seen: Tensor | None = None

    def __len__(self) -> int:
        """Return how many rows there are, those that have ended among them."""
        return len(self._prompts)

    @property
    def prompt_width(self) -> int:
        """Return how many token ids of each row are its prompt, with its padding."""
        return self._prompts.width

    def follow(self, input_ids: Tensor, ended: Tensor) -> None:
        """Take in what a host has now.

        Args:
            input_ids: Prompts and what was sampled after them, int64 [B, T + N].
            ended: The rows that run no more, bool [B].

        Raises:
            InvalidArgument: They do not begin with the prompts.
        """
        seen = self._seen
        if seen is None or not continues(input_ids, seen):
            self._begin(input_ids)
        elif input_ids.shape[1] > seen.shape[1]:
            self.history.accept(input_ids[self.running, -1])
        self._seen = input_ids.clone()
        going = (~ended[self.running]).nonzero()[:, 0]
        if len(going) < len(self.running):
            self._keep(going)

    def _begin(self, input_ids: Tensor) -> None:
        """Read all rows anew."""
        if not continues(input_ids, self._prompts.token_ids.to(input_ids.device), any_length=True):
            words = (
                f"of shape {tuple(self._prompts.token_ids.shape)} or longer, and begin with the prompts that this was made "
                "with (continuous batching passes the last token of each row alone)"
            )
            raise InvalidArgument("input_ids", f"token ids of shape {tuple(input_ids.shape)}", words)
        outputs = input_ids[:, self._prompts.width :].tolist()
        self.history = History.start(self._lists, output_ids=outputs, device=input_ids.device)
        self.running = torch.arange(len(input_ids), device=input_ids.device)
        self.pipeline = self._pipeline.select(self._prompt_of_row)

    def _keep(self, going: Tensor) -> None:
        """Go on with some of the rows."""
        self.running = self.running[going]
        self.history = self.history.select(going)
        self.pipeline = self._pipeline.select(self._prompt_of_row[self.running.cpu()])


def continues(input_ids: Tensor, before: Tensor, *, any_length: bool = False) -> bool:
    """Return True if rows are those before, and at most one token more each where the length matters."""
    rows, length = before.shape
    more = input_ids.shape[1] - length
    if len(input_ids) != rows or more < 0 or (more > 1 and not any_length):
        return False
    return torch.equal(input_ids[:, :length], before)


def checked_numbers(pipeline: Processor, prompts: PaddedPrompts) -> Pipeline:
    """Return a pipeline whose numbers are one for all prompts, or one for each.

    Raises:
        InvalidArgument: They are for another batch.
    """
    stages = Pipeline(pipeline)
    for stage in stages:
        counts = {len(stage.params), *map(len, stage.numbers().values())} - {0, 1, len(prompts)}
        if counts:
            words = f"one for all prompts, or one for each of the {len(prompts)}"
            raise InvalidArgument(stage.name, f"{counts.pop()} values", words)
    return stages
