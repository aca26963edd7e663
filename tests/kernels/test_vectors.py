"""The published test vectors: the code agrees with them, and they are what the oracle says."""

from __future__ import annotations

import json
import runpy
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from sampling_kernels.fixed_point import to_fixed_point
from sampling_kernels.inverse_cdf import inverse_cdf_sample
from sampling_kernels.philox import random_words
from sampling_kernels.sort_key import sort_key
from sampling_kernels.truncation import min_p_mask, top_k_mask, top_p_mask
from sampling_kernels.weights import weights
from torch import Tensor

import sampling

HERE = Path(__file__).parent
VECTORS: dict[str, Any] = json.loads((HERE / "vectors.json").read_text())


@pytest.fixture(params=VECTORS["rows"], ids=lambda row: row["name"].replace(" ", "-"))
def row(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def logits_of(row: dict[str, Any]) -> Tensor:
    values = [struct.unpack(">f", bytes.fromhex(word))[0] for word in row["logits"]]
    return torch.tensor([values], dtype=torch.float32)


def kept(mask: Tensor) -> list[int]:
    return mask[0].nonzero().flatten().tolist()


def share(case: dict[str, Any]) -> Tensor:
    return torch.tensor([[to_fixed_point(case["p"])]])


def test_the_file_is_what_the_oracle_says() -> None:
    made = runpy.run_path(str(HERE / "make_vectors.py"))["vectors"]()
    assert json.loads(json.dumps(made)) == VECTORS


def test_uniforms() -> None:
    for case in VECTORS["uniforms"]:
        seed = (case["seed"] + 2**63) % 2**64 - 2**63
        key = [torch.tensor([n]) for n in (seed, case["position"], case["choice"])]
        high, low = random_words(*key, 0)
        assert f"{int(high):08x}{int(low):08x}" == case["u"]


def test_shares() -> None:
    assert [to_fixed_point(case["p"]) for case in VECTORS["shares"]] == [
        c["share"] for c in VECTORS["shares"]
    ]


def test_weights_and_order(row: dict[str, Any]) -> None:
    logits = logits_of(row)
    assert weights(logits).tolist() == [row["weights"]]
    assert sort_key(logits).argsort(descending=True).tolist() == [row["order"]]


def test_kept_sets(row: dict[str, Any]) -> None:
    logits = logits_of(row)
    for case in row["top_p"]:
        rule = {name: case[name] for name in ("tie_break", "stops_at_equality")}
        assert kept(top_p_mask(logits, share(case), **rule)) == case["kept"], case
    for case in row["top_k"]:
        assert kept(top_k_mask(logits, torch.tensor([[case["k"]]]))) == case["kept"], case
    for case in row["min_p"]:
        assert kept(min_p_mask(logits, share(case))) == case["kept"], case


def test_tokens(row: dict[str, Any]) -> None:
    logits = logits_of(row)
    for case in row["draws"]:
        key = {name: case[name] for name in ("seed", "position", "choice")}
        assert sampling.draw(logits, **key).tolist() == [case["token"]], case
        seed = (case["seed"] + 2**63) % 2**64 - 2**63
        words = random_words(*(torch.tensor([n]) for n in (seed, case["position"], case["choice"])), 0)
        assert inverse_cdf_sample(weights(logits), *words).tolist() == [case["token"]], case
