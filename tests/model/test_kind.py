"""Graphs that are found by the kind of a model: one for models alike, others where anything but the weights differs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from sampling.model import Llama, LlamaConfig
from sampling.model.forward import forward_of
from sampling.model.kind import kind_of
from sampling.model.projection import by_weight, projections_of

CONFIG = LlamaConfig(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=64,
)


def model_of(config: LlamaConfig = CONFIG, seed: int = 0) -> Llama:
    torch.manual_seed(seed)
    return Llama(config).requires_grad_(False)


def doubled(_module: nn.Module, _given: tuple[Tensor], result: Tensor) -> Tensor:
    return 2 * result


def logits_of(model: Llama, *, compiled: bool) -> Tensor:
    logits = torch.zeros(1, 97)
    forward = forward_of(model, model.new_cache(1, 32), logits, compiled=compiled)
    for token in (5, 7, 11):
        forward.claim(torch.ones(1, dtype=torch.int64))
        forward.run(torch.tensor([token]))
    return logits


def test_models_of_one_shape_are_of_one_kind():
    assert kind_of(model_of()) == kind_of(model_of(seed=1)) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"rms_norm_eps": 0.5},
        {"rope_theta": 100.0},
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16},
        {"tie_word_embeddings": True},
    ],
)
def test_what_a_shape_says_makes_a_kind(change):
    assert kind_of(model_of(replace(CONFIG, **change))) != kind_of(model_of())


def test_types_and_forms_make_a_kind():
    other = model_of()
    for projection in projections_of(other):
        projection.form = by_weight
    kinds = {kind_of(model) for model in (model_of(), model_of().bfloat16(), other)}
    assert len(kinds) == 3
    assert None not in kinds


def test_a_changed_model_has_no_kind():
    hooked, replaced, subclassed = model_of(), model_of(), model_of()
    hooked.layers[1].register_forward_hook(doubled)
    replaced.norm.forward = lambda hidden: 2 * hidden
    subclassed.norm.__class__ = type("Norm", (type(subclassed.norm),), {})
    assert [kind_of(model) for model in (hooked, replaced, subclassed)] == [None] * 3


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled")
def test_each_model_runs_by_its_own_graph():
    """One graph for two models alike; one more for another epsilon and for a hook each, and the logits of eager steps."""
    hooked = model_of()
    hooked.layers[1].register_forward_hook(doubled)
    models = [model_of(), model_of(seed=1), model_of(replace(CONFIG, rms_norm_eps=0.5)), hooked]
    graphs: list[int] = []
    for model in models:
        told = logits_of(model, compiled=False)
        torch.testing.assert_close(logits_of(model, compiled=True), told, rtol=0, atol=2e-5)
        graphs.append(counters["stats"]["unique_graphs"])
    first, *others = graphs
    assert [graph - first for graph in others] == [0, 1, 2]


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled")
def test_a_model_that_changes_its_type_takes_another_graph():
    model, logits = model_of(), torch.zeros(1, 97)
    forward = forward_of(model, model.new_cache(1, 32), logits, compiled=True)
    for dtype in (torch.float32, torch.bfloat16):
        model.to(dtype)
        forward.claim(torch.ones(1, dtype=torch.int64))
        forward.run(torch.tensor([5]))
    told = model_of().bfloat16().float()(torch.tensor([[5, 5]]))[:, -1]
    torch.testing.assert_close(logits, told, rtol=0, atol=0.02 * float(told.std()))
