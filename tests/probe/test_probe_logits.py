"""What a probe's files hold is what the manifest says: as transformers computes it, and as a reader of GGUF reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from sampling import Probe, write_probe
from sampling.model import load_llama

gguf = pytest.importorskip("gguf")

VOCAB = 1024
BEGIN = 256


def contexts(probe: Probe) -> torch.Tensor:
    """Three prompts of all states, each state behind random tokens."""
    dice = np.random.default_rng(5)
    first = np.array([state.tokens[0] for state in probe.states])
    rows = [
        np.stack([dice.integers(0, probe.vocab, len(first)), dice.permutation(first)], 1).ravel()
        for _ in range(3)
    ]
    return torch.from_numpy(np.stack([[BEGIN, *row] for row in rows]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_transformers_computes_the_logits_bit_for_bit(folder: Path, tmp_path: Path, dtype: str):
    place = folder if dtype == "float32" else tmp_path / "checkpoint"
    probe = Probe.read(folder) if dtype == "float32" else write_probe(place, vocab=VOCAB, dtype=dtype)
    model = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
    assert model.dtype == getattr(torch, dtype)
    ids = contexts(probe)
    with torch.inference_mode():
        logits = model(ids).logits
    told = torch.from_numpy(probe.logits)[torch.from_numpy(probe.leads_to)[ids]]
    assert torch.equal(logits.float(), told)
    assert {*probe.leads_to[ids].ravel().tolist()} == {*range(len(probe.states))}


def test_this_library_computes_them_too(folder: Path, probe: Probe):
    ids = contexts(probe)
    assert torch.equal(load_llama(folder)(ids), torch.from_numpy(probe.logits[probe.leads_to[ids]]))


def test_logits_are_those_that_checks_ask_about(probe: Probe):
    """Eight equal ones, written down by hand: half of them and a quarter are hit exactly, in float64, too."""
    (equal,) = [
        place
        for place, state in enumerate(probe.states)
        if state.name == "how many of eight equal logits a top_p of 0.75 keeps"
    ]
    row = probe.logits[equal].astype(np.float64)
    own = [*probe.states[equal].tokens]
    assert row[own].tolist() == [0.0] * 8
    shares = np.exp(row) / np.exp(row).sum()
    assert shares[own].tolist() == [0.125] * 8
    assert {*row.tolist()} == {0.0, -64.0}


def test_defaults_say_nothing(folder: Path):
    config = GenerationConfig.from_pretrained(folder)
    assert (config.temperature, config.top_k, config.top_p, config.min_p) == (1.0, 0, 1.0, 0.0)
    assert (config.repetition_penalty, config.do_sample) == (1.0, True)
    assert (config.bos_token_id, config.eos_token_id) == (256, 257)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_gguf_file_holds_the_same(folder: Path, tmp_path: Path, dtype: str):
    place = folder if dtype == "float32" else tmp_path / "checkpoint"
    probe = (
        Probe.read(folder) if dtype == "float32" else write_probe(place, vocab=VOCAB, dtype=dtype, gguf=True)
    )
    reader = gguf.GGUFReader(place / "checkpoint.gguf")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    head, embedding = (as_float(tensors[name]) for name in ("output.weight", "token_embd.weight"))
    assert (
        tensors["output.weight"].tensor_type.name
        == {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}[dtype]
    )
    assert np.array_equal(head[:, : len(probe.states)].T, probe.logits)
    assert np.array_equal(embedding.argmax(1), probe.leads_to)
    assert (np.count_nonzero(embedding, axis=1) == 1).all()
    for name in ("blk.0.attn_output.weight", "blk.1.ffn_down.weight"):
        assert not as_float(tensors[name]).any()
    assert len(tensors) == 3 + 2 * 9


def as_float(tensor: Any) -> np.ndarray:
    """A tensor's numbers; bfloat16 comes as bytes."""
    values = torch.from_numpy(tensor.data.copy())
    return (values.view(torch.bfloat16) if tensor.tensor_type.name == "BF16" else values).float().numpy()


def test_the_gguf_file_has_the_tokenizer_and_the_shape(folder: Path, probe: Probe):
    fields = {
        name: field.contents() for name, field in gguf.GGUFReader(folder / "checkpoint.gguf").fields.items()
    }
    assert fields["general.architecture"] == "llama"
    assert (
        fields["llama.block_count"],
        fields["llama.embedding_length"],
        fields["llama.attention.head_count"],
    ) == (2, 64, 2)
    assert fields["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    tokens, merges = fields["tokenizer.ggml.tokens"], {*fields["tokenizer.ggml.merges"]}
    assert len(tokens) == len({*tokens}) == VOCAB == fields["llama.vocab_size"]
    assert (fields["tokenizer.ggml.bos_token_id"], fields["tokenizer.ggml.eos_token_id"]) == (256, 257)
    assert fields["tokenizer.ggml.add_bos_token"] is True
    for token in probe.texts:  # each of them is joined from two tokens that there are
        whole = tokens[token]
        assert any(f"{whole[:cut]} {whole[cut:]}" in merges for cut in range(1, len(whole)))
