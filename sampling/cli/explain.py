"""`sampling explain`: for every token, what each stage of the pipeline did before it was drawn."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.cli.chat import replay_of
from sampling.cli.loading import completion_of

if TYPE_CHECKING:
    from rich.console import Console

KEPT = 50  # of the most likely tokens, so that the drawn one is nearly always among them


def run_explain(options: argparse.Namespace) -> None:
    """Answer one message and show the trace of every step."""
    from rich.console import Console

    explain(completion_of(options), Console(highlight=False))


def explain(completion: Completion, console: Console) -> None:
    """Step through a completion and print a table for each token."""
    from rich.text import Text

    from sampling.cli.tables import stage_table, step_title

    prepared, tokens = completion.prepared, completion.choices[0].tokens
    batch = ChatBatch.alone(completion)
    run, decoder = batch.run(), batch.decoder
    while completion.running and not batch.decoding:
        batch.prefill()
    if completion.error is not None:
        raise completion.error
    while completion.running:
        trace = decoder.sampler.trace(decoder.next_logits(), top=KEPT)
        next(run)
        token = tokens[-1]
        console.print(step_title(len(tokens), token, prepared.dialect.logprob_mode, prepared.vocabulary))
        console.print(stage_table(trace, token.token_id, prepared.vocabulary, console.width))
        console.print()
    console.print(Text(completion.choices[0].content))
    console.print(Text(replay_of(completion), style="dim"))
