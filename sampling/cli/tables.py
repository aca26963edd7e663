"""Tables for people: the probability of each token, and what each stage did."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sampling.chat.completion import Completion
from sampling.decode import SampledToken
from sampling.text import Vocabulary
from sampling.trace import Snapshot, Trace

BAR_CELLS = 20
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, cells: int = BAR_CELLS) -> str:
    """A bar of `cells` characters for a share between 0 and 1, in steps of an eighth of a character."""
    full, rest = divmod(round(share * cells * 8), 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells)


def quoted(text: str) -> str:
    """A token's text so that white space can be seen."""
    return text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")


def percent(share: float, digits: int = 2) -> str:
    """A probability in percent; what would be rounded to nothing is shown as less than the smallest step."""
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
            name = Text(quoted(completion.vocabulary.text_of(token.token_id)))
            table.add_row(name, str(token.token_id), percent(share), Text(bar(share), style="cyan"))
        console.print(table)


def likely_text(snapshot: Snapshot, drawn: int, vocabulary: Vocabulary) -> Text:
    """The most likely tokens of row 0 and their probabilities on one line; the drawn token stands out."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for token, share in zip(snapshot.top_ids[0].tolist(), snapshot.top_probs[0].tolist(), strict=True):
        if share > 0:
            style = "bold green" if token == drawn else "bold"
            text.append(f"{quoted(vocabulary.text_of(token))} ", style=style)
            text.append(f"{percent(share, digits=1)}  ", style="cyan")
    return text


def step_title(number: int, token: SampledToken, mode: str, vocabulary: Vocabulary) -> Text:
    """Which token was drawn, and how likely it was in the dialect's log probability mode."""
    title = Text(f"{number}. ", style="dim").append(
        quoted(vocabulary.text_of(token.token_id)), style="bold green"
    )
    return title.append(
        f"   {mode} probability {percent(math.exp(token.logprob))}, rank {token.rank}", style="dim"
    )


def stage_table(trace: Trace, drawn: int, vocabulary: Vocabulary) -> Table:
    """What each stage of one step did, and what became of the drawn token."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("stage", min_width=22, no_wrap=True)
    for name in ("left", "removed", "entropy"):
        table.add_column(name, justify="right", min_width=7, no_wrap=True)
    table.add_column("most likely", no_wrap=True, overflow="ellipsis")
    table.add_row("model", *numbers(trace.start, 0.0), likely_text(trace.start, drawn, vocabulary))
    for step in trace:
        removed = step.removed[0].item()
        table.add_row(
            step.description, *numbers(step.after, removed), likely_text(step.after, drawn, vocabulary)
        )
    return table


def numbers(snapshot: Snapshot, removed: float) -> tuple[str, str, str]:
    """Tokens left, mass removed and entropy of row 0."""
    share = percent(removed) if removed else ""
    return f"{int(snapshot.left[0])}", share, f"{snapshot.entropy[0].item():.3f}"
