"""The notebooks run without an error or a warning, and what is stored of them can be read without running."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
EXECUTE = NOTEBOOKS / "execute.py"
LARGEST = 1_000_000  # bytes of a stored notebook
PNG = b"\x89PNG\r\n\x1a\n"
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:home|root|usr|opt|tmp|var|mnt|work|Users)/|\b[A-Z]:\\")

pytestmark = pytest.mark.skipif(not EXECUTE.exists(), reason="a source distribution holds no notebooks")
every_notebook = pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem
)


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[str]:
    """What the outputs of a cell are: the name of a stream, "error", or the richest type of what is shown."""
    return [output.get("name") or next(iter(output.get("data", [])), "error") for output in cell["outputs"]]


def run(path: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXECUTE), str(path), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, cwd=out, timeout=300)


def small_notebook(folder: Path, source: str) -> Path:
    """A notebook of one cell, which says that errors are expected."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "only",
        "metadata": {"tags": ["raises-exception"]},
        "outputs": [],
        "source": source,
    }
    path = folder / "small.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_there_are_notebooks() -> None:
    assert list(NOTEBOOKS.glob("*.ipynb"))


@every_notebook
def test_a_notebook_runs_and_shows_what_is_stored(path: Path, tmp_path: Path) -> None:
    done = run(path, tmp_path)
    assert done.returncode == 0, done.stderr
    fresh, stored = code_cells(tmp_path / path.name), code_cells(path)
    assert [cell["source"] for cell in fresh] == [cell["source"] for cell in stored]
    assert [cell["metadata"] for cell in fresh] == [{}] * len(fresh)
    for cell in fresh:
        assert not {"error", "stderr"} & set(kinds(cell)), cell
    merged = [sorted(set(kinds(cell))) for cell in fresh]
    assert merged == [sorted(set(kinds(cell))) for cell in stored], "run notebooks/execute.py"


@every_notebook
def test_a_stored_notebook_is_whole(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not {"error", "stderr"} & {kind for cell in cells for kind in kinds(cell)}
    pictures = [
        output["data"]["image/png"] for cell in cells for output in cell["outputs"] if "data" in output
    ]
    assert pictures
    assert all(base64.b64decode(picture).startswith(PNG) for picture in pictures)


@every_notebook
def test_a_stored_notebook_tells_nothing_about_the_machine(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert path.stat().st_size < LARGEST
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell["metadata"] for cell in notebook["cells"]] == [{}] * len(notebook["cells"])
    texts = ["".join(output.get("text", "")) for cell in code_cells(path) for output in cell["outputs"]]
    assert not [text for text in texts if ABSOLUTE.search(text)]


def test_an_error_is_noticed_even_where_it_is_expected(tmp_path: Path) -> None:
    notebook = small_notebook(tmp_path, "1 / 0")
    out = tmp_path / "out"
    out.mkdir()
    done = run(notebook, out)
    assert done.returncode != 0
    assert not list(out.iterdir())
