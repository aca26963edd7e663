"""The pictures of the notebook: matplotlib around probabilities, so that its cells show the library and little else."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

# Okabe and Ito's colours, which the colour-blind can tell apart; each has one meaning in the notebook.
BEFORE, AFTER, GONE, THIRD = "#9a9a9a", "#0072b2", "#d55e00", "#009e73"
SERIES = (BEFORE, "#e69f00", AFTER, THIRD, GONE)
PALE, WARM, INK = "#e8eef4", "#fbdcc4", "#222222"
UNLISTED = -9999.0  # what responses have for a log probability that is not listed
FLOOR = 5e-4  # the lower end of logarithmic axes of probability
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "figure.constrained_layout.use": True,
    "figure.dpi": 90,
    "font.size": 10,
    "legend.frameon": False,
    "text.color": INK,
}

Row = tuple[str, Sequence[float]]


def use_style() -> None:
    """Give every picture the same look."""
    plt.rcParams.update(STYLE)
    warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bar is shown here


def panels(count: int, *, height: float = 3.6, widths: Sequence[float] | None = None) -> list[Axes]:
    """Axes side by side."""
    _, axes = plt.subplots(1, count, figsize=(9.6, height), squeeze=False, width_ratios=widths)
    return list(axes[0])


def visible(raw: bytes | None, name: str = "") -> str:
    """A token's bytes as text that shows spaces and line ends; in hexadecimal where they are part of a character."""
    if raw is None:
        return name
    if not is_text(raw):
        return raw.hex(" ").upper()
    return raw.decode().replace(" ", "␣").replace("\n", "⏎")


def percent(value: float, _: object = None) -> str:
    """A probability as a tick has it."""
    return f"{100 * value:g}%"


def token_ticks(axes: Axes, names: Sequence[str]) -> None:
    """One upright token name under each place of a horizontal axis."""
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.7, len(names) - 0.3)


def bars(
    axes: Axes, names: Sequence[str], probs: Sequence[float], kept: Sequence[bool] | None = None
) -> None:
    """Bars of probability; hollow where a token is not kept."""
    colours = [AFTER if keep else "none" for keep in (kept or [True] * len(names))]
    edges = [AFTER if keep else GONE for keep in (kept or [True] * len(names))]
    axes.bar(range(len(names)), probs, width=0.72, color=colours, edgecolor=edges, linewidth=1)
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    token_ticks(axes, names)


def ranks(axes: Axes, lines: Mapping[str, Sequence[float]]) -> None:
    """Probability of every token of the vocabulary by its rank, both logarithmic."""
    for colour, (label, probs) in zip(SERIES if len(lines) > 1 else (AFTER,), lines.items(), strict=True):
        ordered = sorted((p for p in probs if p > 1e-12), reverse=True)
        dot = "o" if len(ordered) == 1 else ""
        axes.plot(range(1, len(ordered) + 1), ordered, marker=dot, ms=4, lw=1.6, color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="rank of the token", ylabel="probability")
    axes.grid(color="#eeeeee")


def before_and_after(
    axes: Axes,
    names: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    *,
    low: float,
    high: float,
) -> None:
    """Two dots on a logarithmic axis from low to high for each token; a cross at its end if it goes on to the left."""
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        moved = GONE if new < old else THIRD
        if new >= low:
            axes.plot([old, new], [place, place], color=moved, lw=2.2, zorder=1, solid_capstyle="butt")
            axes.plot(new, place, "o", color=AFTER, ms=6, zorder=3)
        else:
            axes.plot([old, low], [place, place], color=moved, lw=2.2, zorder=1)
            axes.plot(low, place, "x", color=GONE, ms=7, mew=2, zorder=3, clip_on=False)
        axes.plot(old, place, "o", color=BEFORE, ms=6, zorder=2)
    axes.set(xscale="log", xlim=(low, high), ylim=(len(names) - 0.4, -0.6), xlabel="probability")
    axes.set_xticks([tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4) if low <= tick <= high])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color="#eeeeee")


