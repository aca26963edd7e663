"""A LogitsProcessor of transformers as a stage of a pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from sampling.adapters.hosts import check_host
from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.processors import Processor
from sampling.processors.base import check_same_rows


class TransformersStage(Processor):
    """What `as_stage` makes."""

    name = "transformers"

    def __init__(self, processor: Callable[..., Tensor]) -> None:
        self.__dict__["name"] = type(processor).__name__
        self.processor = processor

    @property
    def label(self) -> str:
        """Return what errors call the stage: there may be several in a chain."""
        return repr(self)

    def __repr__(self) -> str:
        return f"as_stage({self.name})"

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Call the processor with prompt and output of the rows; rows of one length together, without padding."""
        check_same_rows(history, logits)
        lengths = history.lengths
        processed = logits.clone()
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            given = logits[rows]
            returned = self.processor(history.tokens[rows, :length], given.clone())
            processed[rows] = self.formed("returned", returned, (given.dtype,), given.shape)
        return processed


def as_stage(processor: LogitsProcessor | LogitsProcessorList) -> Processor:
    """Make a stage of a LogitsProcessor of transformers, or of a list of them.

    It is called with the token ids of each row, prompt and output, without padding: a row's result does not depend on the rows
    around it. What a processor counts from the length of the prompt, such as `MinNewTokensLengthLogitsProcessor`, is
    right for prompts of that length alone.

    Args:
        processor: Depends on token ids and logits alone.

    Returns:
        The stage. It looks at lengths on the host, and does not compile.

    Raises:
        InvalidArgument: It takes other arguments, or transformers is of an untested version.

    Example:
        >>> import torch
        >>> from transformers import NoRepeatNGramLogitsProcessor
        >>> from sampling import History, TopP, chain
        >>> from sampling.adapters.transformers import as_stage
        >>> stages = chain(as_stage(NoRepeatNGramLogitsProcessor(2)), TopP(0.9))
        >>> stages
        Pipeline(as_stage(NoRepeatNGramLogitsProcessor), TopP(0.9))
        >>> stages(torch.zeros(1, 4), History.start([[1, 2, 1]]))
        tensor([[0., 0., -inf, 0.]])
    """
    check_host("transformers")
    if not isinstance(processor, LogitsProcessor | LogitsProcessorList):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument("processor", processor, "a LogitsProcessor of transformers, or a list of them")
    for one in processor if isinstance(processor, LogitsProcessorList) else [processor]:
        names = [*inspect.signature(one.__call__).parameters]
        if len(names) > 2:
            words = f"a processor of token ids and logits: {type(one).__name__} takes {', '.join(names)}"
            raise InvalidArgument("processor", processor, words)
    return TransformersStage(processor)
