"""Recorded tokens beside those that a rule of the draw says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sampling.core.device import with_values
from sampling.core.errors import InvalidArgument
from sampling.core.history import History, Prompts
from sampling.core.logits import checked_logits
from sampling.core.params import SamplingParams, number
from sampling.dialects import Dialect, DialectName, get_dialect
from sampling.pipeline.effective import checked_params
from sampling.pipeline.pipeline import apply_edits
from sampling.replay.draw_again import Drawn, draw_again
from sampling.replay.past import past_of
from sampling.sampler.draw import Whole, word
from sampling.sampler.logprobs import checked_ids
from sampling.sampler.rules import RULES, Margin, RngKeys, Rule, checked_rule, rule_of_batch
from sampling.scoring.measure import chunks
from sampling.scoring.request import Request, batch_of


@dataclass(frozen=True)
class ReplayedTokens:
    """What a rule says of N recorded tokens.

    Args:
        recorded: The tokens, int64 [N].
        drawn: What the rule draws, int64 [N]; -1 where the row cannot be sampled.
        margin: How clear each draw is; its tolerance has the error of the logits in it.
        logprobs: ln of the recorded tokens' probabilities under the processed distribution, float32 [N]; -inf for a token
            outside of the kept set, NaN where the row cannot be sampled.
    """

    recorded: Tensor
    drawn: Tensor
    margin: Margin
    logprobs: Tensor

    @property
    def decided(self) -> Tensor:
        """Return True where the rule leaves no doubt, bool [N]."""
        return self.margin.decided

    @property
    def as_said(self) -> Tensor:
        """Return True where the token is the rule's, bool [N]."""
        return self.recorded == self.drawn

    @property
    def within_margin(self) -> Tensor:
        """Return True where the token is the runner-up of a draw that is too close to tell, bool [N]."""
        return ~self.as_said & ~self.decided & (self.recorded == self.margin.runner_up)

    @property
    def differs(self) -> Tensor:
        """Return True where the rule cannot have drawn the token, bool [N]."""
        return ~self.as_said & ~self.within_margin


@torch.no_grad()
def replay_tokens(
    logits: Tensor,
    token_ids: Tensor | Sequence[int],
    params: SamplingParams | Sequence[SamplingParams],
    *,
    rule: Rule,
    dialect: DialectName | Dialect | None = None,
    prompt_ids: Prompts | None = None,
    output_ids: Prompts | None = None,
    choices: Whole = 0,
    positions: Whole | None = None,
    logit_error: float = 0.0,
) -> ReplayedTokens:
    """Draw recorded tokens again, by the rule of an engine, and compare.

    Args:
        logits: The model's, [N, V], a row for each token.
        token_ids: The recorded tokens, [N].
        params: What they were sampled with, the seed among it: one SamplingParams for all rows, or one for each.
        rule: The rule of the draw, as `draw` has it.
        dialect: How the parameters are read; the rule's own dialect when left out.
        prompt_ids: The prompt of each row, as `History.start` takes them. Needed where a penalty or the rule counts it.
        output_ids: What each row had sampled before, likewise.
        choices: Index of each row's choice among the n of its request.
        positions: Where each row stands in its stream; as the rule counts the history when left out. A generator that B rows
            share has served m B + r rows before row r of the batch after m others.
        logit_error: How far the engine's logits may be from these, at least 0: as much is added to the rule's tolerance twice.

    Returns:
        What the rule says of each token.

    Raises:
        InvalidArgument: No such rule; a rule that needs a seed or a prompt, and a row without; arguments that do not fit.

    Example:
        Three tokens of a request to vLLM with the seed 5, of which the last was changed by hand.

        >>> import torch
        >>> past = {"prompt_ids": [[7, 8]] * 3, "output_ids": [[], [38], [38, 46]]}
        >>> said = replay_tokens(torch.zeros(3, 50), [38, 46, 0], SamplingParams(seed=5), rule="vllm-0.33", **past)
        >>> said.drawn.tolist(), said.differs.tolist()
        ([38, 46, 47], [False, False, True])
    """
    rule = checked_rule(rule)
    error = number("logit_error", logit_error, 0.0, 1e3)
    count, width = with_values("logits", checked_logits(logits)).shape
    batch = batch_of(params, count)
    ids = checked_ids(token_ids, count, width, lowest=0).to(logits.device, torch.int64)
    style = get_dialect(dialect or RULES[rule].dialect)
    request = Request.of(params, style).to(logits.device)
    past = past_of(request, prompt_ids, output_ids, count, logits.device)
    rule = rule_of_batch(rule, [checked_params(one, style).uses(RULES[rule].sorted_by) for one in batch])
    drawing = RULES[rule]
    if drawing.counts_prompt and bool((past.prompt_lengths == 0).any()):
        raise InvalidArgument("prompt_ids", prompt_ids and "an empty prompt", drawing.words_of_prompt)
    seeds = torch.tensor([drawing.seed_key(one.seed) for one in batch], dtype=torch.int64)
    seeds = seeds.to(logits.device).expand(count)
    # Each row is a batch of its own, whatever the others are.
    seeds, numbers = drawing.keyed(seeds, word("choices", choices, count, logits.device))
    own = drawing.position(past) if positions is None else word("positions", positions, count, logits.device)
    keys = RngKeys(seeds, own, numbers)
    found = Drawn.nothing(count, logits.device)
    for rows in chunks(logits):
        some, edited = request.select(rows), logits[rows].float()
        if isinstance(past, History):
            edited = apply_edits(some.plan.edits, edited, past.select(range(count)[rows]))
        found.write(rows, draw_again(drawing, some, edited, ids[rows], keys.select(rows)))
    margin = replace(found.margin, tolerance=found.margin.tolerance + 2 * error)
    return ReplayedTokens(ids, found.tokens, margin, found.logprobs)
