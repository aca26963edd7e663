"""Timing requests in turns."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from benchmarks.api.requests import BASE, Fields, shown
from benchmarks.api.ways import Parts, Refused, Way, shortfall, tokens_of
from benchmarks.harness.timing import summary

USAGE: Fields = {"stream_options": {"include_usage": True}}
FEWEST = 1  # tokens of the short request
FORMULAS = {
    "per_token": "(seconds of the long request - median seconds of the short one) / (their completion_tokens, subtracted); "
    "the short one has max_tokens = 1, so that prefill and the request's own costs cancel out",
    "request": f"seconds of the short request (max_tokens = {FEWEST}), sent to read",
    "tokens_per_s": "1 / median per_token, all choices together",
    "request_tokens_per_s": "completion_tokens / median seconds of the long request, prefill included",
    "share_of_greedy": "tokens_per_s / greedy's, same model, same way, same run",
    "added_us": "median per_token minus greedy's",
}


@dataclass
class Priced:
    """One parameter, one way.

    Args:
        way: The way.
        parameter: What is switched on.
        fields: The request.
        problem: Why it has no price, if it has none: what is the case, and the reason.
        seconds: Of every call, by its max_tokens.
        tokens: What usage said of every call.
    """

    way: Way
    parameter: str
    fields: Fields
    problem: tuple[str, str] | None = None
    seconds: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    tokens: dict[int, list[int]] = field(default_factory=dict[int, list[int]])

    def prepare(self, most: int) -> None:
        """Ask once, untimed: what is refused or not done is not timed; ask for usage where it does not come by itself."""
        try:
            parts = self.way.ask({**self.fields, "max_tokens": most})
            if tokens_of(parts) is None and self.fields.get("stream"):
                self.fields = {**self.fields, **USAGE}
                parts = self.way.ask({**self.fields, "max_tokens": most})
        except Refused as error:
            self.problem = ("refused", first_line(error))
            return
        self.problem = unusable(self.fields, parts)

    def time(self, limit: int) -> None:
        """Time one call; one that fails now ends the line."""
        fields = {**self.fields, "max_tokens": limit}
        started = time.perf_counter()
        try:
            parts = self.way.ask(fields)
        except Refused as error:
            self.problem = (
                "not_available",
                f"after {len(self.seconds.get(limit, ()))} turns: {first_line(error)}",
            )
            return
        self.seconds.setdefault(limit, []).append(time.perf_counter() - started)
        self.tokens.setdefault(limit, []).append(tokens_of(parts) or 0)


def first_line(error: Refused) -> str:
    """What an error says."""
    return str(error).partition("\n")[0]


def unusable(fields: Fields, parts: Parts) -> tuple[str, str] | None:
    """Why an answer cannot be priced."""
    tokens, missing = tokens_of(parts), shortfall(fields, parts)
    if missing is not None:
        return "ignored", missing
    if tokens is None:
        return "not_available", "the answer has no usage"
    if tokens <= FEWEST * fields.get("n", 1):
        return "not_available", f"the answer has {tokens} tokens"
    return None


def measure(lines: list[Priced], most: int, turns: int, bar: tqdm[Any]) -> list[dict[str, Any]]:
    """Time all lines in turns, a short and a long request each.

    Args:
        lines: What to time.
        most: max_tokens of the long request.
        turns: How often.
        bar: Moved once for each line and turn, and once for its preparation.
    """
    for line in lines:
        bar.set_description(f"{line.way.name}, {line.parameter}")
        line.prepare(most)
        bar.update()
    for _ in range(turns):
        for line in lines:
            bar.set_description(f"{line.way.name}, {line.parameter}")
            for limit in (FEWEST, most):
                if line.problem is None:
                    line.time(limit)
            bar.update()
    return compared([result_of(line, most) for line in lines])


def result_of(line: Priced, most: int) -> dict[str, Any]:
    """A line of the result, or why it has no figures."""
    told = {"way": line.way.name, "parameter": line.parameter, "fields": shown(line.fields)}
    if line.problem is not None:
        return {**told, line.problem[0]: line.problem[1]}
    first, long = statistics.median(line.seconds[FEWEST]), line.seconds[most]
    more = [count - statistics.median(line.tokens[FEWEST]) for count in line.tokens[most]]
    if min(more) <= 0:
        return {**told, "not_available": f"an answer of {min(line.tokens[most])} tokens"}
    per_token = summary([(each - first) / count for each, count in zip(long, more, strict=True)])
    return {
        **told,
        "calls": len(long),
        "completion_tokens": sorted(set(line.tokens[most])),
        "per_token": per_token,
        "request": summary(line.seconds[FEWEST]),
        "tokens_per_s": 1e6 / per_token["median_us"],
        "request_tokens_per_s": statistics.median(line.tokens[most]) / statistics.median(long),
    }


def compared(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add what each parameter leaves of greedy's speed, and what it adds to a token."""
    base = {line["way"]: line for line in lines if line["parameter"] == BASE and "per_token" in line}
    for line in lines:
        if "per_token" in line and line["way"] in base:
            greedy = base[line["way"]]
            line["share_of_greedy"] = line["tokens_per_s"] / greedy["tokens_per_s"]
            line["added_us"] = line["per_token"]["median_us"] - greedy["per_token"]["median_us"]
    return lines
