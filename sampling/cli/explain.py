"""`sampling explain`: for every token, what each stage of the pipeline did before it was drawn."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sampling.chat.completion import Completion
from sampling.chat.request import ChatRequest
from sampling.cli.loading import load_with_progress
from sampling.cli.options import request_of
from sampling.dialects import dialect
from sampling.errors import InvalidRequest

if TYPE_CHECKING:
    pass

SHOWN = 4


def run_explain(options: argparse.Namespace) -> None:
    """Answer one message and show the trace of every step."""
    request = ChatRequest.parse(request_of(options))
    if request.n > 1:
        raise InvalidRequest("n", request.n, "1 in explain")
    completion = Completion(load_with_progress(options), request, dialect(options.dialect))
    explain(completion)


def explain(completion: Completion) -> None:
    """Step through a completion and print a table for each token."""
    from rich.console import Console
    from rich.text import Text

    from sampling.cli.tables import quoted, stage_table

    console = Console(highlight=False)
    position = 0
    while completion.running:
        logits, sampler = completion.generation.next_logits(), completion.generation.sampler
        trace = sampler.trace(logits, top=SHOWN)
        (event,) = completion.step()
        chosen = quoted(completion.vocabulary.text_of(event.token.token_id))
        position += 1
        console.print(Text(f"{position}. ", style="dim").append(chosen, style="bold green"))
        console.print(stage_table(trace, completion.vocabulary))
        console.print()
    console.print(Text(completion.choices[0].content))
    console.print(Text(f"seed {completion.seed}", style="dim"))
