"""A report in the terminal, as JUnit XML and as one HTML page."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import pytest
from rich.console import Console

from sampling.conformance.identity import Exclusion, Identification
from sampling.conformance.render.html import html
from sampling.conformance.render.junit import junit
from sampling.conformance.render.methods import methods
from sampling.conformance.render.terminal import print_report
from sampling.conformance.report import Header, Report
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Finding, Verdict

EVIL = "<script>alert('&')</script> \x00\x1b[31m \ud800 [bold]"


@pytest.fixture
def report() -> Report:
    """One check for every verdict, in words that want to break out."""
    findings = {
        name: Finding(
            verdict, f"{EVIL} {number}", number, "detects <all>", e_values={"a": 10.0**number, "b": math.inf}
        )
        for number, (name, verdict) in enumerate(zip(CHECKS, Verdict, strict=False))
    }
    found = Identification(
        ("qstash",), {"llama.cpp": Exclusion(1e9, 53, "e-value 1e9 after 53 draws")}, {}, 53
    )
    header = Header("qstash", "an <engine>", "1 & 2", "endpoint", ("self-consistency",))
    return Report(header, found, findings, ("a note",))


def test_the_terminal_shows_every_check_and_the_headline(report: Report):
    text = io.StringIO()
    print_report(report, Console(file=text, width=200))
    shown = text.getvalue()
    for name, finding in report.checks.items():
        assert re.search(rf"{re.escape(name)} +{re.escape(finding.verdict.value)}", shown)
    assert "llama.cpp excluded, e-value 1e9 after 53 draws" in shown


def test_the_terminal_tells_what_would_have_been_noticed_at_eighty_columns(report: Report):
    text = io.StringIO()
    print_report(report, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert lines.count("    detects: detects <all>") == len(report.checks)
    assert max(map(len, lines)) <= 80


def test_what_a_target_says_does_nothing_to_a_terminal_or_a_file(report: Report):
    report = replace(report, header=replace(report.header, target=f"one {EVIL}", target_version=EVIL))
    text = io.StringIO()
    print_report(report, Console(file=text, width=200))
    for shown in (text.getvalue(), methods(report), html(report), junit(report)):
        assert r"\x00\x1b[31m \ud800" in unescape(shown)
        assert all(c.isprintable() or c in "\n\t" for c in shown)


def test_junit_joins_the_legs(report: Report):
    legs = ("self-consistency", "reference weights")
    header = replace(report.header, legs=legs)
    suite = Xml.fromstring(junit(replace(report, header=header)))
    told = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert told["legs"] == "self-consistency, reference weights"


def test_junit_counts_and_names(report: Report):
    suite = Xml.fromstring(junit(report))
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [*report.checks]
    counted = {kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")}
    assert counted == {"failure": 2, "error": 1, "skipped": 3}
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["7", "2", "1", "3"]


class Seen(HTMLParser):
    """Notes tags and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.tags.append(tag)
        names = ("src", "href", "xlink:href")
        self.loads += [
            value for name, value in attrs if name in names and value and not value.startswith("#")
        ]


def test_html_is_one_page_with_its_plots_inside(report: Report):
    page = html(report)
    seen = Seen()
    seen.feed(page)
    assert seen.loads == []
    assert "script" not in seen.tags
    assert seen.tags.count("svg") == 2
    assert page.count('class="verdict"') == len(report.checks)
    assert methods(report)[:40] in unescape(page)


def test_methods_name_the_target_the_levels_and_the_legs(report: Report):
    text = methods(report)
    for words in (
        "an <engine> (1 & 2)",
        "1,000,000",
        "1e-06",
        "0.99",
        "self-consistency",
        "21 sampled tokens",
    ):
        assert words in text
