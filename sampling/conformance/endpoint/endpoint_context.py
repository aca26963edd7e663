"""What a check of an endpoint works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np

from sampling.chat.loaded_model import LoadedModel
from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.duel import Duel
from sampling.conformance.endpoint.profile import EndpointProfile
from sampling.conformance.endpoint.prompts import LETTERS, Messages
from sampling.conformance.endpoint.reply import Reply
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.trouble import Malformed
from sampling.conformance.endpoint.weights import ReferenceWeights, against_weights
from sampling.conformance.proof import replay_of
from sampling.conformance.semantics import Semantics
from sampling.conformance.trace.logits import OF_MODEL, logits_of_model
from sampling.conformance.trace.record import Record
from sampling.conformance.trace.replay import RuleReplay
from sampling.conformance.trace.whole_answers import answers_of
from sampling.conformance.typed import typed
from sampling.conformance.verdict import Finding
from sampling.core.errors import InvalidArgument
from sampling.core.params import integer
from sampling.sampler.rules import Rule, checked_rule

ANSWERS, LENGTH = 16, 16  # whole answers that are replayed, and the tokens of each


class EndpointContext:
    """An endpoint, what is known about it, and what it should do.

    Args:
        target: The endpoint.
        semantics: What it should do.
        seed: Of the kit's own choices, so that a run can be taken up again.
        reference: The weights that the endpoint should serve, for the leg that compares with them, and for replays.
        rule: The rule that the endpoint draws by; to be replayed, it takes the reference.

    Raises:
        InvalidArgument: No such seed or rule, or a reference that is no loaded model.
    """

    def __init__(
        self,
        target: EndpointTarget,
        semantics: Semantics,
        seed: int = 0,
        reference: LoadedModel | None = None,
        rule: Rule | None = None,
    ) -> None:
        integer("seed", seed, 0)
        typed("reference", reference, LoadedModel | None, "a model as `sampling.load` gives it, or None")
        self.rule: Rule | None = None if rule is None else checked_rule(rule)
        if rule is not None and reference is None:
            raise InvalidArgument("rule", rule, "left out: without reference weights nothing can be replayed")
        self.client, self.semantics, self.seed = target.client, semantics, seed
        self._target, self.logits_of = target, None if reference is None else logits_of_model(reference)
        self.reference = None if reference is None else ReferenceWeights(reference, semantics.name)
        self.profile = EndpointProfile(target.client, self.reference, semantics)
        self.rng = np.random.default_rng(seed)
        self.pools: dict[str, list[Reply]] = {}  # responses by the case that they are to
        self.thresholds: dict[Duel, list[float]] = {}  # as far as they were measured
        self.ways: dict[bool, Mapping[str, Any]] = {}  # to the most likely token, at temperatures or not
        self.unreplayed = ""  # in words, why the rule was of no use
        self.defaults: tuple[str, ...] = ()  # in words, once they were looked for
        self.effective: dict[str, bool] = {}  # by parameter, as far as it was asked for

    def ask(self, messages: Messages = LETTERS, **fields: Any) -> Reply:
        """Ask for one token, unless the fields say otherwise."""
        return self.profile.ask(messages, **fields)

    def ask_all(self, requests: Sequence[Mapping[str, Any]], messages: Messages = LETTERS) -> list[Reply]:
        """Ask several things of one context, as many at a time as may be.

        Raises:
            CheckEnded: One of them has no response.
        """
        return [
            reply_of(reply) for reply in self.profile.ask_all([(messages, fields) for fields in requests])
        ]

    def seeds(self) -> dict[str, Any]:
        """Return a fresh seed as a field, where one is accepted."""
        return {"seed": int(self.rng.integers(2**31))} if self.profile.takes_seed() else {}

    def seed_of(self, case: str, number: int) -> dict[str, Any]:
        """Return the seed of a case's numbered request as a field, where one is accepted; no other request changes it."""
        if not self.profile.takes_seed():
            return {}
        dice = np.random.default_rng([self.seed, number, crc32(case.encode())])
        return {"seed": int(dice.integers(2**31))}

    def refuses(self, **fields: Any) -> str:
        """Return what the endpoint says to fields, as they are, that it refuses; nothing if it takes them.

        Raises:
            Refused: It refuses even a request that asks for nothing special.
        """
        self.profile.plain()
        return self.profile.manners.refusal(fields)

    @cached_property
    def answers(self) -> list[Record]:
        """Whole answers with their token ids; none where the endpoint does not tell them."""
        try:
            return [*islice(answers_of(self._target, self.seed, LENGTH), ANSWERS)]
        except (InvalidArgument, CheckEnded) as why:
            self.unreplayed = f"nothing was replayed: {why}"
            return []

    @cached_property
    def replayed(self) -> RuleReplay | None:
        """What whole answers say about the rule; None where it is not known, or nothing can be replayed."""
        if self.rule is None or self.logits_of is None or not self.answers:
            return None
        try:
            return replay_of(self.answers, self.logits_of, self.rule, self.semantics.name, OF_MODEL)
        except InvalidArgument as why:
            self.unreplayed = f"nothing was replayed: {why}"
            return None

    @property
    def legs(self) -> tuple[str, ...]:
        """Which comparisons are made."""
        return ("self-consistency",) if self.reference is None else ("self-consistency", "reference weights")

    @property
    def notes(self) -> tuple[str, ...]:
        """What the endpoint's model is, as far as it was looked at, and what it took to ask."""
        identity = self._identity()
        spent = f"{self.client.budget.sent} requests were sent"
        unreplayed = (self.unreplayed,) if self.unreplayed else ()
        return (identity, *unreplayed, *self.defaults, *self.profile.manners.notes, spent)

    def _identity(self) -> str:
        """Return what the endpoint's model is, as far as it was looked at."""
        if self.reference is None:
            return "the model's identity was not tested: no reference weights were given"
        try:
            return against_weights(self.profile, self.reference)
        except CheckEnded as end:
            return f"the model's identity could not be tested: {end}"


Run = Callable[[EndpointContext], Finding]


def reply_of(reply: Reply | CheckEnded) -> Reply:
    """Return a response, or the end of the check where there is none."""
    if isinstance(reply, CheckEnded):
        raise reply
    return reply


def choices_of(reply: Reply, count: int) -> Reply:
    """Return a reply, if it has as many choices as were asked for.

    Raises:
        Malformed: It has not.
    """
    if len(reply.choices) != count:
        raise Malformed(f"{len(reply.choices)} choices for n = {count}")
    return reply
