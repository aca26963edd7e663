"""Wrong log probabilities and bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from conformance.faulty.sampler import FaultySampler, Mutant
from torch import Tensor

from sampling.conformance.reference import Asked, Reference
from sampling.dialects.qstash import QSTASH
from sampling.generate.sampled_token import SampledToken
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import SparseEdit, Temperature, Truncation


class Told(FaultySampler):
    """Log probabilities after some stages that should not be in them.

    Args:
        kind: Of the stages that are.
    """

    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self._kind = kind

    def told(self, asked: Asked) -> Tensor:
        """The logits after these stages."""
        stages = [stage for stage in self.plan(asked.request).pipeline if isinstance(stage, self._kind)]
        return Pipeline(*stages)(asked.logits, self.history(asked))


class Cold(Told):
    """Temperature in the log probabilities where it is 0: one token is certain."""

    def __init__(self) -> None:
        super().__init__(Temperature)

    def told(self, asked: Asked) -> Tensor:
        """The tempered logits at 0, else the raw ones."""
        return super().told(asked) if asked.request.params.temperature == 0 else asked.logits


class Unnormalised(FaultySampler):
    """Logits below the largest, in the place of log probabilities."""

    def measured(self, asked: Asked, token: int) -> SampledToken:
        """Add what would make the likeliest certain."""
        right = super().measured(asked, token)
        added = -right.top[0][1]
        top = tuple((other, value + added) for other, value in right.top)
        return replace(right, logprob=right.logprob + added, top=top)


class ChosenTempered(Told):
    """The sampled token's own entry after the temperature, the list before it."""

    def __init__(self) -> None:
        super().__init__(Temperature)

    def measured(self, asked: Asked, token: int) -> SampledToken:
        """Keep the list of the raw distribution."""
        tempered = super().measured(asked, token)
        return replace(RIGHT.measured(asked, token), logprob=tempered.logprob)


RIGHT = Reference(QSTASH)

Entry = dict[str, Any]


def every_entry(change: Callable[[Entry], Entry]) -> Callable[[Entry], Entry]:
    """Change each entry of a choice, listed ones included."""

    def changed(entry: Entry) -> Entry:
        return change({**entry, "top_logprobs": [change(other) for other in entry["top_logprobs"]]})

    def answer(choice: dict[str, Any]) -> dict[str, Any]:
        logprobs = choice["logprobs"]
        return (
            choice
            if logprobs is None
            else {**choice, "logprobs": {"content": [*map(changed, logprobs["content"])]}}
        )

    return answer


def bytes_of_text(entry: Entry) -> Entry:
    """The bytes of the text that is shown."""
    return {**entry, "bytes": list(entry["token"].encode())}


def bytes_stripped(entry: Entry) -> Entry:
    """The bytes without white space at their ends."""
    return {**entry, "bytes": list(bytes(entry["bytes"] or b"").strip())}


def infinite(entry: Entry) -> Entry:
    """What is not listed has a log probability of -infinity."""
    return {**entry, "logprob": -float("inf") if entry["logprob"] == -9999.0 else entry["logprob"]}


class KeptOff(FaultySampler):
    """A set that is not the one that was drawn from.

    Args:
        more: Whether it has the likeliest token that was left out, too, or lacks the least likely that was kept.
    """

    def __init__(self, more: bool) -> None:
        super().__init__()
        self._more, self._raw = more, Tensor()

    def processed(self, asked: Asked) -> Tensor:
        """Remember the logits."""
        self._raw = asked.logits[0]
        return super().processed(asked)

    def kept(self, processed: Tensor) -> list[int]:
        """One token too many, or too few."""
        right = super().kept(processed)
        best = self._raw.argsort(descending=True).tolist()
        return best[: len(right) + 1] if self._more else best[: max(len(right) - 1, 1)]


DISTRIBUTION, COUNT, BYTES = "reported.distribution", "reported.count", "reported.bytes"

MUTANTS = (
    Mutant(
        "logprobs-tempered",
        "reports log probabilities after the temperature",
        "vLLM #9453: logprobs that move with temperature",
        DISTRIBUTION,
        lambda: Told(Temperature),
    ),
    Mutant(
        "logprobs-processed",
        "reports log probabilities after everything",
        "vLLM 0.4.3",
        DISTRIBUTION,
        lambda: FaultySampler(replace(QSTASH, logprob_mode="processed")),
    ),
    Mutant(
        "logprobs-certain-at-zero",
        "reports 0 for the arg max at temperature 0",
        "a temperature of 0 run as a truncation to one token",
        "reported.zero-temperature",
        Cold,
    ),
    Mutant(
        "logprobs-truncated",
        "reports log probabilities after top_k, top_p and min_p",
        "vLLM 0.4.3; TGI",
        "reported.truncation",
        lambda: Told(Truncation),
    ),
    Mutant(
        "logprobs-penalised",
        "reports log probabilities after penalties and biases",
        "SGLang 0.5.23",
        "reported.penalties-and-bias",
        lambda: Told(SparseEdit),
    ),
    Mutant(
        "logprobs-unnormalised",
        "reports logits below the largest",
        "a log-softmax without its sum",
        "reported.mass",
        Unnormalised,
    ),
    Mutant(
        "chosen-entry-tempered",
        "reports the sampled token after the temperature and the list before it",
        "two code paths for one number",
        "reported.chosen-is-listed",
        ChosenTempered,
    ),
    Mutant(
        "one-alternative-more",
        "lists the sampled token before the k most likely",
        "vLLM (K + 1 entries)",
        COUNT,
        lambda: FaultySampler(replace(QSTASH, sampled_first=True, at_most_k=False)),
    ),
    Mutant(
        "minus-infinity-in-json",
        "reports -infinity for what is not listed",
        "vLLM #10234, #11073",
        COUNT,
        lambda: FaultySampler(answer=every_entry(infinite)),
    ),
    Mutant(
        "bytes-of-the-text",
        "gives the bytes of the text, EF BF BD for half a character",
        "ollama #13497",
        BYTES,
        lambda: FaultySampler(answer=every_entry(bytes_of_text)),
    ),
    Mutant(
        "kept-set-too-large",
        "tells a set with a token that it cannot draw",
        "SGLang #35966: sets that were rebuilt after the draw",
        "reported.kept-set",
        lambda: KeptOff(more=True),
    ),
    Mutant(
        "kept-set-too-small",
        "tells a set without the least likely token that it can draw",
        "a strict comparison in the mask and another one in the draw",
        "reported.kept-set",
        lambda: KeptOff(more=False),
    ),
    Mutant(
        "bytes-stripped",
        "strips white space from the bytes",
        "a text that is trimmed before it is encoded",
        BYTES,
        lambda: FaultySampler(answer=every_entry(bytes_stripped)),
    ),
)
