"""A model of which the last token alone chooses the logits, and its weights as a Llama's.

Attention and feed-forward layers add nothing (their last matrices are zero), so the embedding of the last token goes straight
to the head. The embedding is 1024 times the unit vector of the token's state, and the last norm's weight 1 / sqrt(d): what
reaches the head is the unit vector, exactly, as d is a power of 4 and 1e-5 is lost beside 1024^2 / d. Column s of the head
holds the logits in state s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument

SCALE = 1024.0
LEAST_HIDDEN, LAYERS, HEAD_SIZE, LONGEST = 64, 2, 32, 2048
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, eq=False)
class Chain:
    """Logits by state.

    Args:
        logits: float32 [S, V].
        state: The state that each token leads to, int64 [V].
    """

    logits: Tensor
    state: Tensor

    @property
    def hidden(self) -> int:
        """The hidden size: a power of 4, so that its root is exact."""
        size = LEAST_HIDDEN
        while size < len(self.logits):
            size *= 4
        return size

    def weights(self, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Return all tensors of the checkpoint, by Hugging Face's names."""
        hidden, (states, vocab) = self.hidden, self.logits.shape
        embedding, head = torch.zeros(vocab, hidden), torch.zeros(vocab, hidden)
        embedding[torch.arange(vocab), self.state] = SCALE
        head[:, :states] = self.logits.T
        made = {
            "model.embed_tokens.weight": embedding,
            "lm_head.weight": head,
            "model.norm.weight": torch.full((hidden,), hidden**-0.5),
        }
        for layer in range(LAYERS):
            at = f"model.layers.{layer}"
            made |= {f"{at}.self_attn.{name}_proj.weight": torch.zeros(hidden, hidden) for name in "qkvo"}
            made |= {
                f"{at}.mlp.{name}_proj.weight": torch.zeros(2 * hidden, hidden) for name in ("gate", "up")
            }
            made[f"{at}.mlp.down_proj.weight"] = torch.zeros(hidden, 2 * hidden)
            made |= {
                f"{at}.{name}_layernorm.weight": torch.ones(hidden) for name in ("input", "post_attention")
            }
        return {name: tensor.to(dtype) for name, tensor in made.items()}

    def config(self, dtype: str) -> dict[str, Any]:
        """Return what config.json says of the shape."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.logits.shape[1],
            "hidden_size": self.hidden,
            "intermediate_size": 2 * self.hidden,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": self.hidden // HEAD_SIZE,
            "num_key_value_heads": self.hidden // HEAD_SIZE,
            "head_dim": HEAD_SIZE,
            "max_position_embeddings": LONGEST,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
            "dtype": dtype,
        }


def dtype_named(name: str) -> torch.dtype:
    """Return a type by its name.

    Raises:
        InvalidArgument: Weights cannot have it.
    """
    if name not in DTYPES:
        raise InvalidArgument("dtype", name, f"one of {', '.join(DTYPES)}")
    return DTYPES[name]
