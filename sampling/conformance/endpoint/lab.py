"""What a check of an endpoint works with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.prompts import LETTERS, Messages
from sampling.conformance.endpoint.reply import Reply
from sampling.conformance.endpoint.survey import Survey
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.trouble import Malformed, Refused
from sampling.conformance.endpoint.weights import ReferenceWeights, against_weights
from sampling.conformance.semantics import Semantics
from sampling.conformance.typed import typed
from sampling.conformance.verdict import Finding
from sampling.loaded_model import LoadedModel
from sampling.params import integer


class EndpointLab:
    """An endpoint, what is known about it, and what it should do.

    Args:
        target: The endpoint.
        semantics: What it should do.
        seed: Of the kit's own choices, so that a run can be taken up again.
        reference: The weights that the endpoint should serve, for the leg that compares with them.

    Raises:
        InvalidRequest: No such seed, or a reference that is no loaded model.
    """

    def __init__(
        self,
        target: EndpointTarget,
        semantics: Semantics,
        seed: int = 0,
        reference: LoadedModel | None = None,
    ) -> None:
        integer("seed", seed, 0)
        typed("reference", reference, LoadedModel | None, "a model as `sampling.load` gives it, or None")
        self.client, self.semantics = target.client, semantics
        self.reference = None if reference is None else ReferenceWeights(reference, semantics.name)
        self.survey = Survey(target.client, self.reference)
        self.rng = np.random.default_rng(seed)
        self.pools: dict[str, list[NDArray[np.int64]]] = {}  # draws by the question that they are from
        self.effective: dict[str, bool] = {}  # by parameter, as far as it was asked for

    def ask(self, messages: Messages = LETTERS, **fields: Any) -> Reply:
        """Ask for one token, unless the fields say otherwise."""
        return self.survey.ask(messages, **fields)

    def seeds(self) -> dict[str, Any]:
        """A fresh seed as a field, where one is accepted."""
        return {"seed": int(self.rng.integers(2**31))} if self.survey.takes_seed() else {}

    def refuses(self, **fields: Any) -> str:
        """What the endpoint says to a request that it refuses; nothing if it takes it.

        Raises:
            Refused: It refuses even a request that asks for nothing special.
        """
        self.survey.plain()
        try:
            self.ask(**fields)
        except Refused as error:
            return str(error)
        return ""

    @property
    def legs(self) -> tuple[str, ...]:
        """Which comparisons are made."""
        return ("self-consistency",) if self.reference is None else ("self-consistency", "reference weights")

    @property
    def notes(self) -> tuple[str, ...]:
        """What the endpoint's model is, as far as it was looked at, and what it took to ask."""
        spent = f"{self.client.budget.sent} requests were sent"
        if self.reference is None:
            return ("the model's identity was not tested: no reference weights were given", spent)
        try:
            return (against_weights(self.survey, self.reference), spent)
        except CheckEnded as end:
            return (f"the model's identity could not be tested: {end}", spent)


Run = Callable[[EndpointLab], Finding]


def choices_of(reply: Reply, count: int) -> Reply:
    """A reply, if it has as many choices as were asked for.

    Raises:
        Malformed: It has not.
    """
    if len(reply.choices) != count:
        raise Malformed(f"{len(reply.choices)} choices for n = {count}")
    return reply
