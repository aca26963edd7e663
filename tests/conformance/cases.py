"""Endpoints of letters with one fault, or right in a manner of their own, and what the checks must say about each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import numpy as np
from conformance.letters import FIRST, LOGITS, lettered
from conformance.proxy import Fields
from conformance.quirks import QUIRKS, Quirk, defaults, without
from conformance.transports import answering

from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.report import Report
from sampling.conformance.semantics import Semantics, moved
from sampling.conformance.verdict import Verdict
from sampling.conformance.verify import verify
from sampling.core.history import PROMPT_AND_OUTPUT
from sampling.dialects.qstash import QSTASH

Make = Callable[[], EndpointTarget]

WRONG = (Verdict.DEVIATES, Verdict.IGNORED)


@dataclass(frozen=True)
class Case:
    """An endpoint and what must be said about it.

    Args:
        name: What it does.
        make: Makes it, new each time.
        told: The verdict that each of these checks must give.
        words: Parts of the evidence or of a note.
        near: Checks that must not blame anything on it, whatever they say.
        dialect: What it is judged by.
    """

    name: str
    make: Make
    told: Mapping[str, Verdict]
    words: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    dialect: str = "qstash"

    def judged(self, seed: int = 0, target: EndpointTarget | None = None) -> Report:
        """What its checks say, under a seed of their own; of a target that was made before, or a new one."""
        return verify(target or self.make(), self.dialect, checks=[*self.told, *self.near], seed=seed)

    def misjudged(self, report: Report) -> dict[str, str]:
        """What a report says otherwise than it must, with its evidence; nothing when all is right."""
        found = report.checks
        wrong = {name for name, verdict in self.told.items() if found[name].verdict is not verdict}
        wrong |= {name for name in self.near if found[name].verdict in WRONG}
        said = "\n".join([*(finding.evidence for finding in found.values()), *report.notes])
        unsaid = {word: f"said nowhere: {said}" for word in self.words if word not in said}
        return {**{name: f"{found[name].verdict}: {found[name].evidence}" for name in wrong}, **unsaid}


def lost(name: str) -> Quirk:
    """A field gets lost."""
    return lambda asked: {key: value for key, value in asked.items() if key != name}


def greedy(asked: Fields) -> Fields:
    """Gives the arg max at every temperature."""
    return {**asked, "temperature": 0}


def presence_counts(asked: Fields) -> Fields:
    """A presence penalty acts as a frequency penalty."""
    changed = lost("presence_penalty")(asked)
    return (
        {**changed, "frequency_penalty": asked["presence_penalty"]}
        if "presence_penalty" in asked
        else changed
    )


def clamped(asked: Fields) -> Fields:
    """Biases beyond 100 become 100."""
    biases = asked.get("logit_bias")
    if not isinstance(biases, dict):
        return lost("logit_bias")(asked)
    return {**asked, "logit_bias": {token: max(-100, min(100, bias)) for token, bias in biases.items()}}


def unclamped(asked: Fields) -> Fields:
    """Biases beyond 100 get lost, with all others of the request."""
    biases = asked.get("logit_bias")
    if not isinstance(biases, dict) or any(abs(bias) > 100 for bias in biases.values()):
        return lost("logit_bias")(asked)
    return asked


def seeded(change: Callable[[int], Any]) -> Quirk:
    """Seeds become others."""
    return lambda asked: (
        {**asked, "seed": change(asked["seed"])} if isinstance(asked.get("seed"), int) else asked
    )


class Following:
    """Choice i of seed s is choice 0 of seed s + i, as vLLM has it; seeds may have 32 bits."""

    def __init__(self, bits: int = 64) -> None:
        self.inner, self.bits = lettered(), bits

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)
        n, seed = asked.pop("n", 1), asked.pop("seed", None)
        del asked["model"]
        seeds = [{} if seed is None else {"seed": (seed + index) % 2**self.bits} for index in range(n)]
        told = [self.inner.client.ask(**asked, **given) for given in seeds]
        choices = [{**reply.choices[0].model_dump(), "index": i} for i, reply in enumerate(told)]
        return httpx2.Response(200, json={"choices": choices})


class Served(httpx2.AsyncBaseTransport):
    """The endpoint of letters, and what becomes of its connections and responses.

    Args:
        ask: What becomes of a request.
    """

    def __init__(self, ask: Quirk = dict) -> None:
        self.served = lettered(ask).client._transport  # pyright: ignore[reportPrivateUsage]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask the endpoint of letters."""
        return await self.served.handle_async_request(request)  # pyright: ignore[reportOptionalMemberAccess]


