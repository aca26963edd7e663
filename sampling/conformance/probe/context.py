"""What a check of a probe works with.

The last token chooses the logits, and a row's own tokens lead back to it: an answer of many tokens is as many draws from one
case.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.case_context import QUICK, SEEDS, CaseContext, DrawBudget
from sampling.conformance.comparison import Comparison, ignored
from sampling.conformance.endings import CheckEnded, CouldNotRun, NotTestable, Refused
from sampling.conformance.endpoint.trouble import Malformed
from sampling.conformance.fixtures import STRONG, Sizes, after_past, spaced
from sampling.conformance.oracle import probabilities
from sampling.conformance.probe.engine import Ask, Choices
from sampling.conformance.probe.questions import sizes_on
from sampling.conformance.probe.target import ProbeTarget
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.verdict import Verdict
from sampling.dialects import PENALTIES
from sampling.probe.arrival import STEP, what_changed
from sampling.probe.rows import key_of

LEAST, LONGEST = 16, 64  # tokens of a choice
TOGETHER = (16, 4, 1)  # choices of a request, tried in turn
AT_ONCE = 8  # requests
WAYS: tuple[Mapping[str, Any], ...] = ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-6})  # to the arg max
FLAT = spaced(0.1)


class ProbeContext(CaseContext):
    """An engine that has loaded a probe, and what it should do; arguments and errors are those of `CheckContext`."""

    legs = ("probe",)

    def __init__(
        self, target: ProbeTarget, semantics: Semantics, depth: DrawBudget | None = None, seed: int = 0
    ) -> None:
        super().__init__(semantics, QUICK if depth is None else depth, seed)
        self.target, self.probe, self.engine = target, target.probe, target.engine
        self.engine.speak(semantics)
        self._left: dict[SamplingCase, list[int]] = {}  # draws that nobody has asked for yet
        self.requests = self.sampled = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What it took."""
        return (f"{self.requests} requests were asked, and {self.sampled} tokens sampled",)

    @cached_property
    def sizes(self) -> Sizes:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The sizes of rows that the probe has."""
        return sizes_on(len(self.probe.texts))

    # -- the load -----------------------------------------------------------------------------------------------------

    def reach(self) -> None:
        """Check that the checkpoint arrived unchanged, by the most likely token of each state.

        Raises:
            CouldNotRun: In no way to the arg max it did; the message says what was done to it, or that there is none.
        """
        changes: list[str] = []
        ends: list[CheckEnded] = []
        for way in WAYS:
            try:
                changes.append(what_changed(self.probe, self._most_likely(way)))
            except CheckEnded as end:
                ends.append(end)
                continue
            if not changes[-1]:
                return
        if changes:
            raise CouldNotRun(f"the checkpoint did not arrive as it was written: {changes[0]}")
        raise CouldNotRun(f"the engine has no way to the arg max: {ends[0]}") from ends[0]

    def _most_likely(self, way: Mapping[str, Any]) -> dict[int, int]:
        """Return the token that comes in each state under parameters that take the arg max.

        Raises:
            CheckEnded: They are not taken.
        """
        states = self.probe.states
        first = next(place for place, state in enumerate(states) if state.name.startswith(STEP))
        lone = [place for place, state in enumerate(states) if not state.name.startswith(STEP)]
        self.ask_all([Ask(states[0].tokens[:1], way)])
        asks = [Ask(states[first].tokens[:1], way, len(states) - len(lone))]
        asks += [Ask(states[place].tokens[:1], way) for place in lone]
        seen: dict[int, int] = {}
        for place, told in zip((first, *lone), self.ask_all(asks), strict=True):
            for state, token in self.walk(told[0], place):
                seen.setdefault(state, token)
        return seen

    # -- asking -------------------------------------------------------------------------------------------------------

    def ask_all(self, asks: Sequence[Ask]) -> list[Choices]:
        """Ask several things.

        Raises:
            CheckEnded: One of them has no answer.
        """
        self.requests += len(asks)
        told: list[Choices] = []
        for answer in self.engine.answer(asks):
            if isinstance(answer, CheckEnded):
                raise answer
            told.append(answer)
        self.sampled += sum(len(choice) for choices in told for choice in choices)
        return told

    @cached_property
    def takes_seeds(self) -> bool:
        """Whether a plain request with a seed is answered."""
        try:
            self.ask_all([Ask(self.entry(FLAT), seed=1)])
        except CheckEnded:
            return False
        return True

    @cached_property
    def together(self) -> int:
        """How many different choices a request gives."""
        for n in TOGETHER[:-1]:
            with suppress(Refused, Malformed, CouldNotRun):
                (choices,) = self.ask_all([Ask(self.entry(FLAT), {}, LONGEST, n, *self.seeds(1))])
                if len({tuple(choice) for choice in choices}) > 1:
                    return n
        return TOGETHER[-1]

    def state_of(self, case: SamplingCase) -> int:
        """Return the state that says a case's logits, before or after they were placed.

        Raises:
            NotTestable: None does.
        """
        found = self._state_by_key.get(key_of(case.logits))
        if found is None:
            raise NotTestable("the probe has no state with these logits")
        return found

    @cached_property
    def _state_by_key(self) -> Mapping[str, int]:
        placed = {key_of(row): place for place, row in enumerate(self.probe.logits)}
        return {**self.probe.by_key, **placed}

    def entry(self, logits: NDArray[np.float32]) -> tuple[int, ...]:
        """Return a prompt behind which some logits are said."""
        return self.probe.states[self.state_of(SamplingCase(logits))].tokens[:1]

    def walk(self, tokens: Sequence[int], state: int) -> Iterator[tuple[int, int]]:
        """Yield the tokens of an answer, each with the state that it came from."""
        for token in tokens:
            yield state, token
            state = int(self.probe.leads_to[token])

    # -- cases --------------------------------------------------------------------------------------------------------

    def can_ask(self, case: SamplingCase) -> bool:
        """Whether a case has neither biases nor a past that counts, and its logits are there."""
        counts = {"logit_bias", *PENALTIES} & case.params.keys()
        return not counts and key_of(case.logits) in self._state_by_key

    def posed(self, case: SamplingCase) -> SamplingCase:
        """Return a case on the probe's vocabulary; a past of which nothing counts is left out."""
        return SamplingCase(self.probe.logits[self.state_of(case)], case.params)

    def draws(self, case: SamplingCase, count: int) -> NDArray[np.int64]:
        """Tokens of a case that was posed."""
        left = self._left.setdefault(case, [])
        state = self.state_of(case)
        length = self._length(case, state)
        n = 1 if case.params.get("temperature") == 0 else self.together
        while len(left) < count:
            missing = math.ceil((count - len(left)) / n)
            each = min(length, max(missing, LEAST))
            asks = [
                Ask(self.probe.states[state].tokens[:1], case.params, each, n, seed)
                for seed in self.seeds(min(AT_ONCE, math.ceil(missing / each)))
            ]
            for choices in self.ask_all(asks):
                for choice in choices:
                    left += [token for at, token in self.walk(choice, state) if at == state]
        drawn, self._left[case] = left[:count], left[count:]
        return np.array(drawn, dtype=np.int64)

    def _length(self, case: SamplingCase, state: int) -> int:
        """Return how many tokens of a choice are likely to be draws from a case."""
        stays = float(probabilities(case, self.semantics)[self.probe.leads_to == state].sum())
        return LONGEST if stays >= 1 else min(LONGEST, math.ceil(1 / (1 - stays)))

    # -- effects ------------------------------------------------------------------------------------------------------

    def acts(self, name: str) -> bool:
        """Whether a parameter that the dialect has changes by itself what is drawn."""
        if name not in PENALTIES:
            return super().acts(name)
        if name not in self._acting:
            from sampling.conformance.probe.paths import along_paths

            strong = replace(after_past(), params={name: STRONG[name]})
            comparison = Comparison(null={"own": self.semantics}, alternatives=ignored(self.semantics, name))
            self._acting[name] = along_paths(self, comparison, [strong]).verdict is not Verdict.IGNORED
        return self._acting[name]

    def seeded(self, count: int) -> list[int]:
        """Return different seeds."""
        return [int(seed) for seed in self.rng.choice(SEEDS, size=count, replace=False)]