def key_of_dots(figure: Figure) -> None:
    """What the two dots, the two lines and the cross mean."""
    marks = [
        plt.Line2D([], [], marker="o", ls="", color=BEFORE, label="before"),
        plt.Line2D([], [], marker="o", ls="", color=AFTER, label="after"),
        plt.Line2D([], [], lw=2.2, color=THIRD, label="more likely"),
        plt.Line2D([], [], lw=2.2, color=GONE, label="less likely"),
        plt.Line2D([], [], marker="x", ls="", mew=2, color=GONE, label="less likely than the axis shows"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=5)


def curves(axes: Axes, names: Sequence[str], lines: Mapping[str, Sequence[float]]) -> None:
    """Probability of the same tokens under several settings."""
    for colour, (label, probs) in zip(SERIES, lines.items(), strict=False):
        seen = [(place, p) for place, p in enumerate(probs) if p >= FLOOR]
        axes.plot(*zip(*seen, strict=True), marker="o", ms=4, lw=1.4, color=colour)
        axes.text(-0.4, probs[0], label, ha="right", va="center", color=colour, fontsize=9)
    axes.set(yscale="log", ylim=(FLOOR, 1.4), ylabel="probability")
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    axes.grid(axis="y", color="#eeeeee")
    token_ticks(axes, names)
    axes.set_xlim(left=-3.2)


def strip_of_stages(axes: Axes, names: Sequence[str], rows: Sequence[Row], notes: Sequence[str]) -> None:
    """A row of cells for each distribution, darker where a token is likelier, crossed where it cannot be drawn.

    Args:
        axes: Where to draw.
        names: Of the tokens, one for each column.
        rows: A label and the probabilities of the tokens.
        notes: What to write at the right of each row.
    """
    scale = LogNorm(1e-3, 0.6)
    for place, (_, probs) in enumerate(rows):
        for column, p in enumerate(probs):
            colour = plt.get_cmap("Blues")(float(scale(max(p, 1e-3)))) if p > 0 else "white"
            axes.add_patch(
                Rectangle((column - 0.46, place - 0.42), 0.92, 0.84, fc=colour, ec="#cccccc", lw=0.5)
            )
            if p == 0:
                axes.plot(column, place, "x", color=GONE, ms=5, mew=1.2)
        axes.text(len(names) - 0.3, place, notes[place], va="center", fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    token_ticks(axes, names)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    shades = plt.cm.ScalarMappable(norm=scale, cmap="Blues")
    bar = axes.figure.colorbar(shades, ax=axes, pad=0.11, fraction=0.025, format=FuncFormatter(percent))
    bar.outline.set_visible(False)
    bar.set_label("probability", fontsize=9)
    bar.ax.tick_params(labelsize=8)


def grid_of_texts(
    axes: Axes, rows: Sequence[Sequence[str]], marked: Sequence[Sequence[bool]], labels: Sequence[str]
) -> None:
    """A table of short texts, the marked ones in blue."""
    for place, texts in enumerate(rows):
        for column, text in enumerate(texts):
            mark = marked[place][column]
            face, ink = (AFTER, "white") if mark else (PALE, INK)
            axes.add_patch(Rectangle((column - 0.47, place - 0.4), 0.94, 0.8, fc=face, ec="none"))
            axes.text(column, place, text, ha="center", va="center", color=ink, fontsize=9)
    width = max(map(len, rows))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xticks(range(width))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def boxes(axes: Axes, place: float, parts: Sequence[bytes], starts: Sequence[float]) -> None:
    """Bytes in boxes along one lane, parts of characters in orange; the last start is where the last box ends."""
    for part, start, end in zip(parts, starts, starts[1:], strict=False):
        colour = PALE if is_text(part) else WARM
        axes.add_patch(
            Rectangle((start + 0.06, place - 0.34), end - start - 0.12, 0.68, fc=colour, ec="none")
        )
        text = visible(part)
        axes.text((start + end) / 2, place, text, ha="center", va="center", fontsize=8, family="monospace")


def is_text(raw: bytes) -> bool:
    """Whether the bytes are whole characters."""
    return "\ufffd" not in raw.decode(errors="replace")


def answers(axes: Axes, lanes: Sequence[tuple[str, Sequence[bytes], str]]) -> None:
    """Answers token by token, each in a lane, and behind it why it ended.

    Args:
        axes: Where to draw.
        lanes: A label, the tokens and the reason.
    """
    for place, (_, parts, why) in enumerate(lanes):
        starts = list(accumulate(map(width_of, parts), initial=0.0))
        boxes(axes, place, parts, starts)
        axes.text(
            starts[-1] + 0.5, place, why, va="center", fontsize=9, color=GONE if why == "length" else AFTER
        )
    longest = max(sum(map(width_of, parts)) + len(why) for _, parts, why in lanes)
    axes.set(xlim=(0, longest + 1), ylim=(len(lanes) - 0.4, -0.6))
    axes.set_yticks(range(len(lanes)), [label for label, _, _ in lanes])
    bare(axes)


def width_of(part: bytes) -> float:
    """The width of a token's box, in characters."""
    return len(visible(part)) + 0.8


def bare(axes: Axes) -> None:
    """No frame, no ticks on the horizontal axis."""
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def cut(axes: Axes, count: int, label: str) -> None:
    """A line behind the first so many bars."""
    axes.axvline(count - 0.5, color=INK, lw=1, ls="--")
    axes.text(count - 0.1, axes.get_ylim()[1] * 0.93, label, fontsize=9, va="top")


def threshold(axes: Axes, height: float, label: str) -> None:
    """A line that bars must reach."""
    axes.axhline(height, color=INK, lw=1, ls="--")
    axes.text(axes.get_xlim()[1], height, label, fontsize=9, ha="right", va="bottom")


def log_probabilities(axes: Axes, names: Sequence[str], lines: Mapping[str, Sequence[float | None]]) -> None:
    """Dots of log probability; None and -inf are crosses at the lower edge."""
    finite = [value for values in lines.values() for value in values if value is not None and value > -100]
    bottom = min(finite) - 0.4
    marks = zip(lines.items(), (BEFORE, SERIES[1], AFTER), ("o", "s", "D"), (-0.18, 0, 0.18), strict=True)
    for (label, values), colour, marker, shift in marks:
        for place, value in enumerate(values):
            seen = value is not None and value > bottom
            style = {"marker": marker, "ms": 6} if seen else {"marker": "x", "ms": 6, "mew": 1.5}
            axes.plot(place + shift, value if seen else bottom, ls="", color=colour, **style)
        axes.plot([], [], marker=marker, ls="", color=colour, label=label)
    axes.plot([], [], marker="x", mew=1.5, ls="", color=INK, label="-∞ (banned)")
    axes.set(ylim=(bottom - 0.25, 0), ylabel="log probability (nats)")
    axes.grid(axis="y", color="#eeeeee")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    token_ticks(axes, names)


def mark(axes: Axes, place: int, label: str) -> None:
    """A pale column behind one token, with a name."""
    axes.axvspan(place - 0.45, place + 0.45, color=PALE, zorder=0)
    axes.text(place, axes.get_ylim()[1], label, ha="center", va="bottom", fontsize=9)


def frequencies(
    axes: Axes, names: Sequence[str], ratio: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> None:
    """Observed over expected frequency of each token in its band."""
    places = range(len(names))
    axes.vlines(places, low, high, lw=16, color=PALE)
    axes.axhline(1, color=BEFORE, lw=1)
    inside = [a <= r <= b for r, a, b in zip(ratio, low, high, strict=True)]
    axes.scatter(places, ratio, s=26, color=[AFTER if ok else GONE for ok in inside], zorder=3)
    axes.set_ylabel("observed / expected")
    axes.margins(y=0.06)
    token_ticks(axes, names)


def over_steps(axes: Axes, lines: Mapping[str, Sequence[float]]) -> None:
    """Probability at step 1, 2, 3, ... under several settings."""
    for (label, probs), colour, marker in zip(lines.items(), SERIES, "osD^v", strict=True):
        axes.plot(range(1, len(probs) + 1), probs, marker=marker, ms=4, lw=1.4, color=colour, label=label)
    axes.set_ylim(-0.03, 1.05)
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    axes.grid(axis="y", color="#eeeeee")


def columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The columns of rows of different lengths."""
    return [[row[i] for row in rows if i < len(row)] for i in range(max(map(len, rows)))]


def lanes(axes: Axes, rows: Mapping[str, Sequence[bytes]]) -> None:
    """The same bytes cut in several ways, one lane for each."""
    for place, parts in enumerate(rows.values()):
        starts = list(accumulate(map(len, parts), initial=0))
        boxes(axes, place, parts, starts)
    longest = max(sum(map(len, parts)) for parts in rows.values())
    axes.set(xlim=(0, longest), ylim=(len(rows) - 0.5, -0.5), xlabel="bytes")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def reluctance(axes: Axes, names: Sequence[str], values: Sequence[float], favourites: Sequence[str]) -> None:
    """The log probability of each token, and above it in orange the likeliest where that is another."""
    bottom = min(value for value in values if value > UNLISTED) - 1
    for place, (name, value, favourite) in enumerate(zip(names, values, favourites, strict=True)):
        own = name == favourite
        listed = value > UNLISTED
        height = max(value, bottom)
        axes.plot(place, height, "o" if listed else "x", color=AFTER if own else GONE, ms=6, mew=1.5)
        if not own:
            axes.text(place, height + 0.35, favourite, color=GONE, fontsize=9, ha="center", va="bottom")
    axes.set(ylim=(bottom - 0.5, 1.5), ylabel="log probability (nats)")
    axes.grid(axis="y", color="#eeeeee")
    token_ticks(axes, names)
