"""How products are computed: each form against float64, packed weights that change, twins on the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from sampling.model import Llama, LlamaConfig, pack, projection
from sampling.model.attend import fused, summed
from sampling.model.projection import (
    Packed,
    Projection,
    by_blocks,
    by_module,
    by_sum,
    by_weight,
    projections_of,
    summing,
)

WIDTHS = (48, 16, 33)
FORMS = {"module": by_module, "weight": by_weight, "sum": by_sum, "packed": Packed()}

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN here")


def layers(dtype: torch.dtype) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(64, width, bias=False, dtype=dtype).requires_grad_(False) for width in WIDTHS]


def exact(hidden: Tensor, modules: list[nn.Linear]) -> list[Tensor]:
    return [hidden.double() @ module.weight.double().T for module in modules]


def small() -> Llama:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
    )
    return Llama(config).requires_grad_(False)


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 64), (3, 64), (2, 5, 64)])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_in_float32(form, shape):
    modules, hidden = layers(torch.float32), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for ours, told in zip(FORMS[form](hidden, modules), exact(hidden, modules), strict=True):
        torch.testing.assert_close(ours.double(), told, rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(64,), (1, 64), (1, 1, 64)])
def test_one_row_by_blocks(shape):
    """48, 16 and 33 rows of weights: in blocks of 3, of 1, and in one."""
    modules, hidden = layers(torch.float32), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for ours, told in zip(by_blocks(hidden, modules), exact(hidden, modules), strict=True):
        assert ours.shape == told.shape
        torch.testing.assert_close(ours.double(), told, rtol=0, atol=2e-6)


@needs_onednn
def test_a_packed_model_takes_blocks_for_one_row_in_float32_only(monkeypatch):
    taken: list[tuple[int, ...]] = []

    def noted(hidden: Tensor, modules: list[nn.Linear]) -> list[Tensor]:
        taken.append(tuple(hidden.shape))
        return by_blocks(hidden, modules)

    monkeypatch.setattr(projection, "by_blocks", noted)
    for dtype in (torch.float32, torch.bfloat16):
        for shape in ((1, 1, 64), (1, 2, 64), (2, 1, 64)):
            Packed()(torch.ones(shape, dtype=dtype), layers(dtype))
    assert taken == ([(1, 1, 64)] if torch.backends.mkl.is_available() else [])


@needs_onednn
@pytest.mark.parametrize("form", FORMS)
def test_each_form_in_bfloat16_rounds_once(form):
    """Sums of 64 products in float32, then one rounding to 8 bits: half a unit, and what float32 adds."""
    modules, hidden = (
        layers(torch.bfloat16),
        torch.randn(3, 64, generator=torch.Generator().manual_seed(1)).bfloat16(),
    )
    for ours, told in zip(FORMS[form](hidden, modules), exact(hidden, modules), strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.double(), told, rtol=2**-8, atol=1e-5)


@needs_onednn
def test_packed_weights_that_change_are_packed_again():
    modules, hidden = layers(torch.float32), torch.ones(1, 64)
    projection = Projection(*modules, form=Packed())
    projection(hidden)
    modules[1].weight.mul_(3.0)
    torch.testing.assert_close(projection(hidden)[1].double(), exact(hidden, modules)[1], rtol=0, atol=1e-5)
    modules[2].weight = nn.Parameter(torch.full((33, 64), 2.0))
    torch.testing.assert_close(projection(hidden)[2], torch.full((1, 33), 128.0))


@needs_onednn
def test_a_packed_model_keeps_its_parameters_and_its_logits():
    model, plain = small(), small()
    pack(model)
    assert [*model.state_dict()] == [*plain.state_dict()]
    assert all(map(torch.equal, model.state_dict().values(), plain.state_dict().values()))
    assert all(isinstance(projection.form, Packed) for projection in projections_of(model))
    tokens = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(model(tokens), plain(tokens), rtol=0, atol=2e-5)
    torch.testing.assert_close(copy.deepcopy(model)(tokens), plain(tokens), rtol=0, atol=2e-5)


def test_every_product_of_a_model_is_a_projection():
    model = small()
    names = {id(module): name for name, module in model.named_modules()}
    projected = [names[id(module)] for projection in projections_of(model) for module in projection.modules]
    every = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert sorted(projected) == sorted(every)


def test_a_twin_shares_the_weights_and_leaves_the_model_as_it_is():
    model = small()
    twin = summing(model, summed)
    assert [id(p) for p in twin.parameters()] == [id(p) for p in model.parameters()]
    assert {projection.form for projection in projections_of(twin)} == {by_sum}
    assert by_sum not in {projection.form for projection in projections_of(model)}
    attends = [[block.self_attn.attend for block in each.layers] for each in (twin, model)]
    assert attends == [[summed] * 2, [fused] * 2]
    model.norm.weight.mul_(2.0)
    tokens = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(twin(tokens), model(tokens), rtol=0, atol=2e-5)


def test_a_twin_computes_in_float32_whatever_the_type_of_the_weights():
    """Against the same weights in float64: no rounding to bfloat16 anywhere, where the model itself rounds everywhere."""
    model = small().bfloat16()
    tokens = torch.tensor([[1, 2, 3, 4]])
    told = copy.deepcopy(model).double()(tokens)
    torch.testing.assert_close(summing(model, None)(tokens), told, rtol=0, atol=1e-5)
    assert bool(((model(tokens) - told).abs() > 1e-4).any())