class Endless(Served):
    """Streams come without their end mark."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask the endpoint of letters, and leave the end mark out."""
        told = await super().handle_async_request(request)
        text = (await told.aread()).decode().removesuffix("data: [DONE]\n\n")
        return httpx2.Response(told.status_code, text=text)


class Restarting(Served):
    """Connections that each begin the same stream; closing them ends it."""

    def __init__(self) -> None:
        super().__init__(self.numbered)
        self.number = 0

    def numbered(self, asked: Fields) -> Fields:
        """The seed that a request has in its connection."""
        self.number += 1
        return {"seed": 1000 + self.number, **asked}

    async def aclose(self) -> None:
        """Begin the stream anew."""
        self.number = 0


def staying() -> EndpointTarget:
    """A seed stays for those who give none."""
    last = [0, 10**6]

    def ask(asked: Fields) -> Fields:
        if asked.get("seed") is None:
            last[0] += 1
            last[1] += 0 if last[0] else 1
            return {**asked, "seed": last[1] + last[0]}
        last[:] = [0, asked["seed"]]
        return asked

    return lettered(ask)


def score(choice: Fields) -> float:
    """The log probability of a choice's first token."""
    return choice["logprobs"]["content"][0]["logprob"]


def unlisted(asked: Fields, told: Fields) -> Fields:
    """Entries have no token where no alternatives are asked for, as mlx_lm.server's."""
    if not asked.get("top_logprobs"):
        for choice in told["choices"]:
            for entry in (choice["logprobs"] or {}).get("content", []):
                del entry["token"]
    return told


BROKEN = "\ufffd"


def whole_characters(asked: Fields, told: Fields) -> Fields:
    """Tokens that are no letters are parts of characters: shown as nothing, and in a message once a letter follows."""
    del asked
    for choice in told["choices"]:
        choice["message"]["content"] = choice["message"]["content"].replace("?", BROKEN).rstrip(BROKEN)
        for position in (choice["logprobs"] or {}).get("content", []):
            for entry in (position, *position["top_logprobs"]):
                if entry["token"] == "?":
                    entry |= {"token": "", "bytes": []}
    return told


CITY = "Ankara, once Angora, is the capital"


def stopping(keeps: bool) -> Callable[[Fields, Fields], Fields]:
    """The likeliest answers are one text, which ends before a stop string; what looked like its beginning may be lost."""

    def answer(asked: Fields, told: Fields) -> Fields:
        text = CITY
        for stop in asked.get("stop", ()):
            before, found, _ = text.partition(stop)
            text = before if keeps or not found else before.replace(stop[:1], "")
        if asked.get("temperature") == 0:
            told["choices"][0]["message"]["content"] = text
        return told

    return answer


def by_score(asked: Fields, told: Fields) -> Fields:
    """Choices come with the likeliest first, where log probabilities are asked for."""
    del asked
    if all(choice["logprobs"] for choice in told["choices"]):
        told["choices"].sort(key=score, reverse=True)
    return told


NULL = Semantics.of(QSTASH)
STEEP = LOGITS.copy()
STEEP[FIRST : FIRST + 12] = -0.7 * np.random.default_rng(0).permutation(12)
STEEP[FIRST + 12 :] = -40.0

# Faults in what is drawn, each by the check that must find it.
TRUNCATIONS = {
    "truncation.temperature-order": replace(NULL, order=moved(NULL.order, "temperature", after="top_p")),
    "truncation.min-p-order": replace(NULL, order=moved(NULL.order, "min_p", before="temperature")),
    "truncation.crossing-token": replace(NULL, crossing_tokens=-1),
    "truncation.top-k": replace(NULL, top_k_offset=1),
    "temperature.scale": replace(NULL, highest_temperature=1.0),
}
PENALTIES = {
    "penalties.presence-scope": replace(NULL, presence_counts=PROMPT_AND_OUTPUT),
    "penalties.frequency-counts": replace(NULL, presence_multiplies=True),
    "penalties.temperature-order": replace(
        NULL, order=moved(NULL.order, "presence_penalty", after="temperature")
    ),
}


def unbiased(semantics: Semantics = NULL, **changes: Any) -> Make:
    """Endpoints that refuse biases, so that they are judged in contexts as they are."""
    return lambda: lettered(without("logit_bias"), logits=STEEP, semantics=semantics, **changes)


