"""A host that generates one text at a time, and passes its token ids whole at each step."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sampling.adapters.one_hot import one_hot_logits
from sampling.core.errors import InvalidArgument, UnsampleableRow
from sampling.core.history import History
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import Processor
from sampling.sampler.draw import draw
from sampling.sampler.rules import seed_key


class OneSequence:
    """Follows one text, and processes the logits of its next token or draws from them.

    Args:
        pipeline: What is done to the logits.
        prompt_ids: The prompt; None for what the host passes first.
        seed: Draws by it; None leaves the draw to the host.
        choice: Of the draw.

    Raises:
        InvalidArgument: The pipeline has numbers for several rows, or the seed is none.
    """

    def __init__(
        self, pipeline: Processor, prompt_ids: Sequence[int] | None, seed: int | None, choice: int = 0
    ) -> None:
        self._pipeline = Pipeline(pipeline)
        for stage in self._pipeline:
            if any(len(numbers) > 1 for numbers in stage.numbers().values()):
                raise InvalidArgument(stage.name, f"{len(stage.params)} values", "one: a text is one row")
        self._prompt = None if prompt_ids is None else [*prompt_ids]
        self._seed = None if seed is None else seed_key(seed)
        self._choice = choice
        self._seen: list[int] | None = None

    def next(self, token_ids: Sequence[int], logits: Tensor) -> Tensor:
        """Return processed logits, or one-hot ones at the token that is drawn.

        Args:
            token_ids: What the host has so far: at first prompt, or its end; then what was sampled, too.
            logits: float32 [1, V].

        Raises:
            InvalidArgument: The token ids do not go on where the last ones ended.
            UnsampleableRow: Nothing can be drawn.
        """
        self._follow([*token_ids])
        processed = self._pipeline(logits, self._history)
        if self._seed is None:
            return processed
        token = draw(processed, seed=self._seed, choice=self._choice, history=self._history)
        if int(token) < 0:
            words = "it has NaN, +inf, or nothing left"
            raise UnsampleableRow(
                f"token {int(self._history.sampled)} of the text cannot be sampled: {words}"
            )
        return one_hot_logits(processed, token)

    def _follow(self, ids: list[int]) -> None:
        seen = self._seen
        if seen is None:
            prompt = ids if self._prompt is None else self._prompt
            self._history = History.start([prompt])
        elif ids[: len(seen)] != seen or len(ids) > len(seen) + 1:
            words = "the last ones and one token more: make a new one for each text"
            raise InvalidArgument("token_ids", f"{len(ids)} token ids after {len(seen)}", words)
        elif len(ids) > len(seen):
            self._history.accept(self._history.lengths.new_tensor(ids[-1:]))
        self._seen = ids
