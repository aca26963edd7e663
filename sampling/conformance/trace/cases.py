"""The recorded tokens that checks look at: by check, the parameters that they were sampled with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sampling.conformance.endings import NotTestable
from sampling.conformance.trace.steps import Situation
from sampling.conformance.trace.tokens import Tokens
from sampling.dialects import TRUNCATIONS


def always(_: Situation) -> bool:
    """Hold of all situations."""
    return True


@dataclass(frozen=True)
class Recorded:
    """Which tokens are looked at.

    Args:
        sets: Parameters that are in force together; any of these sets will do.
        besides: Parameters that may be in force, too; biases may in any case.
        where: What else must hold of a situation.
        missing: Why there may be none of which it holds.
        left_out: Alternatives that take more tokens than a trace has.
    """

    sets: Sequence[tuple[str, ...]]
    besides: tuple[str, ...] = ()
    where: Callable[[Situation], bool] = always
    missing: str = ""
    left_out: tuple[str, ...] = ()

    def of(self, tokens: Tokens) -> Tokens:
        """Return those of some tokens.

        Raises:
            NotTestable: There are none.
        """
        found = tokens.where(self._sampled_with)
        if not len(found):
            words = " or ".join(" and ".join(names) for names in self.sets if names) or "no parameters"
            raise NotTestable(
                f"no token of the trace whose distribution is known was sampled with {words} alone"
            )
        found = found.where(self.where)
        if not len(found):
            raise NotTestable(self.missing)
        return found

    def _sampled_with(self, situation: Situation) -> bool:
        allowed = {*self.besides, "logit_bias"}
        return any({*names} <= situation.uses <= {*names, *allowed} for names in self.sets)


def prompted(situation: Situation) -> bool:
    """Whether the prompt is known."""
    return situation.has_prompt


def tempered(situation: Situation) -> bool:
    """Whether the temperature is above 0."""
    return situation.case.params["temperature"] > 0


NO_PROMPT = "the trace does not tell its prompts"
CASES: Mapping[str, Recorded] = {
    "temperature.scale": Recorded(
        [("temperature",)],
        where=tempered,
        missing="no temperature of the trace is above 0",
        left_out=("temperatures above 1 become 1",),
    ),
    "temperature.zero": Recorded(
        [("temperature",)],
        besides=TRUNCATIONS,
        where=lambda situation: not tempered(situation),
        missing="no token of the trace was sampled at temperature 0",
    ),
    "truncation.temperature-order": Recorded([("temperature", "top_p")]),
    "truncation.crossing-token": Recorded([("top_p",)]),
    "truncation.no-token-more": Recorded([("top_p",)]),
    "truncation.top-k": Recorded([("top_k",)]),
    "truncation.joint": Recorded([("top_k", "top_p")]),
    "truncation.min-p-order": Recorded([("temperature", "min_p")]),
    "penalties.presence-scope": Recorded(
        [("presence_penalty",)], besides=("temperature",), where=prompted, missing=NO_PROMPT
    ),
    "penalties.repetition-scope": Recorded(
        [("repetition_penalty",)], besides=("temperature",), where=prompted, missing=NO_PROMPT
    ),
    "penalties.frequency-counts": Recorded([("frequency_penalty",)], besides=("temperature",)),
    "penalties.temperature-order": Recorded(
        [("temperature", "presence_penalty"), ("temperature", "frequency_penalty")]
    ),
    "bias.temperature-order": Recorded([("logit_bias", "temperature")]),
}
PLAIN = Recorded([()], besides=("temperature",))