def asking(ask: Quirk) -> Make:
    """Endpoints that do something to requests."""
    return lambda: lettered(ask)


def answers(answer: Callable[[Fields, Fields], Fields]) -> Make:
    """Endpoints that do something to answers."""
    return lambda: lettered(answer=answer)


SEEDS, UNSEEDED = "randomness.seeds-differ", "randomness.unseeded-vary"
CHOICES = "randomness.choices-differ"
COUNTS, SCOPE = "penalties.frequency-counts", "penalties.presence-scope"
FATES = "output.parameters"
PASSED_OVER = {FATES: Verdict.IGNORED}  # the endpoint of letters knows no stop and no response_format


def deviates(check: str, *others: str) -> dict[str, Verdict]:
    """One check finds a deviation, and others none."""
    return {**dict.fromkeys(others, Verdict.CONFORMS), check: Verdict.DEVIATES}


def of_seeds() -> tuple[Case, ...]:
    """Rules of seeds, and streams of requests without one."""
    named = {
        "one seed for all": (lambda _: 1, "one seed for all"),
        "seeds of 32 bits": (lambda seed: seed % 2**32, "s + 2^32 give what s gives"),
        "seeds of 31 bits": (lambda seed: seed % 2**31, "s + 2^31 and s + 2^32 give"),
        "seeds without a sign": (abs, "-s give what s gives"),
    }
    rules = (
        Case(name, asking(seeded(rule)), deviates(SEEDS), (words,)) for name, (rule, words) in named.items()
    )
    none = seeded(lambda seed: None if seed == -1 else seed)
    begun = "every connection begins the same stream"
    same = "every request without a seed has the same one, 42"
    return (
        *rules,
        Case("a seed of -1 is none", asking(none), {SEEDS: Verdict.CONFORMS}, ("a seed of -1 is none",)),
        Case("choice i has seed s + i", following(), deviates(SEEDS, CHOICES), ("choice i of seed s",)),
        Case(
            "the same, seeds of 32 bits",
            following(32),
            deviates(SEEDS, CHOICES),
            ("choice i of seed s", "s + 2^32 give what s gives"),
        ),
        *(
            Case(f"the same, in the dialect {name}", following(), {SEEDS: Verdict.CONFORMS}, dialect=name)
            for name in ("vllm", "llama.cpp")
        ),
        Case("unseeded requests have a seed", asking(defaults(seed=42)), deviates(UNSEEDED), (same,)),
        Case("connections begin a stream anew", served(Restarting), deviates(UNSEEDED), (begun,)),
        Case("a seed stays", staying, deviates(UNSEEDED), ("a seed stays",)),
    )


def following(bits: int = 64) -> Make:
    """Endpoints whose choices have the seeds behind."""
    return lambda: answering(Following(bits))


def served(kind: Callable[[], Served]) -> Make:
    """Endpoints of a kind."""
    return lambda: EndpointTarget("http://a", model="m", transport=kind())


def of_draws() -> tuple[Case, ...]:
    """Faults that named readings and other questions than before show."""
    sorted_ = {
        CHOICES: Verdict.AMBIGUOUS,
        "randomness.uniformity": Verdict.CONFORMS,
        "truncation.top-k": Verdict.CONFORMS,
    }
    colds = ("temperature.scale", "truncation.disabled", "truncation.min-p-order")
    return (
        *(
            Case(f"always the arg max, {check}", asking(greedy), deviates(check), ("always the arg max",))
            for check in colds
        ),
        Case("presence is ignored", asking(lost("presence_penalty")), {SCOPE: Verdict.IGNORED}),
        Case("frequency is ignored", asking(lost("frequency_penalty")), {COUNTS: Verdict.IGNORED}),
        Case("presence counts", asking(presence_counts), deviates(COUNTS)),
        Case("penalties as they should be", lettered, {COUNTS: Verdict.CONFORMS, SCOPE: Verdict.CONFORMS}),
        Case("choices come sorted", answers(by_score), sorted_, ("sorted by score",)),
    )


