"""Draw the README's pictures: a real run of `sampling explain`, and the layers of the code.

python docs/make_pictures.py
"""

from __future__ import annotations

import ast
import io
import re
import tomllib
from html import escape
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from sampling import dialect, load
from sampling.chat.completion import Completion
from sampling.chat.prepared import prepare
from sampling.chat.request import ChatRequest
from sampling.cli.explain import explain

REQUEST = {
    "messages": [{"role": "user", "content": "Name a fruit."}],
    "temperature": 1.2,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "seed": 15,
}
COMMAND = '$ sampling explain "Name a fruit." --temperature 1.2 --top-p 0.9 --presence-penalty 0.5 --seed 15'


HERE = Path(__file__).parent
WIDTH, ROW, GAP, NAMES = 980, 30, 4, 250  # of the layers' picture, in pixels
COLOURS = ("#dbe9f6", "#e4f2e1", "#fdf0d5")  # one for each kind of layer, from the ground up
FIRST_OF = ("sampling_kernels", "sampling.model", "sampling.chat")  # the lowest layer of each kind


def main() -> None:
    """Draw both pictures."""
    HERE.joinpath("explain.svg").write_text(explained())
    HERE.joinpath("layers.svg").write_text(layers())


def explained() -> str:
    """Run `sampling explain` and return its output as a picture."""
    console = Console(record=True, width=104, highlight=False, file=io.StringIO(), force_terminal=True)
    console.print(COMMAND, style="bold")
    console.print()
    request = ChatRequest.parse(REQUEST)
    explain(Completion(prepare(load(None), request, dialect("qstash"))), console)
    picture = console.export_svg(title="sampling explain", theme=MONOKAI)
    # fonts of the reader's own machine instead of ones fetched from elsewhere
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


def layers() -> str:
    """Return a picture of the layers, as the import check has them, each with the first sentence of its docstring."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    [contract] = project["tool"]["importlinter"]["contracts"]
    names = [name for layer in contract["layers"] for name in layer.split(" | ")]
    height = len(names) * (ROW + GAP) + GAP
    kind, parts = 0, []
    for place, name in enumerate(reversed(names)):
        kind = max(kind, FIRST_OF.index(name) if name in FIRST_OF else 0)
        top = height - (place + 1) * (ROW + GAP)
        parts.append(
            f'<rect x="0" y="{top}" width="{WIDTH}" height="{ROW}" rx="4" fill="{COLOURS[kind]}"/>'
            f'<text x="12" y="{top + 20}" font-weight="bold">{escape(folder_of(name))}</text>'
            f'<text x="{NAMES}" y="{top + 20}">{escape(said_of(name))}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="14" fill="#1b1f24">'
        f"<title>The layers of the code, each above those that it imports</title>{''.join(parts)}</svg>\n"
    )


def folder_of(name: str) -> str:
    """Return the folder of a package, from the root of the repository."""
    return f"{'kernels/' if name == 'sampling_kernels' else ''}{name.replace('.', '/')}/"


def said_of(name: str) -> str:
    """Return the first line of a package's docstring."""
    source = (HERE.parent / folder_of(name) / "__init__.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


if __name__ == "__main__":
    main()
