"""Truncations: order, boundaries, and the values that switch them off."""

from __future__ import annotations

from sampling.conformance.comparison import Comparison, check, ignored
from sampling.conformance.semantics import Semantics, joined

KEPT, DROPPED, MORE = (
    "the crossing token is kept",
    "the crossing token is dropped",
    "one token too many is kept",
)


def counts(own: Semantics) -> dict[str, Semantics]:
    """Return how many tokens too few or too many top_p may keep."""
    return {DROPPED: own.but(crossing_tokens=-1), MORE: own.but(crossing_tokens=1)}


def shortcuts(own: Semantics) -> dict[str, Semantics]:
    """Return what a nucleus may be on rows of other kinds than sixteen logits."""
    return {
        "top_p stops at a bound for what is left": own.but(top_p_bounded=True),
        "the least likely candidate goes, and what equals it": own.but(last_goes=True),
        "only the 1024 most likely tokens are looked at": own.but(most_candidates=1024),
    }


@check("truncation.temperature-order", needs=["temperature", "top_p"])
def temperature_order(own: Semantics) -> Comparison:
    """Return where the temperature may come; how many tokens top_p keeps is another check's business."""
    return Comparison(
        null={"the dialect's order": own, **counts(own)},
        alternatives={
            "the temperature before top_p": own.moving("temperature", before="top_p"),
            "top_p before the temperature": own.moving("temperature", after="top_p"),
            **ignored(own, "top_p"),
        },
        finer=shortcuts(own),
    )


@check("truncation.crossing-token", needs=["top_p"])
def crossing_token(own: Semantics) -> Comparison:
    """Return what may become of the token that crosses top_p."""
    return Comparison(
        null={KEPT: own, MORE: own.but(crossing_tokens=1)},
        alternatives={DROPPED: own.but(crossing_tokens=-1), **ignored(own, "top_p")},
        finer=shortcuts(own),
    )


@check("truncation.no-token-more", needs=["top_p"])
def no_token_more(own: Semantics) -> Comparison:
    """Return what may be kept behind the token that crosses top_p."""
    return Comparison(
        null={KEPT: own, DROPPED: own.but(crossing_tokens=-1)},
        alternatives={MORE: own.but(crossing_tokens=1), **ignored(own, "top_p")},
        finer=shortcuts(own),
    )


@check("truncation.top-p-to-zero", needs=["top_p"])
def top_p_to_zero(own: Semantics) -> Comparison:
    """Return what a top_p of next to nothing may keep."""
    return Comparison(
        null={"one token is kept": own},
        alternatives={
            "two tokens are kept": own.but(crossing_tokens=1),
            "top_p 0 keeps everything": own.but(substitutes=(("top_p", 0, 1.0),)),
            **ignored(own, "top_p"),
        },
        finer=shortcuts(own),
    )


@check("truncation.top-k", needs=["top_k"])
def top_k(own: Semantics) -> Comparison:
    """Return how many tokens top_k may keep."""
    return Comparison(
        null={"k tokens are kept": own},
        alternatives={
            "k - 1 tokens are kept": own.but(top_k_offset=-1),
            "k + 1 tokens are kept": own.but(top_k_offset=1),
            **ignored(own, "top_k"),
        },
    )


@check("truncation.disabled", needs=[])
def disabled(own: Semantics) -> Comparison:
    """Return what the values that switch truncations off keep; targets are asked whether it is one token in any case."""
    return Comparison(null={"everything is kept": own}, alternatives={})


@check("truncation.joint", needs=["top_k", "top_p"])
def joint(own: Semantics) -> Comparison:
    """Return what top_p may look at where there is a top_k; the crossing token is another check's business."""
    return Comparison(
        null={"the dialect's order": own, DROPPED: own.but(crossing_tokens=-1)},
        alternatives={
            "top_p after top_k, of what that left": own.moving("top_k", before="top_p"),
            "both of the same distribution": own.but(order=joined(own.order, "top_k", "top_p")),
            **ignored(own, "top_k"),
            **ignored(own, "top_p"),
        },
        finer=shortcuts(own),
    )


@check("truncation.min-p-order", needs=["temperature", "min_p"])
def min_p_order(own: Semantics) -> Comparison:
    """Return where min_p may come, and what it may be a share of; a token exactly at it may be kept or not."""
    exact = {"it is kept" if own.min_p_strict else "it goes": own.but(min_p_strict=not own.min_p_strict)}
    return Comparison(
        null={"the dialect's order": own},
        alternatives={
            "the temperature before min_p": own.moving("temperature", before="min_p"),
            "min_p before the temperature": own.moving("min_p", before="temperature"),
            "top_p before min_p": own.moving("min_p", after="top_p"),
            "min_p before top_p": own.moving("min_p", before="top_p"),
            **ignored(own, "min_p"),
        },
        finer={**exact, "min_p is a probability, not a fraction": own.but(min_p_of_maximum=False)},
        verdicts=dict.fromkeys(exact, own.silent_verdict("exact_hit")),
    )
