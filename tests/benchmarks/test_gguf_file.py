"""The GGUF file holds our weights as llama.cpp reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.decode import decoders
from benchmarks.decode import job as jobs
from benchmarks.decode.decoders import transformers_generate
from benchmarks.harness import gguf_file, shapes
from sampling.model import Llama

gguf = pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def model() -> Iterator[Llama]:
    """A small model with Llama-3.2's scaling of the rotary embedding."""
    with pytest.MonkeyPatch.context() as patch:
        config = replace(
            shapes.SHAPES["Llama-3.2-1B"],
            vocab_size=96,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
        )
        patch.setitem(shapes.SHAPES, "small", config)
        yield shapes.build("small")


@pytest.fixture(params=["float32", "bfloat16", "float16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The file's fields and tensors, by the reader of the package."""
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: as_float(tensor) for tensor in reader.tensors}


def as_float(tensor: Any) -> Tensor:
    """A tensor's numbers; bfloat16 comes as bytes."""
    values = torch.from_numpy(tensor.data.copy())
    return (values.view(torch.bfloat16) if tensor.tensor_type.name == "BF16" else values).float()


def in_neighbours(heads: Tensor, frequencies: Tensor, position: int) -> Tensor:
    """The rotary embedding as llama.cpp has it: channels 2i and 2i + 1 turn together, [H, D]."""
    turned = torch.view_as_complex(heads.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(turned * torch.polar(torch.ones(()), position * frequencies)).flatten(-2)


def in_halves(heads: Tensor, frequencies: Tensor, position: int) -> Tensor:
    """The rotary embedding as Hugging Face has it: channels i and i + D/2 turn together, [H, D]."""
    first, second = heads.chunk(2, -1)
    cosine, sine = (position * frequencies).cos(), (position * frequencies).sin()
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def test_every_weight_is_there(model: Llama, dtype: str, tmp_path: Path) -> None:
    gguf_file.write_gguf(model, tmp_path / "model.gguf", dtype)
    fields, tensors = read(tmp_path / "model.gguf")
    assert len(tensors) == 2 + 2 * 9 + 1
    assert fields["llama.attention.head_count_kv"] == 2
    assert fields["llama.rope.freq_base"] == 500000.0
    kind = getattr(torch, dtype)
    up = model.get_parameter("layers.1.mlp.up_proj.weight")
    assert torch.equal(tensors["blk.1.ffn_up.weight"], up.to(kind).float())
    assert torch.equal(tensors["token_embd.weight"], model.embed_tokens.weight.to(kind).float())
    assert torch.equal(tensors["output_norm.weight"], model.norm.weight)


def test_attention_is_the_same_in_llama_cpps_order_of_channels(model: Llama, tmp_path: Path) -> None:
    """Scores of two positions, by their rule of turning on what the file holds, and by ours on what we hold."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    gguf_file.write_gguf(model, tmp_path / "model.gguf", "float32")
    _, tensors = read(tmp_path / "model.gguf")
    config = transformers_generate.their_config(model.config)
    ours, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 500000.0 ** (-torch.arange(0, 8, 2) / 8)
    theirs = plain / tensors["rope_freqs.weight"]
    torch.testing.assert_close(theirs, ours)

    hidden = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    weights = [model.get_parameter(f"layers.0.self_attn.{name}_proj.weight") for name in "qk"]
    written = [tensors[f"blk.0.attn_{name}.weight"] for name in "qk"]
    scores = []
    for (queries, keys), turn, frequencies in ((weights, in_halves, ours), (written, in_neighbours, theirs)):
        q = turn((queries @ hidden[0]).unflatten(0, (-1, 8)), frequencies, 1000)
        k = turn((keys @ hidden[1]).unflatten(0, (-1, 8)), frequencies, 30)
        scores.append((q.unflatten(0, (2, 2)) * k[:, None]).sum(-1))
    torch.testing.assert_close(*scores)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("sampling", ["greedy", "sampled"])
def test_llama_cpp_gives_the_same_tokens(sampling: str) -> None:
    pytest.importorskip("llama_cpp")
    job = jobs.DecodeJob(shape="toy", rows=2, context=20, new=9, sampling=sampling)
    model = job.model()
    ours, theirs = (decoders.ENGINES[engine].build(model, job)(9) for engine in ("eager", "llama.cpp"))
    assert [len(row) for row in theirs] == [9, 9]
    assert ours == theirs or sampling == "sampled"
