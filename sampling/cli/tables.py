"""Tables for people: the probability of each token, and what each stage did."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sampling.chat.completion import Completion
from sampling.generate.sampled_token import SampledToken
from sampling.pipeline.trace import Snapshot, Trace
from sampling.text import Vocabulary

BAR_CELLS = 20
STAGE_CELLS = 22
NUMBER_CELLS = 7
SHOWN = 4
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, cells: int = BAR_CELLS) -> str:
    """Return a bar of `cells` characters for a share between 0 and 1, in steps of an eighth of a character."""
    full, rest = divmod(round(share * cells * 8), 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells)


def quoted(text: str) -> str:
    """Return a token's text so that white space can be seen."""
    return text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")


def percent(share: float, digits: int = 2) -> str:
    """Return a probability in percent; what would be rounded to nothing is shown as less than the smallest step."""
    smallest = 10.0**-digits
    return f"<{smallest:g}%" if 0 < 100 * share < smallest else f"{100 * share:.{digits}f}%"


def print_probabilities(completion: Completion) -> None:
    """Print each sampled token with the probability that it had under the dialect's log probability mode."""
    console = Console(highlight=False)
    for index, choice in enumerate(completion.choices):
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("token" if len(completion.choices) == 1 else f"token of choice {index}")
        table.add_column("id", justify="right", style="dim")
        table.add_column("probability", justify="right")
        table.add_column("")
        for token in choice.tokens:
            share = math.exp(token.logprob)
            name = Text(quoted(completion.prepared.vocabulary.text_of(token.token_id)))
            table.add_row(name, str(token.token_id), percent(share), Text(bar(share), style="cyan"))
        console.print(table)


def likely_text(snapshot: Snapshot, drawn: int, vocabulary: Vocabulary, width: int) -> Text:
    """Return the most likely tokens of row 0, and the drawn one if it is not among them, as far as whole entries fit."""
    pairs = zip(snapshot.top_ids[0].tolist(), snapshot.top_probs[0].tolist(), strict=True)
    shares = {token: share for token, share in pairs if share > 0}
    shown = list(shares)[:SHOWN]
    if drawn in shares and drawn not in shown:
        shown[-1] = drawn
    text = Text(no_wrap=True)
    for token in shown:
        name = Text(f"{quoted(vocabulary.text_of(token))} ", style="bold green" if token == drawn else "bold")
        name.append(f"{percent(shares[token], digits=1)}  ", style="not bold cyan")
        if text.cell_len + name.cell_len <= width:
            text.append_text(name)
    return text


def step_title(number: int, token: SampledToken, mode: str, vocabulary: Vocabulary) -> Text:
    """Which token was drawn, and how likely it was in the dialect's log probability mode."""
    how_likely = f"{mode} probability {percent(math.exp(token.logprob))}, rank {token.rank}"
    name = quoted(vocabulary.text_of(token.token_id))
    return Text.assemble((f"{number}. ", "dim"), (name, "bold green"), "   ", (how_likely, "dim"))


def stage_table(trace: Trace, drawn: int, vocabulary: Vocabulary, width: int) -> Table:
    """Return what each stage of one step did, and what became of the drawn token, in `width` columns."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("stage", width=STAGE_CELLS, no_wrap=True, overflow="ellipsis")
    for name in ("left", "removed", "entropy"):
        table.add_column(name, justify="right", width=NUMBER_CELLS, no_wrap=True)
    table.add_column("most likely", no_wrap=True)
    room = width - STAGE_CELLS - 3 * (NUMBER_CELLS + 2) - 3
    stages = [("model", trace.start, 0.0)]
    stages += [(step.description, step.after, step.removed[0].item()) for step in trace]
    for description, snapshot, removed in stages:
        table.add_row(
            description, *numbers(snapshot, removed), likely_text(snapshot, drawn, vocabulary, room)
        )
    return table


def numbers(snapshot: Snapshot, removed: float) -> tuple[str, str, str]:
    """Tokens left, mass removed and entropy of row 0."""
    share = percent(removed) if removed else ""
    return f"{int(snapshot.left[0])}", share, f"{snapshot.entropy[0].item():.3f}"
