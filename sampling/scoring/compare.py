"""Which tokens an engine kept that the reference does not, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sampling_kernels.blocks import BlockedLogits
from torch import Tensor

from sampling.core.device import with_values
from sampling.core.history import Prompts
from sampling.core.logits import checked_logits
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, DialectName, get_dialect
from sampling.pipeline.pipeline import apply_edits
from sampling.scoring.bits import contains, tokens_of, unpack
from sampling.scoring.inputs import Inputs
from sampling.scoring.kept import Kept, words_of_kept
from sampling.scoring.measure import Measured, chunks, distance_of, measure, part_of, sum_exp
from sampling.scoring.outside import nothing_to_draw
from sampling.scoring.request import Request

SHOWN = 10  # tokens in the text


@dataclass(frozen=True)
class KeptComparison:
    """The D tokens that are in one of two kept sets of their row and not in the other; printing it shows the first ones.

    Args:
        rows: Of the logits, int64 [D], ascending.
        token_ids: int64 [D], ascending in each row.
        in_engine: True for a token that the engine alone kept, False for one that the reference alone keeps; bool [D].
        margins: How far the token's processed logit lies from the boundary, float32 [D], at least 0: below the last token that
            the reference keeps, or above the first one that it does not. Next to nothing is a rounding, or 0 a tie; inf is no
            boundary at all.
        probs: Its probability before truncation, float32 [D].
        kept_counts: How many tokens the reference keeps in each row, int64 [N].
        engine_counts: How many the engine kept, int64 [N].
    """

    rows: Tensor
    token_ids: Tensor
    in_engine: Tensor
    margins: Tensor
    probs: Tensor
    kept_counts: Tensor
    engine_counts: Tensor

    def __str__(self) -> str:
        """Say what differs."""
        rows, count = len(self.kept_counts), len(self.rows)
        if not count:
            return f"{rows} rows: the same sets"
        columns = (self.rows, self.token_ids, self.in_engine, self.margins, self.probs)
        lines = [f"{rows} rows: {count} tokens differ, in {len(self.rows.unique())} rows"]
        for row, token, engine, margin, prob in zip(*(one[:SHOWN].tolist() for one in columns), strict=True):
            whose = "engine" if engine else "reference"
            lines.append(
                f"row {row}, token {token}: the {whose} alone keeps it; margin {margin:.3g}, probability {prob:.3g}"
            )
        return "\n".join([*lines, *(["..."] if count > SHOWN else [])])


def compare_kept(
    logits: Tensor,
    kept: Kept,
    params: SamplingParams | Sequence[SamplingParams],
    *,
    dialect: DialectName | Dialect = "qstash",
    prompt_ids: Prompts | None = None,
    output_ids: Prompts | None = None,
) -> KeptComparison:
    """Compare the sets of tokens that an engine kept with those that its rules ask for.

    Args:
        logits: [N, V], as in `token_logprobs`, and so the others.
        kept: The engine's sets, in any form that `token_logprobs` takes.
        params: What it was asked for.
        dialect: Its rules.
        prompt_ids: The prompt of each row.
        output_ids: What each row had sampled before.

    Returns:
        The tokens that one of them keeps alone.

    Raises:
        InvalidArgument: As `token_logprobs`, a row that nothing can be drawn from included.
        InvalidRequest: The same.

    Example:
        >>> import torch
        >>> from sampling import SamplingParams, compare_kept
        >>> logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()
        >>> print(compare_kept(logits, [[0, 1, 3]], SamplingParams(top_p=0.75), dialect="vllm"))
        1 rows: 1 tokens differ, in 1 rows
        row 0, token 3: the engine alone keeps it; margin 0.693, probability 0.125
    """
    logits = with_values("logits", checked_logits(logits)).detach()
    (rows, width), device = logits.shape, logits.device
    engine = words_of_kept(kept, rows, width, device)
    anything = torch.zeros(rows, dtype=torch.int64)
    request = Request.of(params, get_dialect(dialect), rows)
    inputs = Inputs.of(request, logits, anything, prompt_ids, output_ids, None)
    found = measure(inputs.request, inputs.history, logits, inputs.token_ids, None, "-inf", with_words=True)
    lost: list[int] = (found.kept_counts == 0).nonzero()[:, 0].tolist()
    if lost:
        raise nothing_to_draw(lost)
    counts = torch.cat([unpack(engine[part], width).sum(-1) for part in chunks(logits)])
    row, ids = tokens_of(engine ^ found.words)
    in_engine = contains(engine[row], ids)
    margins, probs = torch.zeros(len(row)), torch.zeros(len(row))
    for one in row.unique().tolist():
        here = row == one
        margins[here], probs[here] = of_row(inputs, logits, found, one, ids[here], in_engine[here])
    return KeptComparison(row, ids, in_engine, margins, probs, found.kept_counts, counts)


def of_row(
    inputs: Inputs, logits: Tensor, found: Measured, row: int, ids: Tensor, in_engine: Tensor
) -> tuple[Tensor, Tensor]:
    """Return margins and probabilities of a row's tokens, float32 [D]."""
    one = slice(row, row + 1)
    request, past = part_of(inputs.request, inputs.history, one)
    edited = apply_edits(request.plan.edits, logits[one].float(), past)
    blocked, temperature = BlockedLogits.of(edited), request.temperature
    z = distance_of(edited, blocked.maximum, temperature)[0]
    kept = unpack(found.words[one], edited.shape[1])[0]
    last, first_left_out = torch.where(kept, z, torch.inf).amin(), torch.where(kept, -torch.inf, z).amax()
    own = z[ids]
    margins = torch.where(in_engine, last - own, own - first_left_out).clamp(min=0)
    probs = own.exp() / sum_exp(blocked, blocked.maximum, temperature)[0]
    return margins.float(), probs.float()
