"""The examples in docs/ do what they show, its links and commands lead somewhere, and its reference is whole.

`make docs` builds the site, with warnings as errors; here is what can be tested without building it.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest

import sampling
from sampling.cli.main import parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [
    *PAGES,
    *ROOT.glob("*.md"),
    *(ROOT / "benchmarks").glob("*.md"),
    *(ROOT / "notebooks").glob("*.[im]*"),
]
CODE = [
    path
    for folder in ("sampling", "kernels", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]
RECORDED = {
    json.loads(path.read_text()).get("command") for path in (ROOT / "benchmarks" / "results").glob("*.json")
}
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="a source distribution holds no docs")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose_of(path: Path) -> str:
    """Return the Markdown of a page or a notebook."""
    if path.suffix == ".md":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def today(page: Path) -> str:
    """Return a page without the commands that results were recorded with, which are those of their commits."""
    lines = page.read_text().splitlines()
    return "\n".join(line for line in lines if line.strip() not in RECORDED)


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text()], ids=name_of)
def test_examples(page: Path) -> None:
    if page.parent.name == "adapters" and page.stem != "token_bitmask":
        pytest.importorskip(page.stem)  # its host
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testfile(str(page), module_relative=False, optionflags=flags)
    assert done.attempted > 0
    assert done.failed == 0


def test_pages_have_examples() -> None:
    assert {"tutorial", "own_stage", "verify"} <= {page.stem for page in PAGES if ">>>" in page.read_text()}


def test_the_reference_describes_every_public_name_once() -> None:
    directive = re.compile(r"^\.\. (?:auto\w+|py:\w+):: sampling\.(\w+)(?:\(.*\))?$", re.MULTILINE)
    described = Counter(name for page in PAGES for name in directive.findall(page.read_text()))
    assert described == Counter(sampling.__all__)


def names_of_adapters() -> list[str]:
    """The public names of `sampling.adapters`, read from the sources: most of their hosts are not installed."""
    names: list[str] = []
    for path in (ROOT / "sampling" / "adapters").rglob("*.py"):
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names += [f"{module}.{name}" for name in ast.literal_eval(node.value)]
    return names


def test_the_reference_describes_every_public_name_of_the_adapters_once() -> None:
    directive = re.compile(r"^\.\. auto\w+:: (sampling\.adapters\.[\w.]+)(?:\(.*\))?$", re.MULTILINE)
    described = Counter(name for page in PAGES for name in directive.findall(page.read_text()))
    assert described == Counter(names_of_adapters())


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose_of(page))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [text for text in TEXTS if text.suffix == ".md"], ids=name_of)
def test_commands_name_scripts_that_exist(page: Path) -> None:
    scripts = re.findall(
        r"\b(?:benchmarks|notebooks|tests|findings|docs)/[\w/.-]+\.(?:py|md|json|sh|ipynb)\b",
        today(page),
    )
    assert [script for script in scripts if not (ROOT / script).exists() and "ENGINE" not in script] == []


def test_commands_name_modules_that_exist() -> None:
    pages = [*CODE, *(text for text in TEXTS if text.suffix == ".md")]
    named = {name for page in pages for name in re.findall(r"-m ((?:benchmarks|soak)[.\w]*)", today(page))}
    files = {name: ROOT / name.replace(".", "/") for name in named}
    assert [
        name
        for name, file in files.items()
        if not (file / "__main__.py").exists() and not file.with_suffix(".py").exists()
    ] == []
    assert {"benchmarks.sampler", "benchmarks.soak.fuzz"} <= named


def test_code_names_pages_that_exist() -> None:
    mention = re.compile(r"(?<![\w/.])docs/[a-z_/]+\.md")
    named = {name for path in CODE for name in mention.findall(path.read_text())}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
    assert "docs/draw.md" in named


def test_the_page_on_the_command_line_has_every_command() -> None:
    (commands,) = (action.choices for action in parser()._actions if action.dest == "command")
    shown = re.findall(
        r"^```\{command-help\} (\w+)$", (DOCS / "reference" / "command_line.md").read_text(), re.MULTILINE
    )
    assert shown == [*commands]


def test_the_picture_of_the_layers_is_that_of_the_import_check() -> None:
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs" / "make_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "layers.svg").read_text() == module.layers()


def test_the_glossary_names_what_is_in_the_code() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    code = "\n".join(
        path.read_text() for path in CODE if path.relative_to(ROOT).parts[0] in ("sampling", "kernels")
    )
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 30
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} == set()
