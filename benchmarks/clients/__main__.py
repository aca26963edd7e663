"""A newcomer's first call with each client library against `sampling serve --dialect openai`.

    python -m benchmarks.clients [--only NAME ...]

Each client is installed, at a pinned version, into an environment of its own in a temporary folder (pip's, or npm's with the
Node.js that is there). Its script in this folder makes the shortest documented call, the same at temperature 0, and
the same streamed. The answer at temperature 0 is known; without a temperature it is text of some kind. The server's log tells
how each request was answered.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from benchmarks.soak.serving import Served, served

CLIENTS = Path(__file__).parent
RESULT = RESULTS / "newcomers.json"
QUESTION, ANSWER = "What is the capital of Turkey?", "The capital of Turkey is Ankara."
MODEL, KEY = "sampling-toy", "the-key-of-this-run"
PATIENCE = 900.0  # seconds until an installation or a script counts as hanging


@dataclass(frozen=True)
class Client:
    """A client library.

    Args:
        script: In this folder.
        packages: What is installed, the library itself first.
    """

    script: str
    packages: tuple[str, ...]


NODE = ("ai@6.0.326", "@ai-sdk/openai-compatible@2.0.92", "@ai-sdk/openai@3.0.141")
OPENAI = "openai==3.57.0"
KNOWN = {
    "openai": Client("openai_chat.py", (OPENAI,)),
    "langchain": Client("langchain_openai_chat.py", ("langchain-openai==1.7.4", OPENAI)),
    "litellm": Client("litellm_completion.py", ("litellm==1.110.2", OPENAI)),
    "pydantic-ai": Client("pydantic_ai_agent.py", ("pydantic-ai-slim[openai]==2.68.0", OPENAI)),
    "inspect-ai": Client("inspect_ai_task.py", ("inspect-ai==0.3.285", OPENAI)),
    "llm": Client("llm_prompt.py", ("llm==0.36", OPENAI)),
    "vercel-ai": Client("vercel_ai.mjs", NODE),
    "vercel-ai-openai": Client("vercel_ai_openai.mjs", NODE),
}


def installed(client: Client, folder: Path) -> list[str]:
    """Install a client into a folder; return the command that runs its script."""
    if client.script.endswith(".mjs"):
        subprocess.run(
            ["npm", "install", "--silent", *client.packages], cwd=folder, check=True, timeout=PATIENCE
        )
        return ["node"]
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=PATIENCE)
    python = str(folder / "venv/bin/python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *client.packages], check=True, timeout=PATIENCE
    )
    return [python]


def ran(client: Client, url: str) -> dict[str, Any]:
    """Install a client in a folder that is gone afterwards, and run its script."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = installed(client, folder)
        script = folder / client.script  # beside node_modules, where Node.js looks for them
        script.write_text((CLIENTS / client.script).read_text())
        return outcome([*command, str(script)], folder, url)


def outcome(command: list[str], folder: Path, url: str) -> dict[str, Any]:
    """What a script was answered, or the end of what it says of its failure."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI"))
    }
    environment |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, "MODEL": MODEL}
    run = subprocess.run(
        [*command, QUESTION],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if run.returncode:
        return {"error": run.stderr.strip().replace(str(folder), "")[-600:]}
    return {"answers": json.loads(run.stdout.strip().splitlines()[-1])}


def good(answers: dict[str, str]) -> bool:
    """Whether the plain call was answered with text, and each of the others, at least one, with the known answer."""
    known = [answer for name, answer in answers.items() if name != "plain"]
    return bool(answers.get("plain")) and bool(known) and all(answer == ANSWER for answer in known)


def logged(server: Served) -> list[dict[str, Any]]:
    """What the server has logged so far about requests."""
    lines = map(json.loads, server.log.read_text().splitlines())
    return [line for line in lines if line.get("event") == "request"]


def judged(client: Client, server: Served) -> dict[str, Any]:
    """A client's line of the result."""
    before = len(logged(server))
    found = ran(client, f"http://127.0.0.1:{server.port}/v1")
    statuses = Counter(f"{line['path']} {line['status']}" for line in logged(server)[before:])
    line = {"packages": client.packages, **found, "requests": dict(statuses)}
    return {**line, "good": good(found.get("answers", {}))}


def main() -> None:
    """Ask with all of them, record, and end with 1 if one was not answered as it should be."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=KNOWN, default=[*KNOWN], metavar="NAME")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    lines: dict[str, Any] = {}
    measured = origin("clients")
    with served("--dialect", "openai", "--api-key", KEY) as server:
        for name in options.only:
            lines[name] = judged(KNOWN[name], server)
            print(f"{name:18} {'good' if lines[name]['good'] else lines[name]}", flush=True)
    result = {"question": QUESTION, "known_answer": ANSWER, "clients": lines, **measured}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(not all(line["good"] for line in lines.values()))


if __name__ == "__main__":
    main()
