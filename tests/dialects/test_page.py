"""The page of dialects says what their data say."""

from __future__ import annotations

from pathlib import Path

from sampling.core.history import Scope
from sampling.dialects import DIALECTS, Dialect, parts

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
SHORT = {
    "logit_bias": "bias",
    "repetition_penalty": "repetition",
    "frequency_penalty": "frequency",
    "presence_penalty": "presence",
    "temperature": "T",
}
EQUAL = {"low": "low ids", "high": "high ids", "all": "all", "arbitrary": "no order"}


def order(dialect: Dialect) -> str:
    return ", ".join(
        " & ".join(SHORT.get(name, name) for name in parts(stage))
        for stage in dialect.order
        if stage != "min_tokens"
    )


def counted(scope: Scope) -> str:
    prompt = "prompt and output" if scope.prompt else "output"
    first = " but the first token" if scope.skipped else ""
    return prompt + first + (f", last {scope.last}" if scope.last else "")


def scopes(dialect: Dialect) -> tuple[str, str]:
    has = {*dialect.stages}
    additive = counted(dialect.penalty_scope) if has & {"frequency_penalty", "presence_penalty"} else "-"
    return counted(dialect.repetition_scope) if "repetition_penalty" in has else "-", additive


def order_row(dialect: Dialect) -> str:
    return f"| `{dialect.name}` | {order(dialect)} | {' | '.join(scopes(dialect))} |"


def rules_row(dialect: Dialect) -> str:
    cells = (
        "stops" if dialect.top_p_stops_at_equality else "one more",
        EQUAL[dialect.top_p_ties],
        EQUAL[dialect.top_k_ties] if "top_k" in dialect.stages else "-",
        dialect.logprob_mode,
        ", ".join(f"{name} {value:g}" for name, value in dialect.defaults) or "-",
        f"{dialect.versions or '-'}; {dialect.seen}",
    )
    return f"| `{dialect.name}` | {' | '.join(cells)} |"


def defects(dialect: Dialect) -> str:
    return "\n".join(
        [f"### {dialect.name}", "", dialect.source + ".", "", *(f"- {one}." for one in dialect.defects)]
    )


def section(title: str) -> str:
    return PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]


def table(title: str) -> list[str]:
    return [line for line in section(title).splitlines() if line.startswith("| `")]


def test_orders() -> None:
    assert table("Orders") == [order_row(one) for one in DIALECTS.values()]


def test_rules() -> None:
    assert table("Boundaries, log probabilities, defaults") == [rules_row(one) for one in DIALECTS.values()]


def test_sources_and_defects() -> None:
    expected = [defects(one).strip() for one in DIALECTS.values()]
    assert [
        f"### {part}".strip() for part in section("Sources and known defects").split("### ")[1:]
    ] == expected
