"""Scoring inside of a compiled function, and how much memory it takes besides the logits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sampling import InvalidArgument, SamplingParams, token_logprobs

WIDTH = 1003
PARAMS = [
    SamplingParams(temperature=0.7, top_p=0.9, frequency_penalty=0.5, logit_bias={3: 1.0}),
    SamplingParams(repetition_penalty=1.5, top_k=20),
    SamplingParams(temperature=0),
    SamplingParams(top_p=0.95, temperature=2.0),
]
PROMPTS, OUTPUTS = [[1], [2, 3], [], [4]], [[5, 5], [], [6], [7, 8, 9]]


def rows(seed: int, count: int = 4, width: int = WIDTH, scale: float = 3.0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.compiled
def test_one_graph_with_its_gradient(compiled: Callable[[Any], Any]) -> None:
    """The same bits as eager, for rows of few and of many kept tokens, with and without a gradient."""

    def loss(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scored = token_logprobs(
            2 * logits, tokens, PARAMS, dialect="vllm", prompt_ids=PROMPTS, output_ids=OUTPUTS, outside="keep"
        )
        return (scored.logprobs * torch.arange(1.0, 5)).sum(), scored.kept_counts, scored.log_kept_mass

    graph = compiled(loss)
    for scale in (0.1, 3.0):
        logits = rows(1, scale=scale)
        tokens = (2 * logits).argmax(-1)
        leaves = [logits.clone().requires_grad_() for _ in range(2)]
        got, expected = graph(leaves[0], tokens), loss(leaves[1], tokens)
        for one, other in zip(got, expected, strict=True):
            assert torch.equal(one, other)
        got[0].backward()
        expected[0].backward()
        assert leaves[0].grad is not None
        assert leaves[1].grad is not None
        assert leaves[1].grad.abs().max() > 0
        assert torch.equal(leaves[0].grad, leaves[1].grad)
        with torch.no_grad():
            assert torch.equal(graph(logits, tokens)[0], expected[0])


@pytest.mark.usefixtures("traced")
def test_other_requests_are_compiled_anew() -> None:
    logits, tokens = rows(2), rows(2).argmax(-1)

    def score(logits: Tensor, params: SamplingParams, kept: Tensor | None) -> Tensor:
        return token_logprobs(logits, tokens, params, dialect="vllm", kept=kept).logprobs

    graph = torch.compile(score, fullgraph=True)
    narrow, wide = SamplingParams(top_p=0.5), SamplingParams(top_p=0.99)
    for params in (narrow, wide, narrow, wide):
        assert torch.equal(graph(logits, params, None), score(logits, params, None))
    kept = logits > 2
    assert torch.equal(graph(logits, wide, kept), score(logits, wide, kept))
    lists: Any = [[0]] * 4
    with pytest.raises(Exception, match="a tensor, bool or int32, in what is compiled"):
        graph(logits, wide, lists)


@pytest.mark.compiled
def test_what_is_outside_is_refused_in_a_graph(compiled: Callable[[Any], Any]) -> None:
    params = SamplingParams(top_p=0.5)
    graph = compiled(lambda logits, tokens: token_logprobs(logits, tokens, params).logprobs)
    with pytest.raises(InvalidArgument, match=r"token_ids\[1\]"):
        graph(rows(3), torch.stack([rows(3).argmax(-1)[0], *rows(3).argmin(-1)[1:]]))


class Bytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, for as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.known:
            self.known.add(key)
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, count: int) -> None:
        self.known.discard(key)
        self.now -= count


def most_bytes(work: Callable[[], object], *inputs: Tensor) -> int:
    """The most bytes alive at once while something runs, without those of its inputs."""
    gc.collect()
    with Bytes() as counted:
        counted.known |= {one.untyped_storage()._cdata for one in inputs}
        work()
    return counted.most


def test_bytes_are_counted() -> None:
    """Two results alive at once, then one."""
    given = torch.zeros(1000)
    assert most_bytes(lambda: (given + 1) + 1, given) == 8000
    assert most_bytes(lambda: given.view(10, 100), given) == 0


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("few", torch.float32),
        ("many", torch.float32),
        ("edits", torch.bfloat16),
        ("mask", torch.float32),
    ],
)
def test_memory(kind: str, dtype: torch.dtype) -> None:
    """At most a quarter of 64 MiB of logits without a gradient, and the gradient more with one."""
    count = 512 // dtype.itemsize
    logits = rows(4, 8, 2**17, 0.5 if kind == "many" else 3.0).to(dtype).repeat(count // 8, 1)
    tokens, params = logits.argmax(-1), SamplingParams(top_p=0.9)
    more: dict[str, Any] = {"dialect": "vllm", "outside": "keep"}
    if kind == "edits":
        params = SamplingParams(top_p=0.9, frequency_penalty=0.5, temperature=0.7, logit_bias={3: 1.0})
        more["output_ids"] = torch.arange(count)[:, None]
    if kind == "mask":
        more["kept"] = logits > 1
    inputs = [one for one in (logits, tokens, more.get("kept")) if one is not None]
    assert most_bytes(lambda: token_logprobs(logits, tokens, params, **more), *inputs) <= logits.nbytes / 4
    leaf = logits.requires_grad_()

    def both() -> None:
        token_logprobs(leaf, tokens, params, **more).logprobs.sum().backward()

    assert most_bytes(both, leaf, *inputs) <= 1.25 * logits.nbytes
