"""How products are computed: each form against float64, packed weights that change, twins on the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from small_llama import small
from torch import Tensor, nn

from sampling.model import KeyValueCache, Llama, pack
from sampling.model.attend import reduce_attention, sdpa_attention
from sampling.model.projection import (
    Packed,
    Projection,
    as_gemv_model,
    blocked_gemv,
    call_modules,
    fits_blocks,
    gemv_reduce,
    linear_products,
    projections_of,
)

WIDTHS = (48, 16, 33)
FORMS = {"module": call_modules, "weight": linear_products, "sum": gemv_reduce, "packed": Packed()}

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN here")


def layers(dtype: torch.dtype) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(64, width, bias=False, dtype=dtype).requires_grad_(False) for width in WIDTHS]


def exact(hidden: Tensor, modules: list[nn.Linear]) -> list[Tensor]:
    return [hidden.double() @ module.weight.double().T for module in modules]


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 64), (3, 64), (2, 5, 64)])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_in_float32(form, shape):
    modules, hidden = layers(torch.float32), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for ours, told in zip(FORMS[form](hidden, modules), exact(hidden, modules), strict=True):
        torch.testing.assert_close(ours.double(), told, rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(512,), (1, 512), (1, 1, 512)])
def test_one_row_by_blocks(shape):
    """Blocks of 1, 3 and 40 rows; from 400 products on, torch hands them to MKL."""
    torch.manual_seed(0)
    modules = [nn.Linear(512, width, bias=False) for width in (16, 48, 640)]
    hidden = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for ours, told in zip(blocked_gemv(hidden, modules), exact(hidden, modules), strict=True):
        assert ours.shape == told.shape
        assert not ours.requires_grad
        torch.testing.assert_close(ours.double(), told, rtol=0, atol=5e-6)


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="no MKL here")
def test_blocks_are_for_one_row_in_float32_and_for_weights_that_can_be_cut():
    even, odd = torch.zeros(48, 64), torch.zeros(33, 64)
    assert fits_blocks(torch.ones(1, 1, 64), [even, even])
    assert not fits_blocks(torch.ones(1, 1, 64), [even, odd])
    assert not fits_blocks(torch.ones(1, 2, 64), [even])
    assert not fits_blocks(torch.ones(2, 1, 64), [even])
    assert not fits_blocks(torch.ones(1, 1, 64, dtype=torch.bfloat16), [even])


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
    modules, hidden = layers(torch.float32), torch.ones(2, 64)
    projection = Projection(*modules, form=Packed())
    projection(hidden)
    modules[1].weight.mul_(3.0)
    torch.testing.assert_close(projection(hidden)[1].double(), exact(hidden, modules)[1], rtol=0, atol=1e-5)
    modules[2].weight = nn.Parameter(torch.full((33, 64), 2.0))
    torch.testing.assert_close(projection(hidden)[2], torch.full((2, 33), 128.0))


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
    twin = as_gemv_model(model, reduce_attention)
    assert [id(p) for p in twin.parameters()] == [id(p) for p in model.parameters()]
    assert {projection.form for projection in projections_of(twin)} == {gemv_reduce}
    assert gemv_reduce not in {projection.form for projection in projections_of(model)}
    attends = [[block.self_attn.attend for block in each.layers] for each in (twin, model)]
    assert attends == [[reduce_attention] * 2, [sdpa_attention] * 2]
    model.norm.weight.mul_(2.0)
    tokens = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(twin(tokens), model(tokens), rtol=0, atol=2e-5)


def last_logits(model: Llama, dtype: torch.dtype) -> Tensor:
    """Of four tokens, one after the other through a cache of some type."""
    cache = KeyValueCache(layers=2, rows=1, heads=2, capacity=8, head_dim=8, dtype=dtype)
    return torch.cat([model.next_logits(torch.tensor([[token]]), cache) for token in (1, 2, 3, 4)])


def test_a_twin_that_attends_in_float32_computes_in_it_whatever_the_type_of_the_weights():
    """Against the same weights in float64: it rounds nothing to bfloat16, where the model itself rounds everything."""
    model = small().bfloat16()
    told = copy.deepcopy(model).double()(torch.tensor([[1, 2, 3, 4]]))[0]
    torch.testing.assert_close(
        last_logits(as_gemv_model(model, reduce_attention), torch.float32), told.float(), rtol=0, atol=1e-5
    )
    assert bool(((last_logits(model, torch.bfloat16) - told).abs() > 1e-4).any())


@pytest.mark.parametrize("attend", [None, reduce_attention])
def test_a_twin_over_a_cache_in_bfloat16(attend):
    """At most 3% of the logits' spread from float64, in the mean square: what bfloat16 has for keys and values."""
    model = small().bfloat16()
    told = copy.deepcopy(model).double()(torch.tensor([[1, 2, 3, 4]]))[0]
    difference = (last_logits(as_gemv_model(model, attend), torch.bfloat16) - told).square().mean().sqrt()
    assert difference <= 0.03 * told.std()
