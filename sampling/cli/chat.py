"""`sampling chat`: one answer, streamed to the terminal or as the API's response."""

from __future__ import annotations

import argparse
import json
import sys
import time

from sampling.chat.completion import Completion
from sampling.cli.loading import completion_of
from sampling.cli.options import refuse_stream


def run_chat(options: argparse.Namespace) -> None:
    """Answer one message."""
    refuse_stream(options.stream)
    completion = completion_of(options)
    if options.json:
        for _ in completion:
            pass
        escaped = (sys.stdout.encoding or "utf-8").lower() != "utf-8"
        print(json.dumps(completion.response(), ensure_ascii=escaped))
        return
    print_answer(completion)
    if options.probabilities:
        from sampling.cli.tables import print_probabilities

        print_probabilities(completion)


def print_answer(completion: Completion) -> None:
    """Print the text as it comes, then a line about the run on standard error."""
    started = time.perf_counter()
    if completion.request.n == 1:
        for event in completion:
            print(event.text, end="", flush=True)
        print()
    else:
        for _ in completion:
            pass
        for index, choice in enumerate(completion.choices):
            print(f"[{index}] {choice.content}")
    seconds = time.perf_counter() - started
    tokens = sum(len(choice.tokens) for choice in completion.choices)
    sys.stdout.flush()
    print(f"{tokens} tokens, {tokens / seconds:.0f} tokens/s, seed {completion.seed}", file=sys.stderr)
