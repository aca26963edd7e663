"""llm: a prompt on its command line, with a model of its file extra-openai-models.yaml."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    model = {
        "model_id": "local",
        "model_name": os.environ["MODEL"],
        "api_base": os.environ["OPENAI_BASE_URL"],
        "api_key_name": "local",
    }
    Path(folder, "extra-openai-models.yaml").write_text(json.dumps([model]))
    Path(folder, "keys.json").write_text(json.dumps({"local": os.environ["OPENAI_API_KEY"]}))

    def answer(*options: str) -> str:
        """What the command prints."""
        command = [sys.executable, "-m", "llm", "-m", "local", *options, sys.argv[1]]
        run = subprocess.run(
            command,
            env={**os.environ, "LLM_USER_PATH": folder},
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        return run.stdout.removesuffix("\n")

    print(
        json.dumps(
            {
                "plain": answer("--no-stream"),
                "greedy": answer("--no-stream", "-o", "temperature", "0"),
                "streamed": answer("-o", "temperature", "0"),
            }
        )
    )
