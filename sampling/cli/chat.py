"""`sampling chat`: one answer, streamed to the terminal or as the API's response."""

from __future__ import annotations

import argparse
import json
import sys
import time

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.language_model import chunks_of, finish
from sampling.chat.stream import DONE, server_sent_event
from sampling.cli.loading import completion_of


def run_chat(options: argparse.Namespace) -> None:
    """Answer one message."""
    completion = completion_of(options)
    if options.stream:
        print_stream(completion)
        return
    if options.json:
        finish(completion)
        escaped = (sys.stdout.encoding or "utf-8").lower() != "utf-8"
        print(json.dumps(completion.response(), ensure_ascii=escaped))
        return
    print_answer(completion)
    if options.probabilities:
        from sampling.cli.tables import print_probabilities

        print_probabilities(completion)


def print_stream(completion: Completion) -> None:
    """Print the chunks as they come, as the API sends them."""
    for chunk in chunks_of(completion):
        print(server_sent_event(chunk), end="", flush=True)
    print(server_sent_event(DONE), end="")


def print_answer(completion: Completion) -> None:
    """Print the text as it comes, then a line about the run on standard error."""
    started = time.perf_counter()
    if completion.prepared.request.n == 1:
        for events in ChatBatch.alone(completion).run():
            print("".join(event.delta.text for event in events), end="", flush=True)
        print()
    else:
        finish(completion)
        for index, choice in enumerate(completion.choices):
            print(f"[{index}] {choice.content}")
    seconds = time.perf_counter() - started
    tokens = sum(len(choice.tokens) for choice in completion.choices)
    sys.stdout.flush()
    print(f"{tokens} tokens, {tokens / seconds:.0f} tokens/s, {replay_of(completion)}", file=sys.stderr)


def replay_of(completion: Completion) -> str:
    """Say with which flags the same output comes again."""
    read = completion.replay.get("chat_template_kwargs")
    return f"seed {completion.prepared.params.seed}" + (
        "" if read is None else f", chat template kwargs {json.dumps(read)}"
    )
