"""Log probabilities of given tokens under the distribution that they were drawn from, differentiable in the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from sampling.core.device import with_values
from sampling.core.errors import InvalidArgument
from sampling.core.history import Prompts
from sampling.core.logits import checked_logits
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, DialectName, get_dialect
from sampling.scoring.differentiate import scored_in_graph, scored_now
from sampling.scoring.inputs import Inputs
from sampling.scoring.kept import Kept
from sampling.scoring.measure import Outside
from sampling.scoring.request import Request


@dataclass(frozen=True)
class ScoredTokens:
    """What `token_logprobs` says of N tokens.

    Args:
        logprobs: ln of their probability under the processed distribution, float32 [N]; differentiable in the logits.
        in_support: Whether the token is in its row's kept set, bool [N].
        kept_counts: How many tokens that set has, int64 [N].
        log_kept_mass: ln of the share of the mass that the set holds before truncation, float32 [N], at most 0; no gradient.
    """

    logprobs: Tensor
    in_support: Tensor
    kept_counts: Tensor
    log_kept_mass: Tensor


def token_logprobs(
    logits: Tensor,
    token_ids: Tensor | Sequence[int],
    params: SamplingParams | Sequence[SamplingParams],
    *,
    dialect: DialectName | Dialect = "qstash",
    prompt_ids: Prompts | None = None,
    output_ids: Prompts | None = None,
    kept: Kept | None = None,
    outside: Outside = "raise",
) -> ScoredTokens:
    """Compute the log probabilities of given tokens under the distribution that an engine draws from.

    With z the logits after all stages of the dialect but its truncations, and S the set of tokens that these keep,

        logprobs[i] = z_t - ln sum_{j in S} e^{z_j},        log_kept_mass[i] = ln sum_{j in S} e^{z_j} - ln sum_j e^{z_j}.

    S is the exact set: its boundary is decided in integers, so a token at it is never in S by a rounding. The log probabilities
    have the bits that `Sampler` reports in the mode `processed`; where hundreds of tokens are kept, up to a rounding. The
    gradient in the logits l is that of the log softmax over S, which is held fixed: (dz_j / dl_j) ([j = t] - p_j) for j in S
    and 0 elsewhere, p being the probabilities over S; dz / dl is 1 / T, times r or 1 / r where a repetition penalty r holds. At
    temperature 0 the arg max has the log probability 0, its set the mass 1, and there is no gradient.

    Nothing is sorted. Rows are taken some at a time: besides the logits and the results it takes at most a quarter of the
    logits' memory and, for the backward pass, the gradient itself (of 64 MiB of logits or more).

    Args:
        logits: The model's, [N, V], float32, bfloat16 or float16; a row for each token.
        token_ids: The tokens, whole numbers from 0 to V - 1, a list or a tensor [N].
        params: What they were sampled with: one SamplingParams for all rows, or a list of one for each.
        dialect: The engine or API whose rules hold, by its name or as a `Dialect`.
        prompt_ids: The prompt of each row, N lists of token ids or a tensor [N, T], -1 behind the last one. Needed where a
            repetition penalty counts the prompt.
        output_ids: What each row had sampled before its token, in the same form; needed by penalties and `min_tokens`.
        kept: The sets S as the engine returned them, in place of those that the params give: a bool mask [N, V]; an int32
            bitmask [N, ceil(V / 32)], bit i of word j for the token 32 j + i; N lists of token ids, as SGLang's
            `output_token_sampling_mask`; or token_ids with offsets, as vLLM's `sampling_mask`, in a mapping or an object.
        outside: What becomes of a token that is not in S. "raise": an InvalidArgument that names it. "keep": it is scored as if
            it had been kept besides, z_t - ln(e^{z_t} + sum_{j in S} e^{z_j}), with the gradient of that. "-inf": its log
            probability is -inf, without a gradient.

    Returns:
        The log probabilities, and what they are of. A row with NaN, +inf or nothing left has NaN and an empty set, unless
        `outside` is "raise".

    Raises:
        InvalidArgument: The logits, the ids or the kept sets have another form; something that the params need is missing;
            with "raise" a token outside of its set, or a row that nothing can be drawn from; with "keep" one that would have
            no probability even so, banned or at temperature 0, where a look costs nothing, and NaN elsewhere.
        InvalidRequest: The dialect has not what a request asks for.

    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020, for the renormalised distribution;
        DeepSeek-AI, "DeepSeek-V3.2", 2025, section 3.1, for scoring by the sampler's own mask.

    Example:
        >>> import torch
        >>> from sampling import SamplingParams, token_logprobs
        >>> logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log().requires_grad_()      # probabilities 1/2, 1/4, 1/8, 1/8
        >>> scored = token_logprobs(logits, [1], SamplingParams(top_p=0.7), dialect="vllm")
        >>> scored.logprobs.exp(), scored.kept_counts, scored.log_kept_mass.exp()
        (tensor([0.3333], grad_fn=<ExpBackward0>), tensor([2]), tensor([0.7500]))
        >>> scored.logprobs.sum().backward()
        >>> logits.grad[0, :2], logits.grad[0, 2:].abs().max()
        (tensor([-0.6667,  0.6667]), tensor(0.))
        >>> token_logprobs(logits, [3], SamplingParams(top_p=0.7), dialect="vllm", outside="keep").logprobs.exp()
        tensor([0.1429], grad_fn=<ExpBackward0>)
    """
    style, logits = get_dialect(dialect), with_values("logits", checked_logits(logits))
    if outside not in list(get_args(Outside)):  # a list, for what cannot be hashed
        raise InvalidArgument("outside", outside, f"one of {', '.join(get_args(Outside))}")
    if torch.compiler.is_compiling():
        found = scored_in_graph(logits, token_ids, params, style, prompt_ids, output_ids, kept, outside)
    else:
        request = Request.of(params, style, len(logits))
        inputs = Inputs.of(request, logits, token_ids, prompt_ids, output_ids, kept)
        found = scored_now(logits, inputs, outside)
    return ScoredTokens(*found)
