"""EleutherAI's lm-eval: our model and our sampler as one of its language models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from sampling.adapters.hosts import check_host
from sampling.chat.language_model import LanguageModel
from sampling.core.errors import InvalidArgument, RowError
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, DialectName, get_dialect
from sampling.generate.decode import Decoder
from sampling.sampler.logprobs import logprobs
from sampling.sampler.rules import seed_key

__all__ = ["ReferenceLM"]
logger = logging.getLogger("sampling")

PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
)


class ReferenceLM(TemplateLM):
    """A language model for `lm_eval.simple_evaluate(model=ReferenceLM(load(...)))`.

    Log likelihoods are sums of `logprobs` of the model's own logits. Texts are drawn exactly, greedily unless a task samples;
    what a task asks for again, as with `repeats`, is the next choice of the same request.

    Args:
        model: As `load` gives it.
        seed: Of tasks that sample and name none.
        dialect: What the parameters of generation mean.

    Source: lm-eval's `hf` model, which splits, cuts and joins texts in the same way.

    Raises:
        InvalidArgument: lm-eval is of an untested version. When it runs: a task has a parameter of generation that the library
            does not have.
    """

    def __init__(
        self, model: LanguageModel, *, seed: int = 0, dialect: DialectName | Dialect = "vllm"
    ) -> None:
        check_host("lm_eval")
        super().__init__()
        self.model, self.seed, self.dialect = model, seed_key(seed), get_dialect(dialect)
        self.tokenizer = model.tokenizer

    @property
    def max_length(self) -> int:
        """Return the model's context."""
        return self.model.model.config.max_position_embeddings

    @property
    def eot_token_id(self) -> int:
        """Return the tokenizer's end token."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """Return what stands before a text without context: the token that begins texts, or the end token."""
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else begin

    @property
    def tokenizer_name(self) -> str:
        """Return what caches of requests are kept under."""
        return self.model.name

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        """Render a conversation as text."""
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return the token ids of a text; the token that begins texts once, if the tokenizer puts it there."""
        if add_special_tokens is None:
            add_special_tokens = not has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id))
        return self.tokenizer.encode(string, add_special_tokens=add_special_tokens)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        """Return for each (texts, context, continuation) the log likelihood, and whether each token is the most likely."""
        answers: list[tuple[float, bool]] = []
        for key, context, continuation in requests:
            answers.append(self._scored([*context], [*continuation]))
            if key is not None:
                self.cache_hook.add_partial("loglikelihood", key, answers[-1])
        return answers

    def _scored(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        """Score a continuation; the context loses its beginning where both are longer than the model's."""
        ids = self._fitting([*context, *continuation], self.max_length + 1)
        rows = self.model.logits(ids[:-1])[-len(continuation) :]
        found = logprobs(rows, continuation)
        return found.logprobs.double().sum().item(), bool((found.ranks == 1).all())

    def _fitting(self, ids: list[int], most: int) -> list[int]:
        """Return the last so many token ids, as lm-eval's models do; the log says what is lost."""
        if len(ids) > most:
            logger.warning(
                "lm_eval: a text of %d tokens loses its first %d: it does not fit", len(ids), len(ids) - most
            )
        return ids[-most:]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the log likelihood of whole texts, in windows of the model's context."""
        return [self._rolled(*request.args) for request in requests]

    def _rolled(self, text: str) -> float:
        windows = get_rolling_token_windows(self.tok_encode(text), self.prefix_token_id, self.max_length, 1)
        parts = self._loglikelihood_tokens([(None, *make_disjoint_window(window)) for window in windows])
        return sum(likelihood for likelihood, _ in parts)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return a text for each request, up to a stop string."""
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(repr(request.args), []).append(place)
        texts = [""] * len(requests)
        for same in places.values():
            context, wanted = requests[same[0]].args
            for place, text in zip(same, self._generated(context, wanted, choices=len(same)), strict=True):
                texts[place] = text
                self.cache_hook.add_partial("generate_until", (context, wanted), text)
        return texts

    def _generated(self, context: str, wanted: Mapping[str, Any], choices: int) -> list[str]:
        """Generate the choices of one request."""
        kwargs: dict[str, Any] = {**normalize_gen_kwargs({**wanted})}
        stops = handle_stop_sequences(kwargs.pop("until", None), eos=self.tokenizer.decode(self.eot_token_id))
        most = kwargs.pop("max_gen_toks")
        params = self._params(kwargs)
        ids = self._fitting(self.tok_encode(context), self.max_length - most)
        decoder = Decoder(
            self.model.model,
            rows=choices,
            capacity=len(ids) + most,
            tokenizer_vocab_size=len(self.model.vocabulary),
            dialect=self.dialect,
        )
        rows = decoder.add(ids, params, choices=choices, max_tokens=most)
        tokens: dict[int, list[int]] = {row: [] for row in rows}
        running = {*rows}
        while running:
            for row, sampled in decoder.step().items():
                if isinstance(sampled, RowError):
                    raise sampled
                tokens[row].append(sampled.token_id)
                if self._ends(tokens[row], stops, most):
                    decoder.remove([row])
                    running.remove(row)
        return [postprocess_generated_text(self._text(tokens[row]), stops, None) for row in rows]

    def _ends(self, tokens: Sequence[int], stops: Sequence[str], most: int) -> bool:
        """Return True if a text is complete."""
        return (
            len(tokens) == most
            or tokens[-1] in self.model.vocabulary.end_ids
            or any(stop and stop in self._text(tokens) for stop in stops)
        )

    def _text(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def _params(self, kwargs: dict[str, Any]) -> SamplingParams:
        """Return what a task asks for.

        Raises:
            InvalidArgument: A parameter that the library does not have.
        """
        if not kwargs.pop("do_sample"):
            kwargs["temperature"] = 0.0
        unknown = [name for name in kwargs if name not in PARAMETERS]
        if unknown:
            raise InvalidArgument(
                f"generation_kwargs.{unknown[0]}", kwargs[unknown[0]], f"one of {', '.join(PARAMETERS)}"
            )
        fields: dict[str, Any] = {"seed": self.seed, **kwargs}
        return SamplingParams(**fields, ranges=self.dialect.ranges)