def of_biases() -> tuple[Case, ...]:
    """Biases that are refused, ignored or clamped, and faults that are found without them."""
    refused = dict.fromkeys(("bias.force", "bias.ban"), Verdict.UNSUPPORTED)
    ignored = {"bias.force": Verdict.IGNORED, "bias.ban": Verdict.NOT_TESTABLE}
    names = ("temperature.scale", *TRUNCATIONS)
    deaf = replace(NULL, ignores=frozenset({"presence_penalty"}))
    return (
        Case("biases are refused", asking(without("logit_bias")), refused, ("logit_bias: got",)),
        Case("biases are ignored", asking(lost("logit_bias")), ignored),
        Case("a bias of 101 is clamped", asking(clamped), PASSED_OVER, ('logit_bias {"1": 101} (clamped)',)),
        Case("biases are refused, and all else is right", unbiased(), dict.fromkeys(names, Verdict.CONFORMS)),
        *(
            Case(
                f"biases are refused, and {check} is wrong",
                unbiased(fault),
                deviates(check, *names),
            )
            for check, fault in TRUNCATIONS.items()
        ),
        *(
            Case(f"biases are refused, and {check} is wrong", unbiased(fault), deviates(check))
            for check, fault in PENALTIES.items()
        ),
        Case("biases are refused, and presence is ignored", unbiased(deaf), {SCOPE: Verdict.IGNORED}),
    )


# Of each form in which alone an endpoint takes things: the note that says so.
FORMS = {
    "top_logprobs up to 5": "refuses top_logprobs above 5",
    "no top_logprobs": "refuses top_logprobs (",
    "max_completion_tokens alone": "max_completion_tokens was sent instead",
    "one choice": "refuses n above 1",
    "four choices": "refuses n above 4",
    "one choice at temperature 0": "refuses n = 16 at temperature 0",
    "no whole biases": "",  # biases are written as 100.0 in any case; output.parameters asks for whole ones
    "temperature or top_p": "refuses top_p (",
    "16 tokens at least": "refuses max_tokens below 16",
    "the fields of OpenAI alone": "refuses top_k and min_p and repetition_penalty",
}
BOTH = {"bias.force": Verdict.CONFORMS, "temperature.zero": Verdict.CONFORMS}
CHECKS = (
    "truncation.crossing-token",
    "reported.distribution",
    "reported.mass",
    "reported.bytes",
    "output.finish-reason",
)


def of_manners() -> tuple[Case, ...]:
    """Right endpoints that refuse something, or have defaults of their own."""
    own = defaults(temperature=0.6, top_p=0.9)
    inform = ("defaults are in force", "temperature of about 0.", "top_p of about 0.")
    whole = "refuses whole numbers in logit_bias"
    return (
        *(
            Case(name, asking(QUIRKS[name]), BOTH, (note,), near=tuple(near_to(name)))
            for name, note in FORMS.items()
        ),
        Case("no whole biases, asked for", asking(QUIRKS["no whole biases"]), PASSED_OVER, (whole,)),
        Case(
            "defaults of 0.6 and 0.9",
            asking(own),
            {"temperature.scale": Verdict.CONFORMS, **PASSED_OVER},
            inform,
        ),
    )


def near_to(form: str) -> list[str]:
    """The checks of a form; drawing one token at a time by 16 takes too long."""
    slow = "truncation.crossing-token" if form.startswith("16") else ""
    return [check for check in CHECKS if check != slow]


LISTS = ("reported.mass", "reported.chosen-is-listed", "reported.count", "reported.bytes")


def of_answers() -> tuple[Case, ...]:
    """Answers without what was asked for, or in another form."""
    count, parts, stop = "reported.count", "reported.bytes", "output.stop-left-out"
    unlogged = asking(lambda asked: lost("logprobs")(lost("top_logprobs")(asked)))
    ignored = dict.fromkeys(LISTS, Verdict.IGNORED)
    formless = ("0 asked: an entry without `token`",)
    shown = answers(whole_characters)
    return (
        Case("n is ignored", asking(lost("n")), {CHOICES: Verdict.IGNORED}, ("one choice comes for n = 8",)),
        Case("log probabilities do not come", unlogged, ignored, near=CHECKS[:1]),
        Case("an entry without its token", answers(unlisted), deviates(count), formless),
        Case("parts of characters have no bytes", shown, deviates(parts), ("the bytes go on with",)),
        Case("the same, in vLLM's dialect", shown, {parts: Verdict.CONFORMS}, dialect="vllm"),
        Case(
            "streams have no end mark", served(Endless), deviates("output.finish-reason"), ("without [DONE]",)
        ),
        Case("stop strings stop", answers(stopping(True)), {stop: Verdict.CONFORMS}),
        Case("the beginning of a stop string is lost", answers(stopping(False)), deviates(stop)),
    )


CASES = (*of_seeds(), *of_draws(), *of_biases(), *of_manners(), *of_answers())
