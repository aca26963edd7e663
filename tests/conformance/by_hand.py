"""A sampler in numpy, written from the page's words alone, and what engines are known to do otherwise, one thing each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
LIMITS = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}


class ByHand:
    """The page's sampler, in float64 with a stable sort; subclasses do one thing otherwise."""

    name, version = "by hand", "1"
    ignored: tuple[str, ...] = ()

    def __call__(
        self,
        logits: Floats,
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seed: int | None,
    ) -> int:
        return self.many(logits, params, prompt_ids, output_ids, [seed])[0]

    def many(
        self,
        logits: Floats,
        params: Mapping[str, Any],
        prompt_ids: Sequence[int],
        output_ids: Sequence[int],
        seeds: Sequence[int | None],
    ) -> list[int]:
        for field, (low, high) in LIMITS.items():
            if not low <= params.get(field, low) <= high:
                raise ValueError(f"{field} out of range")
        if any(abs(value) > 100 for value in params.get("logit_bias", {}).values()):
            raise ValueError("logit_bias out of range")
        given = {key: value for key, value in params.items() if key not in self.ignored}
        p = self.distribution(logits.astype(np.float64), given, prompt_ids, output_ids)
        p = p.cumsum()
        uniforms = [
            np.random.default_rng(None if s is None else (s, len(output_ids))).random() for s in seeds
        ]
        return np.searchsorted(p, np.array(uniforms) * p[-1], side="right").tolist()

    def distribution(
        self, x: Floats, params: Mapping[str, Any], prompt: Sequence[int], output: Sequence[int]
    ) -> Floats:
        for token, value in params.get("logit_bias", {}).items():
            x[int(token)] += value
        counts = np.bincount(np.array(output, dtype=int), minlength=len(x))[: len(x)]
        x = self.penalised(x, counts, params)
        t = params.get("temperature", 1)
        if t == 0:
            return likeliest(x)
        p = np.exp((x - x.max()) / t)
        return self.truncated(p / p.sum(), params)

    def penalised(self, x: Floats, counts: Floats, params: Mapping[str, Any]) -> Floats:
        r = np.where(counts > 0, params.get("repetition_penalty", 1), 1)
        x = np.where(x > 0, x / r, x * r)
        x = x - params.get("frequency_penalty", 0) * counts
        return x - params.get("presence_penalty", 0) * (counts > 0)

    def truncated(self, p: Floats, params: Mapping[str, Any]) -> Floats:
        k, top_p, min_p = params.get("top_k", 0), params.get("top_p", 1), params.get("min_p", 0)
        if k:
            p = self.normal(np.where(self.places(p) < k, p, 0))
        if top_p < 1:
            p = self.normal(np.where(self.nucleus(p, top_p, k), p, 0))
        if min_p:
            p = self.normal(np.where(self.likely(p, min_p), p, 0))
        return p

    def normal(self, p: Floats) -> Floats:
        return p / p.sum()

    def places(self, p: Floats) -> Floats:
        """The rank of each token."""
        places = np.empty(len(p), dtype=int)
        places[self.order(p)] = np.arange(len(p))
        return places

    def order(self, p: Floats) -> Floats:
        return np.argsort(-p, kind="stable")

    def nucleus(self, p: Floats, top_p: float, k: int) -> Floats:
        order = self.order(p)
        held = p[order].cumsum()
        kept = np.zeros(len(p), dtype=bool)
        kept[order[: 1 + int((held < top_p - 1e-12).sum())]] = True
        return kept

    def likely(self, p: Floats, min_p: float) -> Floats:
        return p >= min_p * p.max()


class Loose(ByHand):
    """Stops where what is kept is p of itself and of all tokens left at the last one's probability: a bound for the rest."""

    exact_up_to = 0

    def nucleus(self, p: Floats, top_p: float, k: int) -> Floats:
        if len(p) <= self.exact_up_to:
            return super().nucleus(p, top_p, k)
        kept, mass = np.zeros(len(p), dtype=bool), 0.0
        for place, token in enumerate(self.order(p)):
            kept[token], mass = True, mass + p[token]
            if mass >= top_p * (mass + (len(p) - 1 - place) * p[token]):
                break
        return kept


class LooseBeyond64(Loose):
    """The same, but exact for vocabularies up to 64 and where there is a top_k."""

    exact_up_to = 64

    def nucleus(self, p: Floats, top_p: float, k: int) -> Floats:
        return ByHand.nucleus(self, p, top_p, k) if k else super().nucleus(p, top_p, k)


