"""Completions that decode together."""

from __future__ import annotations

from collections.abc import Iterator

from sampling.chat.completion import Completion, TokenEvent
from sampling.chat.loaded_model import LoadedModel
from sampling.core.errors import NotEnoughMemory, RowError
from sampling.dialects import Dialect
from sampling.generate.decode import Decoder
from sampling.generate.prefill import PREFILL_CHUNK, Prefill
from sampling.generate.sampled_token import SampledToken


class ChatBatch:
    """Completions in progress that share the rows of one decoder; they come and go between steps.

    A long prompt is taken in between the steps of the others, part by part; several take turns.

    Args:
        loaded: Model and tokenizer.
        dialect: How to sample.
        rows: How many choices decode at a time.
        capacity: Most tokens of a row, prompt and sampled, at most the model's context.
    """

    def __init__(self, loaded: LoadedModel, dialect: Dialect, *, rows: int, capacity: int) -> None:
        usable = min(len(loaded.vocabulary), loaded.model.config.vocab_size)
        self.decoder = Decoder(
            loaded.model,
            rows=rows,
            capacity=capacity,
            tokenizer_vocab_size=usable,
            dialect=dialect,
            compile=loaded.compile,
        )
        # whose prompts are not through, in the order of their turns
        self._coming: dict[Completion, Prefill] = {}
        # of each completion: row by unfinished choice
        self._rows: dict[Completion, dict[int, int]] = {}

    @staticmethod
    def alone(completion: Completion) -> ChatBatch:
        """Return a batch of one completion and no room for others."""
        prepared = completion.prepared
        longest = len(prepared.prompt_ids) + prepared.max_tokens
        batch = ChatBatch(prepared.loaded, prepared.dialect, rows=prepared.request.n, capacity=longest)
        batch.add(completion)
        return batch

    @property
    def rows(self) -> int:
        """How many choices decode at a time."""
        return self.decoder.rows

    @property
    def free_rows(self) -> int:
        """How many more choices could join."""
        return self.decoder.free

    @property
    def running(self) -> bool:
        """Whether any completion is in progress."""
        return bool(self._rows or self._coming)

    @property
    def decoding(self) -> bool:
        """Whether any choice can be sampled."""
        return bool(self._rows)

    def add(self, completion: Completion) -> None:
        """Take in a completion; its prompt is read by the next calls of `prefill`.

        Raises:
            InvalidRequest: It needs more rows than are free, or longer ones than there are.
            NotEnoughMemory: There is no memory for its prompt.
        """
        prepared = completion.prepared
        self._coming[completion] = self.decoder.begin(
            prepared.prompt_ids,
            prepared.params,
            choices=prepared.request.n,
            max_tokens=prepared.max_tokens,
            constraints=completion.constraints(),
            first_choice=prepared.first_choice,
            alternatives=prepared.prompt_alternatives,
        )

    def remove(self, completion: Completion) -> None:
        """Give up a completion that is in progress; its rows are free at once."""
        coming = self._coming.pop(completion, None)
        if coming is not None:
            self.decoder.give_up(coming)
        else:
            self.decoder.remove([*self._rows.pop(completion).values()])

    def prefill(self) -> list[tuple[Completion, Prefill]]:
        """Read the next parts of prompts, in turns: as many as PREFILL_CHUNK tokens, so that a step is never far away.

        Returns:
            The completions whose prompts are through. One whose prompt cannot be read is among them, has an `error`, and is
            no longer in progress.
        """
        through: list[tuple[Completion, Prefill]] = []
        left = PREFILL_CHUNK
        while self._coming:
            completion, prefill = next(iter(self._coming.items()))
            left -= prefill.width
            if left < 0:
                break
            if self._advanced_prompt(completion, prefill):
                through.append((completion, prefill))
        return through

    def _advanced_prompt(self, completion: Completion, prefill: Prefill) -> bool:
        """Read one part of a prompt; whether that was all of it."""
        del self._coming[completion]
        try:
            rows = self.decoder.advance(prefill)
        except Exception as error:  # a fault of one, whatever it is, is none of the others
            completion.error = kept(error)
            return True
        if not rows:
            self._coming[completion] = prefill  # behind those that wait
            return False
        completion.prompt_scores = prefill.scored
        if completion.running:
            self._rows[completion] = dict(enumerate(rows))
        else:  # nothing but the prompt is wanted
            self.decoder.remove(rows)
        return True

    def step(self) -> list[tuple[Completion, list[TokenEvent]]]:
        """Sample one token for every unfinished choice whose prompt is through.

        Returns:
            Each completion with its events. One whose choice cannot be sampled has an `error`, no events, and is no longer
            in progress; the others go on.
        """
        sampled = self.decoder.step()
        return [(completion, self._advanced(completion, sampled)) for completion in [*self._rows]]

    def run(self) -> Iterator[list[TokenEvent]]:
        """Yield the events of each completion in each step, until none is in progress.

        Raises:
            RowError: A choice cannot be sampled; the message says why and after which stage.
            NotEnoughMemory: Memory ends.
        """
        while self.running:
            self._read_parts()
            for completion, events in self.step() if self.decoding else ():
                if completion.error is not None:
                    raise completion.error
                yield events

    def read_prompts(self) -> None:
        """Read all prompts to their ends; errors as in `run`."""
        while self._coming:
            self._read_parts()

    def _read_parts(self) -> None:
        """Read the next parts of prompts."""
        for completion, _ in self.prefill():
            if completion.error is not None:
                raise completion.error

    def _advanced(
        self, completion: Completion, sampled: dict[int, SampledToken | RowError]
    ) -> list[TokenEvent]:
        """Hand a completion its tokens, and free the rows that it needs no longer."""
        rows = self._rows[completion]
        try:
            events = [accepted(completion, choice, sampled[row]) for choice, row in rows.items()]
        except Exception as error:  # a fault of one, whatever it is, is none of the others
            completion.error = kept(error)
            self.remove(completion)
            return []
        self.decoder.remove([rows.pop(event.choice) for event in events if event.ended])
        if not rows:
            del self._rows[completion]
        return events


def accepted(completion: Completion, choice: int, outcome: SampledToken | RowError) -> TokenEvent:
    """Hand a choice its token.

    Raises:
        RowError: It cannot be sampled.
    """
    if isinstance(outcome, NotEnoughMemory):
        raise outcome
    if isinstance(outcome, RowError):
        trouble = completion.trouble(choice)
        words = f" (the response format is too much for llguidance: {trouble})" if trouble else ""
        raise type(outcome)(f"choice {choice}: {outcome}{words}")
    return completion.accept(choice, outcome)


def kept(error: Exception) -> Exception:
    """Return an error that will be told later. Where memory ended, its traceback would hold what was allocated by then."""
    return error.with_traceback(None) if isinstance(error, NotEnoughMemory) else error
