"""The oracle: transformers' Llama with random weights, saved to a directory by its own `save_pretrained`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

PLAIN = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
    "bos_token_id": 1,
    "eos_token_id": None,
}

SHAPES: dict[str, dict[str, Any]] = {
    "groups-of-1": {"num_key_value_heads": 4},
    "groups-of-2": {},
    "groups-of-4": {"num_attention_heads": 8, "num_key_value_heads": 2},
    "llama3-rope": {"rope_parameters": LLAMA3_ROPE},
    "tied": {"tie_word_embeddings": True},
    "wide-heads": {"head_dim": 24},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads, and much slower where the cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Oracle:
    """transformers' model, and where it was saved."""

    model: Any
    directory: Path

    def logits(self, token_ids: list[int]) -> torch.Tensor:
        """[T, V] float32 logits of one text, without a cache, padding or a batch."""
        with torch.no_grad():
            return self.model(torch.tensor([token_ids]), use_cache=False).logits[0].float()

    def greedy(self, token_ids: list[int], tokens: int) -> list[int]:
        """What its own `generate` appends."""
        prompt = torch.tensor([token_ids])
        mask = torch.ones_like(prompt)
        told = self.model.generate(
            prompt, attention_mask=mask, do_sample=False, max_new_tokens=tokens, pad_token_id=0
        )
        return told[0, len(token_ids) :].tolist()


def make_oracle(directory: Path, seed: int = 0, dtype: torch.dtype = torch.float32, **fields: Any) -> Oracle:
    """A model whose logits spread over several units, so that an error is not lost in tiny numbers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**{**PLAIN, **fields}, attn_implementation="eager")
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        scale = 0.3 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
        parameter.data = noise * scale + (1.0 if parameter.ndim == 1 else 0.0)
    model.to(dtype).save_pretrained(directory)
    return Oracle(model, directory)


@pytest.fixture(scope="session", params=list(SHAPES))
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return make_oracle(tmp_path_factory.mktemp(request.param), **SHAPES[request.param])


@pytest.fixture(scope="session")
def new_oracle() -> Callable[..., Oracle]:
    return make_oracle
