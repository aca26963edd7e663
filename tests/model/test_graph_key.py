"""Graphs that are found by the key of a model: one for models alike, others where anything but the weights differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_llama import CONFIG, small
from torch import Tensor, nn
from torch._dynamo.utils import counters

from sampling.compile.graphs import skip_globals_and_modules
from sampling.model import Llama, forward
from sampling.model.forward import forward_of
from sampling.model.graph_key import graph_cache_key
from sampling.model.projection import linear_products, projections_of


def doubled(_module: nn.Module, _given: tuple[Tensor], result: Tensor) -> Tensor:
    return 2 * result


def logits_of(model: Llama, *, compiled: bool) -> Tensor:
    logits = torch.zeros(1, 97)
    forward = forward_of(model, 32, logits, compiled=compiled)
    for token in (5, 7, 11):
        forward.reserve(torch.ones(1, dtype=torch.int64))
        forward.run(torch.tensor([token]))
    return logits


def test_models_of_one_shape_are_of_one_key():
    assert graph_cache_key(small()) == graph_cache_key(small(seed=1)) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"rms_norm_eps": 0.5},
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16},
        {"tie_word_embeddings": True},
    ],
)
def test_what_a_shape_says_makes_a_key(change):
    assert graph_cache_key(small(replace(CONFIG, **change))) != graph_cache_key(small())


def test_types_forms_and_attributes_make_a_key():
    other, reordered, sharper = small(), small(), small()
    for projection in projections_of(other):
        projection.form = linear_products
    reordered.layers[0].self_attn.layer, reordered.layers[1].self_attn.layer = 1, 0
    sharper.norm.eps = 0.1
    models = (small(), small().bfloat16(), other, reordered, sharper)
    keys = {graph_cache_key(model) for model in models}
    assert len(keys) == 5
    assert None not in keys


def test_a_changed_model_has_no_key():
    hooked, replaced, subclassed, attending, other = (small() for _ in range(5))
    hooked.layers[1].register_forward_hook(doubled)
    replaced.norm.forward = lambda hidden: 2 * hidden
    subclassed.norm.__class__ = type("Norm", (type(subclassed.norm),), {})
    attending.layers[0].self_attn.attend = lambda q, *_: q.flatten(2)
    other.norm.weight = type("Weight", (nn.Parameter,), {})(torch.ones(32))
    models = (hooked, replaced, subclassed, attending, other)
    assert [graph_cache_key(model) for model in models] == [None] * 5


@pytest.mark.usefixtures("traced")
def test_a_step_asks_for_the_key_and_for_nothing_of_the_model(monkeypatch):
    kept: list[str] = []

    def noted(guards: Sequence[Any]) -> list[bool]:
        answers = skip_globals_and_modules(guards)
        kept.extend(guard.name for guard, wanted in zip(guards, answers, strict=True) if wanted)
        return answers

    monkeypatch.setattr(forward, "skip_globals_and_modules", noted)
    logits_of(small(), compiled=True)
    assert "key" in kept
    assert any("cache" in name for name in kept)
    assert not [name for name in kept if "model" in name]


@pytest.mark.usefixtures("traced")
def test_each_model_runs_by_its_own_graph():
    """One graph for two models alike; one more for another epsilon and for a hook each, and the logits of eager steps."""
    hooked, embedded = small(), small()
    hooked.layers[1].register_forward_hook(doubled)
    embedded.embed_tokens.register_forward_hook(doubled)
    models = [small(), small(seed=1), small(replace(CONFIG, rms_norm_eps=0.5)), hooked, embedded]
    graphs: list[int] = []
    for model in models:
        told = logits_of(model, compiled=False)
        torch.testing.assert_close(logits_of(model, compiled=True), told, rtol=0, atol=2e-5)
        graphs.append(counters["stats"]["unique_graphs"])
    first, *others = graphs
    assert [graph - first for graph in others] == [0, 1, 2, 3]


FACTOR = 2.0


def scaled(_module: nn.Module, _given: tuple[Tensor], result: Tensor) -> Tensor:
    return FACTOR * result


@pytest.mark.usefixtures("traced")
def test_a_global_that_a_hook_reads_is_asked_for(monkeypatch):
    model = small()
    model.norm.register_forward_hook(scaled)
    told: list[Tensor] = []
    for factor in (2.0, 3.0):
        monkeypatch.setitem(scaled.__globals__, "FACTOR", factor)
        told.append(logits_of(model, compiled=False))
        torch.testing.assert_close(logits_of(model, compiled=True), told[-1], rtol=0, atol=2e-5)
    assert not torch.equal(*told)


@pytest.mark.usefixtures("traced")
def test_a_model_that_changes_its_type_takes_another_graph():
    model, logits = small(), torch.zeros(1, 97)
    forward = forward_of(model, 32, logits, compiled=True)
    for dtype in (torch.float32, torch.bfloat16):
        model.to(dtype)
        forward.reserve(torch.ones(1, dtype=torch.int64))
        forward.run(torch.tensor([5]))
    told = small().bfloat16().float()(torch.tensor([[5, 5]]))[:, -1]
    torch.testing.assert_close(logits, told, rtol=0, atol=0.02 * float(told.std()))