class First1024(ByHand):
    """Looks for the nucleus among the 1024 most likely tokens only."""

    def nucleus(self, p: Floats, top_p: float, k: int) -> Floats:
        kept = super().nucleus(p, top_p, k)
        return kept & (self.places(p) < 1024)


class LastGoes(ByHand):
    """With top_k and top_p keeps what is strictly above the least likely candidate, as a search between bounds does."""

    def nucleus(self, p: Floats, top_p: float, k: int) -> Floats:
        kept = super().nucleus(p, top_p, k)
        left = p[p > 0]
        return kept & ((p > left.min()) | (p == p.max())) if k else kept


class Underflows(ByHand):
    """Subtracts mean + 10 standard deviations instead of the maximum: where low logits make all exponentials 0, keeps all."""

    def distribution(
        self, x: Floats, params: Mapping[str, Any], prompt: Sequence[int], output: Sequence[int]
    ) -> Floats:
        finite = x[np.isfinite(x)].astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            shift = min(finite.mean() + 10 * finite.std(), 1e30)
            lost = not np.exp((finite - shift).astype(np.float32)).any()
        dropped = {"top_p", "top_k"} if lost else set[str]()
        left = {name: value for name, value in params.items() if name not in dropped}
        return super().distribution(x, left, prompt, output)


class Scrambled(ByHand):
    """An unstable sort: the order of equal logits is any, always the same for a row; by high ids up to 16."""

    stays = 16

    def order(self, p: Floats) -> Floats:
        ids = np.arange(len(p))
        odd = -ids if len(p) <= self.stays else np.random.default_rng(len(p)).permutation(len(p))
        return np.lexsort((odd, -p))


class KeepsTies(ByHand):
    """Keeps all tokens that are as likely as the nucleus's last one."""

    def nucleus(self, p: Floats, top_p: float, k: int) -> Floats:
        return p >= p[super().nucleus(p, top_p, k)].min()


class Strict(ByHand):
    """min_p in float32, a token exactly at it out."""

    def likely(self, p: Floats, min_p: float) -> Floats:
        near = p.astype(np.float32)
        return (near > np.float32(min_p) * near.max()) | (near == near.max())


class SignFollowed(ByHand):
    """Adds frequency and presence penalty to negative logits."""

    def penalised(self, x: Floats, counts: Floats, params: Mapping[str, Any]) -> Floats:
        x = super().penalised(x, counts, {"repetition_penalty": params.get("repetition_penalty", 1)})
        for amount in (
            params.get("presence_penalty", 0) * (counts > 0),
            params.get("frequency_penalty", 0) * counts,
        ):
            x = np.where(x < 0, x + amount, x - amount)
        return x


class Greedy(ByHand):
    """Takes the most likely token at every temperature."""

    def truncated(self, p: Floats, params: Mapping[str, Any]) -> Floats:
        return likeliest(p)


def likeliest(p: Floats) -> Floats:
    """All mass on the first of the largest."""
    return (np.arange(len(p)) == p.argmax()).astype(float)


def ignoring(*names: str) -> ByHand:
    """Takes some parameters and does nothing with them."""
    sampler = ByHand()
    sampler.ignored = names
    return sampler


class ByTransformers(ByHand):
    """The processors of transformers in the order of its `generate`, right in its own dialect."""

    def __init__(self) -> None:
        import transformers

        self.kinds: Mapping[str, Callable[[Any], Any]] = {
            "temperature": lambda t: transformers.TemperatureLogitsWarper(float(t)),
            "top_k": lambda k: transformers.TopKLogitsWarper(k),
            "top_p": lambda p: transformers.TopPLogitsWarper(float(p)),
            "min_p": lambda p: transformers.MinPLogitsWarper(float(p)),
        }

    def distribution(
        self, x: Floats, params: Mapping[str, Any], prompt: Sequence[int], output: Sequence[int]
    ) -> Floats:
        import torch

        unknown = params.keys() - self.kinds.keys()
        if unknown:
            raise ValueError(f"{unknown} not supported")
        row = torch.from_numpy(x.astype(np.float32))[None]
        for name, make in self.kinds.items():
            if name in params and not (name == "top_k" and params[name] == 0):
                row = make(params[name])(torch.zeros(1, 0, dtype=torch.int64), row)
        return row[0].double().softmax(-1).numpy()
