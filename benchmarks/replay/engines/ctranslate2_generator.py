"""Draws of CTranslate2's `Generator` over a model whose logits are chosen numbers.

python ctranslate2_generator.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys
import tempfile

import ctranslate2
import numpy as np
import torch
from ctranslate2.specs import common_spec, transformer_spec

WIDTH = 16


def words(size: int) -> list[str]:
    """A vocabulary."""
    return ["<s>", "</s>", "<unk>", *(f"w{token}" for token in range(3, size))]


def model(folder: str, row: np.ndarray) -> str:
    """A Llama-like decoder whose next-token logits are the row, whatever came before."""
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        1,
        2,
        activation=common_spec.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
    )

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = zeros(len(row), WIDTH)
    decoder.embeddings.weight[:, 0] = 1024  # the norm below makes this exactly (1, 0, 0, ...)
    decoder.layer_norm.gamma = np.full(WIDTH, WIDTH**-0.5, np.float32)
    decoder.projection.weight = zeros(len(row), WIDTH)
    decoder.projection.weight[:, 0] = row
    for layer in decoder.layer:  # layers that add nothing
        for norm in (layer.self_attention.layer_norm, layer.ffn.layer_norm):
            norm.gamma = np.ones(WIDTH, np.float32)
        layer.self_attention.linear[0].weight = zeros(3 * WIDTH, WIDTH)
        layer.self_attention.linear[1].weight = zeros(WIDTH, WIDTH)
        layer.ffn.linear_0.weight, layer.ffn.linear_0_noact.weight = zeros(32, WIDTH), zeros(32, WIDTH)
        layer.ffn.linear_1.weight = zeros(WIDTH, 32)
    spec.register_vocabulary(words(len(row)))
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = words(3)
    spec.config.layer_norm_epsilon = 1e-5
    spec.validate()
    spec.save(folder)
    return folder


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and processed logits of a batch of streams."""
    rows, logits, k = case["rows"], case["logits"], case["top_k"]
    ctranslate2.set_random_seed(case["seed"][0])
    with tempfile.TemporaryDirectory() as folder:
        generator = ctranslate2.Generator(
            model(folder, logits[0].numpy()), device="cpu", inter_threads=1, intra_threads=1
        )
        got = generator.generate_batch(
            [["<s>"]] * rows,
            max_length=len(logits) // rows,
            sampling_topk=k or 0,
            include_prompt_in_result=False,
        )
    tokens = torch.tensor([one.sequences_ids[0] for one in got]).T.reshape(-1)
    if k is not None:
        logits = logits.where(logits >= logits.topk(k).values[:, -1:], -torch.inf)
    return tokens, logits


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
