"""What was done to a checkpoint on its way is said by name: each of these was really done to the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from sampling import Probe
from sampling.probe.arrival import STEP, what_changed

Weights = Mapping[str, Tensor]
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
BEGIN = 256


@pytest.fixture(scope="module")
def model(folder: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder)


def seen(model: torch.nn.Module, probe: Probe) -> dict[int, int]:
    """The first arg max in each state."""
    first = [state.tokens[0] for state in probe.states]
    with torch.inference_mode():
        return dict(enumerate(model(torch.tensor([[BEGIN, *first]])).logits[0, 1:].argmax(-1).tolist()))


def rounded(dtype: torch.dtype) -> Callable[[Weights], dict[str, Tensor]]:
    return lambda weights: {name: weight.to(dtype).float() for name, weight in weights.items()}


def q8_0(weight: Tensor) -> Tensor:
    """Ggml's Q8_0: blocks of 32, a scale in float16, 8 bits each."""
    blocks = weight.reshape(-1, 32)
    scale = blocks.abs().amax(1, keepdim=True) / 127
    inverse = torch.where(scale > 0, 1 / scale, 0.0)
    return ((blocks * inverse).round() * scale.half().float()).reshape(weight.shape)


def q4_0(weight: Tensor) -> Tensor:
    """Ggml's Q4_0: blocks of 32, the value of largest size becomes -8 times the scale, 4 bits each."""
    blocks = weight.reshape(-1, 32)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = largest / -8
    inverse = torch.where(scale != 0, 1 / scale, 0.0)
    return (((blocks * inverse + 8.5).floor().clamp(0, 15) - 8) * scale.half().float()).reshape(weight.shape)


def by_row(weight: Tensor) -> Tensor:
    """8 bits, a scale for each output."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    return (weight / scale).round() * scale


def head(change: Callable[[Tensor], Tensor]) -> Callable[[Weights], dict[str, Tensor]]:
    return lambda weights: {HEAD: change(weights[HEAD])}


def next_state(weight: Tensor) -> Tensor:
    """The first thirty states say what the next one should."""
    return torch.cat([weight[:, :30].roll(-1, 1), weight[:, 30:]], 1)


CHANGES: dict[str, tuple[Callable[[Weights], dict[str, Tensor]], str]] = {
    "nothing": (dict, ""),
    "bfloat16": (rounded(torch.bfloat16), "the weights or the logits were rounded to bfloat16"),
    "float16": (rounded(torch.float16), "the weights or the logits were rounded to float16"),
    "Q8_0": (head(q8_0), "the weights were quantised to 8 bits"),
    "Q4_0": (head(q4_0), "the weights were quantised to 4 bits"),
    "8 bits by row": (head(by_row), "the weights were quantised to 8 bits"),
    "tied": (
        lambda weights: {HEAD: weights[EMBEDDING]},
        "the weights are tied: the embedding stands in the place of the head",
    ),
    "tokens moved by one": (
        head(lambda weight: weight.roll(1, 0)),
        "the weights were permuted: tokens are +1 of those that they should be",
    ),
    "states permuted": (head(next_state), "the weights were permuted: states say what others should say"),
    "zero": (
        head(torch.zeros_like),
        "the weights are others: in state 'step 0' token 0 came, not {}; {} states are wrong",
    ),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_a_changed_checkpoint_is_said_by_name(
    model: torch.nn.Module, probe: Probe, change: Callable[[Weights], dict[str, Tensor]], words: str
):
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    try:
        model.load_state_dict({**weights, **change(weights)})
        told = what_changed(probe, seen(model, probe))
    finally:
        model.load_state_dict(weights)
    assert told == words.format(probe.logits[0].argmax(), len(probe.states))


@pytest.mark.parametrize(("grid", "lost"), [(0.04, "0.015625"), (2e-3, "0.000244141")])
def test_the_coarsest_difference_that_is_lost_says_how_far_numbers_were_rounded(
    probe: Probe, grid: float, lost: str
):
    """Differences below half of it are lost, and of equal logits the first one comes."""
    coarse = torch.from_numpy(probe.logits).double().div(grid).round().mul(grid)
    told = what_changed(probe, dict(enumerate(coarse.argmax(-1).tolist())))
    assert (
        told == f"the weights or the logits were rounded: a difference of {lost} between two logits is lost"
    )


def test_steps_walk_by_themselves(probe: Probe):
    """One answer from the first step visits them all."""
    steps = [place for place, state in enumerate(probe.states) if state.name.startswith(STEP)]
    place, visited = steps[0], list[int]()
    for _ in steps:
        visited.append(place)
        place = int(probe.leads_to[probe.logits[place].argmax()])
    assert sorted(visited) == steps
