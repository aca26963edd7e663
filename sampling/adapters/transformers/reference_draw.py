"""The exact draw in transformers' own decoding loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteriaList
from transformers.generation.configuration_utils import GenerationMode
from transformers.generation.utils import GenerateDecoderOnlyOutput

from sampling.adapters.hosts import check_host
from sampling.adapters.one_hot import one_hot_logits
from sampling.adapters.transformers.prompts import PaddedPrompts
from sampling.adapters.transformers.running_rows import RunningRows, checked_numbers
from sampling.core.errors import InvalidArgument, UnsampleableRow
from sampling.core.params import integer
from sampling.pipeline.pipeline import Pipeline
from sampling.processors import Processor
from sampling.sampler.draw import Whole, draw, row_tensor
from sampling.sampler.logprobs import Logprobs, logprobs
from sampling.sampler.rules import seed_key

OwnRule = Literal["integer", "gumbel"]
MODES = ("processed", "raw")


@dataclass
class ReferenceDrawOutput(GenerateDecoderOnlyOutput):
    """What `generate` returns with `return_dict_in_generate=True`; its other fields are transformers' own.

    Args:
        logprobs: Of the sampled tokens, float32 [B, N]; NaN once a row has ended.
        ranks: Their ranks, 1 for the most likely, int64 [B, N]; 0 once a row has ended.
        top_token_ids: The K most likely tokens, int64 [B, N, K].
        top_logprobs: Their log probabilities, float32 [B, N, K].
    """

    logprobs: Tensor | None = None
    ranks: Tensor | None = None
    top_token_ids: Tensor | None = None
    top_logprobs: Tensor | None = None


class ReferenceDraw:
    """The exact draw for transformers' `generate`: `generate(custom_generate=ReferenceDraw(...))`.

    The loop, its cache, its streamer and its stopping criteria are transformers' own; the tokens are those of `draw`. The n
    rows that `num_return_sequences` makes of a prompt are its choices 0 to n - 1.

    Args:
        pipeline: What is done to the model's logits; its numbers are one for all prompts, or one for each. None leaves that to
            `generate`'s own parameters and processors, with do_sample=True.
        seed: One for all prompts, or one for each, as `draw` has it.
        rule: "integer" or "gumbel".
        logprobs: Of which distribution log probabilities are: "processed", that which was drawn from, or "raw".
        top_logprobs: K, how many alternatives are reported at each position.

    Raises:
        InvalidArgument: An argument is wrong, or transformers is of an untested version. When it runs: beams, an assistant or
            another way of decoding; processors of `generate` beside a pipeline; an encoder-decoder; prompts that are no token
            ids, or padded on the right.
        UnsampleableRow: A row has NaN, +inf or nothing left.

    Example:
        >>> import torch
        >>> from transformers import LlamaForCausalLM
        >>> from sampling import Temperature, TopP, chain
        >>> from sampling.adapters.transformers import ReferenceDraw
        >>> from sampling.toy import CHECKPOINT
        >>> model = LlamaForCausalLM.from_pretrained(str(CHECKPOINT), dtype=torch.float32)
        >>> exact = ReferenceDraw(chain(Temperature(0.8), TopP(0.9)), seed=7)
        >>> out = model.generate(torch.tensor([[5, 6, 7]]), custom_generate=exact, max_new_tokens=4, pad_token_id=0)
        >>> again = model.generate(torch.tensor([[5, 6, 7]]), custom_generate=exact, max_new_tokens=4, pad_token_id=0)
        >>> torch.equal(out, again)
        True
    """

    def __init__(
        self,
        pipeline: Processor | None = None,
        *,
        seed: Whole,
        rule: OwnRule = "integer",
        logprobs: Literal["processed", "raw"] = "processed",
        top_logprobs: int = 0,
    ) -> None:
        check_host("transformers")
        for name, value, allowed in (("rule", rule, ("integer", "gumbel")), ("logprobs", logprobs, MODES)):
            if value not in allowed:
                raise InvalidArgument(name, value, f"one of {', '.join(allowed)}")
        self.pipeline = None if pipeline is None else Pipeline(pipeline)
        self.rule: OwnRule = rule
        self.seed, self.mode = seed, logprobs
        self.top_logprobs = integer("top_logprobs", top_logprobs, 0)

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        synced_gpus: bool = False,
        streamer: Any = None,
        **model_kwargs: Any,
    ) -> Tensor | GenerateDecoderOnlyOutput:
        """Run the decoding loop; `generate` calls it."""
        dropped = arguments_of_generate()
        streamer = streamer or dropped.get("streamer")
        self._check_mode(model, generation_config, dropped.get("assistant_model"), model_kwargs)
        self._check_processors(logits_processor, generation_config)
        drawing = self._drawing(
            input_ids, model_kwargs.get("attention_mask"), logits_processor, generation_config
        )
        generation_config.do_sample = (
            False  # one token is above -inf; the configuration is `generate`'s own copy
        )
        result = model._sample(
            input_ids,
            LogitsProcessorList([drawing]),
            Ending(stopping_criteria, drawing),
            generation_config,
            synced_gpus=synced_gpus or bool(dropped.get("synced_gpus")),
            streamer=streamer,
            **model_kwargs,
        )
        return result if isinstance(result, Tensor) else drawing.output(result)

    def _drawing(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        logits_processor: LogitsProcessorList,
        config: GenerationConfig,
    ) -> Drawing:
        """Return what draws in the rows of a call."""
        rows = PaddedPrompts.of(input_ids, attention_mask)
        choices = config.num_return_sequences or 1
        prompts = rows.every(choices)
        seeds = row_tensor("seed", self.seed, len(prompts), input_ids.device, seed_key)
        reports = bool(config.return_dict_in_generate)
        if self.top_logprobs and not reports:
            raise InvalidArgument("top_logprobs", self.top_logprobs, "0 without return_dict_in_generate=True")
        return Drawing(
            self,
            RunningRows(checked_numbers(self.pipeline or Pipeline(), prompts), prompts, choices),
            logits_processor,
            seeds.repeat_interleave(choices),
            torch.arange(choices, device=input_ids.device).repeat(len(prompts)),
            reports=reports,
        )

    def _check_mode(
        self, model: Any, config: GenerationConfig, assistant: Any, model_kwargs: Mapping[str, Any]
    ) -> None:
        """Refuse ways of decoding in which the tokens would not be these draws."""
        mode = config.get_generation_mode(assistant)
        if mode not in (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH):
            raise InvalidArgument(
                "custom_generate", mode.value, "sampling, without beams and without an assistant"
            )
        if model.config.is_encoder_decoder:
            raise InvalidArgument("model", type(model).__name__, "a decoder alone")
        if model_kwargs.get("inputs_embeds") is not None:
            raise InvalidArgument(
                "inputs_embeds", "embeddings", "left out: prompts are token ids, which the history holds"
            )

    def _check_processors(self, logits_processor: LogitsProcessorList, config: GenerationConfig) -> None:
        """Refuse processors of `generate` beside a pipeline: nobody would have said in which order."""
        if self.pipeline is None:
            if not config.do_sample:
                raise InvalidArgument("do_sample", config.do_sample, "True where there is no pipeline")
        elif logits_processor:
            names = ", ".join(type(one).__name__ for one in logits_processor)
            words = (
                "left out beside a pipeline: do_sample=False leaves out most of generate's own, and so does top_k=0 with "
                "do_sample=True; as_stage puts others into the pipeline"
            )
            raise InvalidArgument("logits_processor", names, words)


class Drawing(LogitsProcessor):
    """Draws in the rows of one call, and hands the tokens to the loop as one-hot logits.

    Args:
        settings: What was asked for.
        rows: The rows.
        before: Processors of `generate` itself.
        seeds: int64 [B].
        choices: int64 [B].
        reports: Whether log probabilities are wanted.
    """

    def __init__(
        self,
        settings: ReferenceDraw,
        rows: RunningRows,
        before: LogitsProcessorList,
        seeds: Tensor,
        choices: Tensor,
        *,
        reports: bool,
    ) -> None:
        self.settings, self.rows = settings, rows
        self.before: Callable[[Any, Tensor], Tensor] = before
        self.seeds, self.choices, self.reports = seeds, choices, reports
        self.ended = torch.zeros_like(seeds, dtype=torch.bool)
        self.scores: list[Tensor] = []
        self.found: list[Logprobs] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return one-hot logits; of a row that has ended, at token 0, which the loop replaces."""
        self.rows.follow(input_ids, self.ended)
        running, history = self.rows.running, self.rows.history
        processed = self.before(input_ids, scores).clone()
        processed[running] = self.rows.pipeline(processed[running], history)
        tokens = torch.zeros_like(self.seeds)
        tokens[running] = draw(
            processed[running],
            seed=self.seeds[running],
            choice=self.choices[running],
            rule=self.settings.rule,
            history=history,
        )
        self._refuse_unsampleable(tokens, input_ids.shape[1])
        if self.reports:
            self.scores.append(processed)
            which = processed if self.settings.mode == "processed" else scores
            self.found.append(logprobs(which, tokens.where(~self.ended, -1), top=self.settings.top_logprobs))
        return one_hot_logits(scores, tokens)

    def _refuse_unsampleable(self, tokens: Tensor, length: int) -> None:
        """Refuse rows that cannot be sampled.

        Raises:
            UnsampleableRow: There is one.
        """
        rows = (tokens < 0).nonzero()[:, 0].tolist()
        if rows:
            raise UnsampleableRow(
                f"row {rows[0]} cannot be sampled after {length} token ids: it has NaN, +inf, or nothing left"
            )

    def output(self, result: GenerateDecoderOnlyOutput) -> ReferenceDrawOutput:
        """Return the loop's output with log probabilities, and with the scores that were drawn from."""
        steps = result.sequences.shape[1] - self.rows.prompt_width
        found = self.found[:steps]  # the loop may take a step more than it returns
        fields = dict(result.items())
        if result.scores is not None:
            fields["scores"] = tuple(self.scores[:steps])
        return ReferenceDrawOutput(
            **fields,
            logprobs=torch.stack([one.logprobs for one in found], 1),
            ranks=torch.stack([one.ranks for one in found], 1),
            top_token_ids=torch.stack([one.top_token_ids for one in found], 1),
            top_logprobs=torch.stack([one.top_logprobs for one in found], 1),
        )


class Ending(StoppingCriteriaList):
    """The stopping criteria of a call; tells the drawing which rows they have ended.

    Args:
        criteria: The call's.
        drawing: That of the same rows.
    """

    def __init__(self, criteria: StoppingCriteriaList, drawing: Drawing) -> None:
        super().__init__(criteria)
        self._criteria: Callable[..., Tensor] = criteria
        self._drawing = drawing
        # Without an end token the loop goes on sampling in rows that have ended, until all have.
        self._pads = any(hasattr(one, "eos_token_id") for one in criteria)

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """Ask all of them; `scores` are those that were drawn from."""
        drawn_from = None if scores is None else tuple(self._drawing.scores)
        ended = self._criteria(input_ids, drawn_from, **kwargs)
        if self._pads:
            self._drawing.ended = self._drawing.ended | ended
        return ended


def arguments_of_generate() -> Mapping[str, Any]:
    """Return the arguments of the `generate` that called, which hands neither streamer nor assistant on to a callable.

    An assistant would be ignored, and who reads from a streamer would wait for ever.
    """
    caller = inspect.currentframe()
    for _ in range(2):
        caller = caller.f_back if caller is not None else None
    return caller.f_locals if caller is not None and caller.f_code.co_name == "generate" else {}
