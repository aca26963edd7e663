"""Draw the README's picture: a real run of `sampling explain`.

python docs/make_pictures.py
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from sampling import dialect, load
from sampling.chat.completion import Completion
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


def main() -> None:
    """Run, record, save."""
    console = Console(record=True, width=104, highlight=False, file=io.StringIO(), force_terminal=True)
    console.print(COMMAND, style="bold")
    console.print()
    explain(Completion(load(None), ChatRequest.parse(REQUEST), dialect("qstash")), console)
    picture = console.export_svg(title="sampling explain", theme=MONOKAI)
    # fonts of the reader's own machine instead of ones fetched from elsewhere
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    Path(__file__).with_name("explain.svg").write_text(without_fonts)


if __name__ == "__main__":
    main()
