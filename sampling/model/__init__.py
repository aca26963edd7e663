"""Llama-3 in pure PyTorch: its configuration, forward pass, key/value cache and checkpoints."""

from __future__ import annotations

from sampling.model.cache import KeyValueCache
from sampling.model.checkpoint import load_llama, tensor_name
from sampling.model.config import Llama3Scaling, LlamaConfig
from sampling.model.llama import Llama
from sampling.model.projection import pack

__all__ = ["KeyValueCache", "Llama", "Llama3Scaling", "LlamaConfig", "load_llama", "pack", "tensor_name"]
