"""A wrong sampler: the reference with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampling.chat.request import ChatRequest
from sampling.conformance.reference import Asked, Fields, Ids, Reference, history
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.history import History
from sampling.dialects import Dialect
from sampling.dialects.qstash import QSTASH
from sampling.pipeline.pipeline import Pipeline
from sampling.pipeline.plan import StepPlan
from sampling.processors import Processor

NOTICED = frozenset({Verdict.DEVIATES, Verdict.IGNORED, Verdict.AMBIGUOUS})


def same(value: Any) -> Any:
    """Nothing changed."""
    return value


class FaultySampler(Reference):
    """The reference with some of what it does replaced.

    Args:
        dialect: The dialect, wrong or right.
        fields: How the request is misread.
        stage: What stands in the place of each stage; None for nothing.
        past: What of prompt and output the penalties see.
        answer: What happens to a choice before it leaves.
    """

    name = "mutant"

    def __init__(
        self,
        dialect: Dialect = QSTASH,
        *,
        fields: Callable[[dict[str, Any]], Fields] = same,
        stage: Callable[[Processor], Processor | None] = same,
        past: Callable[[Ids, Ids], tuple[Ids, Ids]] | None = None,
        answer: Callable[[dict[str, Any]], dict[str, Any]] = same,
    ) -> None:
        super().__init__(dialect)
        self._fields, self._stage, self._past, self._answer = fields, stage, past, answer

    def read(self, params: Fields) -> ChatRequest:
        """Misread the fields, then check them."""
        return super().read(self._fields(dict(params)))

    def plan(self, request: ChatRequest) -> StepPlan:
        """Build the stages, then replace them."""
        built = super().plan(request)
        stages = [replaced for stage in built.pipeline if (replaced := self._stage(stage)) is not None]
        return StepPlan(Pipeline(*stages), (), built.arg_max)

    def history(self, asked: Asked) -> History:
        """A past that is not the right one."""
        if self._past is None:
            return super().history(asked)
        return history(*self._past(asked.prompt_ids, asked.output_ids))

    def answer(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Spoil the answer."""
        return self._answer(choice)


@dataclass(frozen=True)
class Mutant:
    """An entry of the catalogue.

    Args:
        name: What it is called.
        wrong: What it does.
        source: Where this was seen, or where it comes from.
        caught_by: The check that must notice it within the draws that it promises.
        make: Makes the sampler, a target for `verify`.
        spared_by: Checks of other matters, which must not find it wrong: what it does wrong is not theirs.
    """

    name: str
    wrong: str
    source: str
    caught_by: str
    make: Callable[[], Reference]
    spared_by: tuple[str, ...] = ()

    def spared(self, findings: Mapping[str, Finding]) -> bool:
        """Whether the checks that it is no business of say nothing against it."""
        return all(findings[name].verdict not in NOTICED for name in self.spared_by)

    def noticed(self, findings: Mapping[str, Finding]) -> bool:
        """Whether its check says that something is wrong: another reading of what the page leaves open counts as well."""
        return findings[self.caught_by].verdict in NOTICED


def instead(kind: type[Processor], change: Callable[[Any], Processor | None]) -> Callable[[Any], Any]:
    """Change the stages of one kind, and leave the others."""
    return lambda stage: change(stage) if isinstance(stage, kind) else stage


def catalogue(*groups: Sequence[Mutant]) -> dict[str, Mutant]:
    """Mutants by name."""
    return {mutant.name: mutant for group in groups for mutant in group}
