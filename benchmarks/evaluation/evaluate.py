"""Runs lm-eval in its own environment, on tasks of this folder, and prints what it says of each document as JSON.

    python evaluate.py MODEL ARGUMENTS TASK ...

MODEL is a name of lm-eval's, ARGUMENTS its arguments as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lm_eval
import yaml
from lm_eval.tasks import TaskManager

HERE = Path(__file__).parent


def task_of(name: str) -> dict[str, Any]:
    """The description of a task, with the place of its documents."""
    text = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text.replace("CAPITALS", json.dumps(str(HERE / "capitals.jsonl"))))


def main() -> None:
    """Evaluate, and print."""
    model, arguments, *names = sys.argv[1:]
    found = lm_eval.simple_evaluate(
        model=model,
        model_args=json.loads(arguments),
        tasks=[task_of(name) for name in names],
        task_manager=TaskManager(include_defaults=False),
        apply_chat_template=model == "local-chat-completions",
        bootstrap_iters=0,
        log_samples=True,
    )
    told = {
        name: {
            "metrics": {
                key: value for key, value in found["results"][name].items() if isinstance(value, float)
            },
            "answers": [
                sample["resps"] for sample in sorted(found["samples"][name], key=lambda s: s["doc_id"])
            ],
        }
        for name in names
    }
    print(json.dumps(told))


main()
